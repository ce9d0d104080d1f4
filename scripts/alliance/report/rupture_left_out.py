"""What could not be estimated of ruptures, told briefly: the same reason in one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pandas as pd

from alliance.tables.rupture_source_outcomes import source_label
from alliance.tables.ruptures import CONTRAST_WORDS, split_term, term_in_words
from alliance.text.words import listed

SOURCES_LABEL = "Ruptures by other sources"
_FEW = re.compile(r"^fewer than (\d+) clients: .*$")
_SAID = {
    "not_estimated": "not estimated",
    "diagnostics_failed": "estimated, but diagnostics failed",
}


def refused_of_rules(
    bad: pd.DataFrame, label: str, rule_labels: Mapping[str, str]
) -> Iterator[str]:
    """Sentences on the rows of one rupture analysis that are not ok.

    Landmarks stand together, whichever group is too small; rules with the same quantities too.

    Parameters
    ----------
    bad : rows of the analysis. label : its name for readers. rule_labels : rule -> its name.
    """
    parts = bad["term"].map(split_term)
    own = bad.assign(quantity=parts.str[0], rule=parts.str[1])
    landmark = own["quantity"].str.startswith("landmark_")
    few = own["reason"].astype(str).str.match(_FEW) & landmark
    if few.any():
        yield _landmarks(own[few], label, rule_labels)
    for (status, reason), rows in own[~few].groupby(["status", "reason"], sort=False):
        told = _by_rule(rows, rule_labels)
        yield f"{label}, {told}: {_SAID.get(str(status), str(status))}. {_sentence(str(reason))}"


def _landmarks(rows: pd.DataFrame, label: str, rule_labels: Mapping[str, str]) -> str:
    fewest = max(int(found[1]) for found in map(_FEW.match, rows["reason"].astype(str)) if found)
    parts = rows["quantity"].str.split("_", n=2)
    named = rows.assign(session=parts.str[1].astype(int), contrast=parts.str[2])
    told: dict[str, list[str]] = {}
    for rule, own in named.groupby("rule", sort=False):
        words = "; ".join(_sessions_and_contrasts(own))
        told.setdefault(words, []).append(_rule_name(str(rule), rule_labels))
    rules = ". ".join(f"{_rules(names)}: {words}" for words, names in told.items())
    return (
        f"{label}, outcome after a landmark session, not estimated as fewer than {fewest} clients "
        f"were in a group. {rules}."
    )


def _sessions_and_contrasts(own: pd.DataFrame) -> Iterator[str]:
    """``sessions 6 and 8: all comparisons``, sessions with the same comparisons together."""
    by_contrasts: dict[tuple[str, ...], list[str]] = {}
    for session, rows in own.groupby("session"):
        by_contrasts.setdefault(tuple(rows["contrast"]), []).append(str(session))
    for contrasts, sessions in by_contrasts.items():
        plural = "s" if len(sessions) > 1 else ""
        what = "all comparisons"
        if set(contrasts) != set(CONTRAST_WORDS):
            what = listed([CONTRAST_WORDS.get(c, c).lower() for c in contrasts])
        yield f"session{plural} {listed(sessions)}, {what}"


def _by_rule(rows: pd.DataFrame, rule_labels: Mapping[str, str]) -> str:
    """Quantities and, in brackets, the rules that lack them."""
    of_quantities: dict[tuple[str, ...], list[str]] = {}
    for rule, own in rows.groupby("rule", sort=False):
        words = tuple(dict.fromkeys(term_in_words(q).lower() for q in own["quantity"]))
        name = _rule_name(str(rule), rule_labels) if rule else ""
        of_quantities.setdefault(words, []).append(name)
    told = []
    for words, names in of_quantities.items():
        rules = _rules(names)
        told.append(
            listed(list(words)) + (f" ({rules[0].lower()}{rules[1:]})" if any(names) else "")
        )
    return "; ".join(told)


def _rules(names: list[str]) -> str:
    plural = "s" if len(names) > 1 else ""
    return f"Rule{plural} {listed([f"'{name}'" for name in names])}"


def _rule_name(rule: str, rule_labels: Mapping[str, str]) -> str:
    return rule_labels.get(rule, rule.replace("_", " "))


def refused_of_sources(bad: pd.DataFrame, names: Mapping[str, str]) -> Iterator[str]:
    """Sentences on the rows of other sources (``names``) that are not ok, one per reason."""
    for (kind, reason), rows in bad.groupby(["kind", "reason"], sort=False):
        labels = dict.fromkeys(
            source_label(split_term(term)[1].removesuffix("_beyond_curve"), names)
            for term in rows["term"]
        )
        what = _KINDS.get(str(kind), "")
        told = f"{what}, {'; '.join(labels)}" if kind != "agreement" else what
        yield f"{SOURCES_LABEL}, {told}: not estimated. {_sentence(str(reason))}"


_KINDS: dict[str, str] = {
    "session": "next outcome", "contrast": "last outcome", "proportion": "how often",
    "agreement": "agreement of some pairs",
}  # fmt: skip


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
