"""Ruptures: example clients over time, and how many clients each rule finds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.rule_lines import rule_lines
from alliance.figures.saving import FigureText, NotDrawn, spoken
from alliance.figures.style import (
    BETWEEN,
    FULL_WIDTH_MM,
    INK,
    MUTED,
    WITHIN,
    grid_lines,
    new_figure,
    runs,
    sheet,
    whole_sessions,
    wrap,
)
from alliance.figures.thinning import LETTERS, example_clients

TIMELINE_NUMBERS: tuple[str, ...] = (
    "rating", "rule", "panel", "label", "session", "score", "ruptured", "nadir", "repair",
)  # fmt: skip
RULE_NUMBERS: tuple[str, ...] = (
    "rating",
    "rule",
    "label",
    "status",
    "n_clients",
    "n_evaluable",
    "percent",
)
_QUOTA = {"repaired": 3, "unrepaired": 3, "none": 2}
_SHORT_QUOTA = {"repaired": 2, "unrepaired": 2}
_STATUS: tuple[tuple[str, str, str, str], ...] = (
    ("none", "No rupture", "#dde3e8", ""),
    ("repaired", "Ruptured, repaired", "#8fb8de", ""),
    ("indeterminate", "Ruptured, outcome of it not seen", "#f3c6a5", "////"),
    ("unrepaired", "Ruptured, not repaired", WITHIN, ""),
)


def numbers_rupture_timelines(
    sessions: pd.DataFrame,
    episodes: pd.DataFrame,
    clients: pd.DataFrame,
    first_rules: Mapping[str, tuple[str, str]],
    *,
    smallest_cell: int = 1,
) -> pd.DataFrame:
    """Sessions of example clients: eight of the first rating, four of each other.

    Which clients is fixed by a rule: among those with a label, in order of their number of ratings,
    the ones evenly spaced over that order. Pseudonyms are replaced by letters.

    Parameters
    ----------
    sessions, episodes, clients : outputs of the rupture engine; ``analysis`` where there are
        several analyses.
    first_rules : analysis -> name of the rating, and the rule by which examples are shown.
    smallest_cell : a label that fewer clients have gives no example, lest it point at someone.
    """
    letters = iter(LETTERS)
    parts = []
    for analysis, (rating, rule) in first_rules.items():
        own = [rows_of_rule(table, analysis, rule) for table in (sessions, episodes, clients)]
        quota = _QUOTA if not parts else _SHORT_QUOTA
        for client, label in example_clients(own[2], quota, smallest_cell):
            rows = own[0][own[0]["client"] == client]
            letter = next(letters, None)
            if letter is None:
                break
            timeline = _timeline(rows, own[1], client, letter, label)
            parts.append(timeline.assign(rating=rating, rule=rule))
    if not parts:
        return pd.DataFrame(columns=list(TIMELINE_NUMBERS))
    return pd.concat(parts, ignore_index=True)[list(TIMELINE_NUMBERS)]


def rows_of_rule(table: pd.DataFrame, analysis: str, rule: str) -> pd.DataFrame:
    """The rows of one rule, and of one analysis where the table holds several."""
    chosen = table[table["rule"] == rule]
    return chosen[chosen["analysis"] == analysis] if "analysis" in chosen else chosen


def _timeline(
    rows: pd.DataFrame, episodes: pd.DataFrame, client: str, letter: str, label: str
) -> pd.DataFrame:
    own = episodes[episodes["client"] == client]
    ordered = rows.sort_values("session")
    session = ordered["session"].astype(float)
    return pd.DataFrame(
        {
            "panel": letter, "label": label,
            "session": session, "score": ordered["score"].astype(float),
            "ruptured": (ordered["state"] == "ruptured").to_numpy(),
            "nadir": session.isin(own["nadir"].astype(float)).to_numpy(),
            "repair": session.isin(_returns(session, own)).to_numpy(),
        }
    )  # fmt: skip


def _returns(session: pd.Series, episodes: pd.DataFrame) -> list[float]:
    """The first rating after each repaired episode: the one that reached the target."""
    ends = episodes.loc[episodes["status"] == "repaired", "end"].astype(float)
    return [float(session[session > end].min()) for end in ends]


def draw_rupture_timelines(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """One small panel per example client; ruptured sessions shaded, lowest and repair marked."""
    if numbers.empty:
        return NotDrawn("no client could be shown: no ruptures, or too few clients with them")
    with sheet():
        lines = [
            (rating, own[start : start + 4])
            for rating, group in numbers.groupby("rating", sort=False)
            for own in [list(dict.fromkeys(group["panel"]))]
            for start in range(0, len(own), 4)
        ]
        columns = max(len(panels) for _, panels in lines)
        figure = new_figure(FULL_WIDTH_MM, 20 + 40 * len(lines))
        grid = figure.subplots(len(lines), columns, sharex=True, sharey="row", squeeze=False)
        for row, (rating, panels) in zip(grid, lines, strict=True):
            for axes, panel in zip(row, panels, strict=False):
                _timeline_panel(axes, numbers[numbers["panel"] == panel])
            for axes in row[len(panels) :]:
                axes.set_axis_off()
            scores = numbers.loc[numbers["rating"] == rating, "score"]
            room = 0.06 * max(float(np.ptp(scores)), 0.1)
            row[0].set_ylim(scores.min() - room, scores.max() + room)
            row[0].set_ylabel(wrap(f"{rating} (points)", 26))
        for column in grid.T:  # below the last panel of each column, whatever the last row has
            shown = [axes for axes in column if axes.axison]
            shown[-1].tick_params(axis="x", labelbottom=True)
        figure.supxlabel("Session", fontsize=7.5)
        _timeline_legend(figure, grid[0, 0])
        return figure


def _timeline_panel(axes: Axes, rows: pd.DataFrame) -> None:
    session, score = rows["session"].to_numpy(), rows["score"].to_numpy()
    ruptured = rows["ruptured"].to_numpy(bool)
    for run in runs(ruptured):  # through sessions without a rating, which end no rupture
        axes.axvspan(session[run[0]] - 0.5, session[run[-1]] + 0.5, color="#f3d9c9", lw=0, zorder=0)
    axes.plot(session, score, color=BETWEEN, marker="o", ms=2.5, lw=1.1)
    for name, marker, colour in (("nadir", "v", WITHIN), ("repair", "^", INK)):
        at = rows[name].to_numpy(bool)
        axes.plot(session[at], score[at], marker, color=colour, ms=6, mec="white", mew=0.6)
    words = {"none": "no rupture", "repaired": "repaired", "unrepaired": "not repaired"}
    label = str(rows["label"].iloc[0])
    axes.set_title(f"{rows['panel'].iloc[0]}  {words.get(label, label)}")
    grid_lines(axes, "y")
    whole_sessions(axes)


def _timeline_legend(figure: Figure, axes: Axes) -> None:
    handles = [
        axes.fill_between([], [], color="#f3d9c9"),
        axes.plot([], [], "v", color=WITHIN, ms=6)[0],
        axes.plot([], [], "^", color=INK, ms=6)[0],
    ]
    names = ["Ruptured session", "Lowest rating of a rupture", "Rating that counts as repair"]
    figure.legend(handles, names, loc="outside upper left", ncols=3)


def describe_rupture_timelines(numbers: pd.DataFrame, rule_labels: Mapping[str, str]) -> FigureText:
    """Caption and alt text."""
    title = "Example clients and their ruptures"
    panels = numbers.drop_duplicates("panel")
    rules = " and ".join(f"'{rule_labels.get(r, r)}'" for r in dict.fromkeys(panels["rule"]))
    caption = (
        f"Ratings of {len(panels)} example clients under the rule {rules}. Chosen by rule, not by "
        "hand: among the clients with each label, in order of their number of ratings, those "
        "evenly spaced over that order. Letters stand for pseudonyms."
    )
    counts = panels.groupby(["rating", "label"], sort=False).size()
    words = "; ".join(f"{rating}: {count} {name}" for (rating, name), count in counts.items())
    return FigureText(title, caption, f"Small line charts of {len(panels)} clients: {words}.")


def numbers_rupture_rules(
    summary: pd.DataFrame, ratings: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Per rule, the share of evaluable clients with each label; clients, not episodes.

    Parameters
    ----------
    summary : ``rule, label, lookahead, n_evaluable, n_ruptured, n_repaired, n_unrepaired,
        n_indeterminate``, and ``analysis`` where there are several; rules that were refused, apply
        to nobody or have hidden (absent) counts
        give no rows.
    ratings : analysis -> name of the rating it searches.
    """
    rows: list[tuple] = []
    counts_known = summary.dropna(
        subset=["n_ruptured", "n_repaired", "n_unrepaired", "n_indeterminate"]
    )
    for rule in counts_known[counts_known["n_evaluable"] > 0].itertuples():
        name = f"{rule.label} (looks ahead)" if bool(rule.lookahead) else str(rule.label)
        analysis = str(getattr(rule, "analysis", ""))
        rating = (ratings or {}).get(analysis, analysis)
        counts = {
            "none": rule.n_evaluable - rule.n_ruptured, "repaired": rule.n_repaired,
            "indeterminate": rule.n_indeterminate, "unrepaired": rule.n_unrepaired,
        }  # fmt: skip
        for status, count in counts.items():
            share = 100 * count / rule.n_evaluable
            rows.append((rating, rule.rule, name, status, count, rule.n_evaluable, share))
    return pd.DataFrame(rows, columns=list(RULE_NUMBERS))


def draw_rupture_rules(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """One bar per rule: clients without rupture, with repaired, unseen and unrepaired ruptures."""
    if numbers.empty:
        return NotDrawn(
            "of no rule may every number be shown: some are of too few clients, or it could not be "
            "applied"
        )
    with sheet():
        placed = rule_lines(numbers)
        rules = placed.lines
        figure = new_figure(FULL_WIDTH_MM, 28 + 9.5 * placed.height)
        axes = figure.add_subplot()
        shares = numbers.set_index(["status", "rating", "rule"])["percent"]
        keys = list(placed.order)
        left = np.zeros(len(rules))
        for status, name, colour, hatch in _STATUS:
            width = np.array([shares[(status, *key)] for key in keys])
            bars = axes.barh(placed.place, width, left=left, height=0.62, color=colour,
                             hatch=hatch, edgecolor="white", lw=0.6, label=name)  # fmt: skip
            texts = [f"{value:.0f}%" if value >= 5 else "" for value in width]
            axes.bar_label(bars, texts, label_type="center",
                           color="white" if status == "unrepaired" else INK)  # fmt: skip
            left += width
        names = [f"{wrap(r.label, 40)}\nn = {int(r.n_evaluable):,}" for r in rules.itertuples()]
        placed.name(axes, names, 90, left=0)
        axes.set(xlim=(0, 100), xlabel="Clients who could be evaluated (%)")
        figure.legend(loc="outside upper left", ncols=2, labelcolor=INK, edgecolor=MUTED)
        return figure


def describe_rupture_rules(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: the share with a rupture under every rule."""
    title = "Ruptures under different rules"
    ratings = [str(rating) for rating in dict.fromkeys(numbers["rating"]) if rating]
    caption = (
        f"{ratings[0] + ': share' if len(ratings) == 1 else 'Share'} of clients (those with enough "
        "ratings to be evaluated) by rule. A client with "
        "several ruptures counts once. Rules marked 'looks ahead' use later sessions of the "
        "client to call a rupture (given the SDs of the sample, which pool all sessions) and are "
        "not used to predict. A rule that could not be applied, or whose counts "
        "are of too few clients to be shown, has no bar; the table names it."
    )
    parts = []
    for (rating, label), rows in numbers.groupby(["rating", "label"], sort=False):
        share = rows.set_index("status")["percent"]
        n_clients = int(rows["n_evaluable"].iloc[0])
        parts.append(
            f"{rating + ', ' if rating else ''}{label}: {100 - share['none']:.0f}% with a "
            f"rupture, {share['repaired']:.0f}% repaired and "
            f"{share['unrepaired']:.0f}% not repaired, of {n_clients} clients."
        )
    return FigureText(title, caption, spoken("Stacked bars.", parts))
