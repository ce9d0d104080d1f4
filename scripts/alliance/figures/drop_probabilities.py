"""How likely each session is a discrete drop: example clients, all sessions, planted ruptures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter

from alliance.figures.ruptures import rows_of_rule
from alliance.figures.saving import FigureText, NotDrawn
from alliance.figures.style import (
    BETWEEN,
    FULL_WIDTH_MM,
    MUTED,
    SERIES,
    WITHIN,
    grid_lines,
    new_figure,
    runs,
    sheet,
    whole_sessions,
    wrap,
)
from alliance.figures.thinning import LETTERS, example_clients

CLIENT, CLASSES, RECOVERY, COMPARISON = "client", "classes", "recovery", "comparison"
DROP_NUMBERS: tuple[str, ...] = (
    "part", "rating", "rule", "panel", "session", "score", "ruptured", "probability",
    "quantity", "low", "high", "n_sessions", "n_clients", "percent", "n_onsets",
    "mean_probability", "estimate", "ci_low", "ci_high", "claimed", "words",
)  # fmt: skip
LIKELY = 0.5
_QUOTA = {"likely": 6, "unlikely": 2}
_SHORT_QUOTA = {"likely": 3, "unlikely": 1}
_PER_LINE = 4
_AGAINST: dict[str, str] = {
    "discrete_drops_vs_student": "a symmetric heavy tail",
    "discrete_drops_vs_skewed": "a skewed heavy tail",
}
_NOT_CLAIMED = "no discrete drops are claimed"


def numbers_drop_probabilities(
    probabilities: pd.DataFrame,
    classes: pd.DataFrame,
    estimates: pd.DataFrame,
    sessions: pd.DataFrame,
    first_rules: Mapping[str, tuple[str, str]],
    recovery: pd.DataFrame | None = None,
    *,
    smallest_cell: int = 1,
) -> pd.DataFrame:
    """Example clients, all sessions by their probability, and planted ruptures beside them.

    Which clients is fixed by a rule, as in :mod:`alliance.figures.ruptures`: among those with and
    those without a session that is likelier a drop than not, in order of their number of ratings,
    the ones evenly spaced over that order. Pseudonyms are replaced by letters in the picture.

    Parameters
    ----------
    probabilities : ``analysis, client, session, probability``; NaN at first ratings.
    classes : ``analysis`` and the columns of the stage's classes of probabilities.
    estimates : rows of the comparison of models. sessions : scores and states by rule.
    first_rules : analysis -> name of the rating, and the rule whose ruptures are shaded.
    recovery : chances held against planted ruptures; simulated studies only.
    smallest_cell : a group of fewer clients gives no example.
    """
    letters = iter(LETTERS)
    parts: list[pd.DataFrame] = []
    for analysis in dict.fromkeys(probabilities["analysis"]):
        rating, rule = first_rules[analysis]
        own = probabilities[probabilities["analysis"] == analysis]
        in_classes = _of(classes, analysis)
        if own["probability"].notna().any() and len(in_classes):  # none where clients are few
            of_rule = rows_of_rule(sessions, analysis, rule)
            quota = _SHORT_QUOTA if parts else _QUOTA
            found = [
                *_client_parts(own, of_rule, quota, letters, smallest_cell),
                in_classes.assign(part=CLASSES),
                *([_of(recovery, analysis).assign(part=RECOVERY)] if recovery is not None else []),
                _comparison(estimates, analysis),
            ]
            parts += [part.assign(rating=rating, rule=rule) for part in found if len(part)]
    if not parts:
        return pd.DataFrame(columns=list(DROP_NUMBERS))
    names = {"pct_sessions": "percent"}
    whole = pd.concat([part.rename(columns=names) for part in parts], ignore_index=True)
    return whole.reindex(columns=list(DROP_NUMBERS))


def _of(table: pd.DataFrame, analysis: str) -> pd.DataFrame:
    own = table[table["analysis"] == analysis].drop(columns="analysis")
    return own.rename(columns={"n": "n_sessions"})


def _client_parts(
    own: pd.DataFrame,
    sessions: pd.DataFrame,
    quota: Mapping[str, int],
    letters: Iterator[str],
    smallest_cell: int,
) -> list[pd.DataFrame]:
    by_client = own.groupby("client")["probability"].agg(["max", "size"]).reset_index()
    clients = pd.DataFrame(
        {
            "client": by_client["client"], "n_sessions": by_client["size"],
            "label": np.where(by_client["max"] >= LIKELY, "likely", "unlikely"),
        }
    )  # fmt: skip
    chosen = dict(example_clients(clients, quota, smallest_cell))
    lines = own.merge(sessions[["client", "session", "score", "state"]], on=["client", "session"])
    return [
        lines[lines["client"] == client]
        .sort_values("session")
        .assign(part=CLIENT, panel=letter, ruptured=lambda x: x["state"] == "ruptured")
        .drop(columns=["analysis", "client", "state"])
        for client, letter in zip(chosen, letters, strict=False)
    ]


def _comparison(estimates: pd.DataFrame, analysis: str) -> pd.DataFrame:
    """Whether discrete drops are claimed, and by how much the mixture predicts better or worse."""
    own = estimates[estimates["analysis"] == analysis].set_index("term")
    share = own.loc["drop_share"]
    rows = own.loc[[term for term in _AGAINST if term in own.index]]
    return pd.DataFrame(
        {
            "part": COMPARISON, "quantity": rows.index, "estimate": rows["estimate"].to_numpy(),
            "ci_low": rows["ci_low"].to_numpy(), "ci_high": rows["ci_high"].to_numpy(),
            "n_clients": rows["n_clients"].to_numpy(), "claimed": share["status"] == "ok",
            "words": str(share["reason"] or ""),
        }
    )  # fmt: skip


def draw_drop_probabilities(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """Example clients with the probability under the course; below, all sessions."""
    if numbers.empty:
        return NotDrawn(
            "too few ratings or clients, or ratings all alike: no chances of discrete drops can be "
            "shown"
        )
    with sheet():
        lines = _lines(numbers[numbers["part"] == CLIENT])
        claimed = _claimed(numbers)
        of_line = 52.0 if len(claimed) > 1 else 46.0  # with or without the name of the rating
        heights = [*[of_line] * len(lines), 62.0]
        figure = new_figure(FULL_WIDTH_MM, sum(heights) + 8)
        blocks = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        clients = numbers[numbers["part"] == CLIENT]
        last = float(clients["session"].max())
        for block, (rating, panels) in zip(blocks, lines, strict=False):
            own = clients[clients["rating"] == rating]
            _client_line(block, own, panels, claimed[rating])
            block.axes[0].set_xlim(0.3, last + 0.7)
            if len(claimed) > 1 and panels[0] == own["panel"].iloc[0]:
                block.suptitle(wrap(rating, 100), x=0.01, ha="left", weight="bold", fontsize=7.5)
        if lines:
            _client_legend(figure, blocks[0].axes[0], claimed)
        _summary_line(blocks[-1], numbers, claimed)
        return figure


def _lines(clients: pd.DataFrame) -> list[tuple[str, list[str]]]:
    return [
        (str(rating), own[start : start + _PER_LINE])
        for rating, group in clients.groupby("rating", sort=False)
        for own in [list(dict.fromkeys(group["panel"]))]
        for start in range(0, len(own), _PER_LINE)
    ]


def _claimed(numbers: pd.DataFrame) -> dict[str, bool]:
    told = numbers[numbers["part"] == COMPARISON].drop_duplicates("rating")
    return {str(r.rating): bool(r.claimed) for r in told.itertuples()}


def _client_line(block: SubFigure, own: pd.DataFrame, panels: list[str], claimed: bool) -> None:
    grid = block.subplots(
        2, _PER_LINE, sharex=True, sharey="row", squeeze=False, height_ratios=(1.7, 1)
    )
    for (above, below), panel in zip(grid.T, panels, strict=False):
        rows = own[own["panel"] == panel]
        _course(above, rows)
        _chances(below, rows, claimed)
    for column in grid.T[len(panels) :]:
        for axes in column:
            axes.set_axis_off()
    room = 0.06 * max(float(np.ptp(own["score"])), 0.1)
    grid[0, 0].set_ylim(own["score"].min() - room, own["score"].max() + room)
    grid[0, 0].set_ylabel("Rating (points)")
    grid[1, 0].set(ylabel="P (drop)", ylim=(0, 1))
    block.align_ylabels(list(grid[:, 0]))
    for axes in grid[1]:
        axes.set_xlabel("Session")


def _course(axes: Axes, rows: pd.DataFrame) -> None:
    session, score = rows["session"].to_numpy(float), rows["score"].to_numpy(float)
    for run in runs(rows["ruptured"].to_numpy(bool)):
        axes.axvspan(session[run[0]] - 0.5, session[run[-1]] + 0.5, color="#f3d9c9", lw=0, zorder=0)
    axes.plot(session, score, color=BETWEEN, marker="o", ms=2.5, lw=1.1)
    axes.set_title(str(rows["panel"].iloc[0]))
    grid_lines(axes, "y")


def _chances(axes: Axes, rows: pd.DataFrame, claimed: bool) -> None:
    """Bars; empty ones where no discrete drops are claimed, so that no one reads them as drops."""
    axes.bar(
        rows["session"], rows["probability"].fillna(0.0), width=0.7, lw=0.8,
        color=WITHIN if claimed else "white", edgecolor=WITHIN if claimed else MUTED,
    )  # fmt: skip
    axes.axhline(LIKELY, color=MUTED, lw=0.6, ls=":")
    axes.set_yticks((0, 0.5, 1), ("0", ".5", "1"))
    grid_lines(axes, "y")
    whole_sessions(axes)


def _client_legend(figure: Figure, axes: Axes, claimed: Mapping[str, bool]) -> None:
    ratings, fill = list(claimed), any(claimed.values())
    handles = [
        axes.plot([], [], color=BETWEEN, marker="o", ms=2.5, lw=1.1)[0],
        axes.fill_between([], [], color="#f3d9c9"),
        axes.plot([], [], "s", color=WITHIN if fill else MUTED, mfc=None if fill else "white")[0],
    ]
    names = [
        wrap(ratings[0], 40) if len(ratings) == 1 else "Rating",
        "In a rupture by the first rule",
        "P: probability that the change was a discrete drop",
    ]
    figure.legend(handles, names, loc="outside upper left", ncols=3)


def _summary_line(block: SubFigure, numbers: pd.DataFrame, claimed: Mapping[str, bool]) -> None:
    calibration = numbers[numbers["quantity"] == "calibration"]
    grid = block.subplots(1, 2 if len(calibration) else 1, squeeze=False)[0]
    _spread_panel(grid[0], numbers[numbers["part"] == CLASSES])
    if len(calibration):
        _calibration_panel(grid[1], calibration)
    refused = [rating for rating, is_claimed in claimed.items() if not is_claimed]
    if refused:
        named = ", ".join(refused) + ": " if len(claimed) > 1 else ""
        words = f"{named}{_NOT_CLAIMED}; heavy tails predict as well"
        words = wrap(words[:1].upper() + words[1:], 100)
        block.suptitle(words, x=0.01, ha="left", color=WITHIN, weight="bold", fontsize=8.5)


def _looks(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame, str, str]]:
    """Name, rows, colour and marker of each rating; differing in shape and lightness."""
    return [
        (str(rating), own, SERIES[at % len(SERIES)][0], SERIES[at % len(SERIES)][2])
        for at, (rating, own) in enumerate(rows.groupby("rating", sort=False))
    ]


def _several(rows: pd.DataFrame) -> bool:
    return len(set(rows["rating"])) > 1


def _spread_panel(axes: Axes, classes: pd.DataFrame) -> None:
    axes.set_title("All ratings after the first")
    order = sorted(set(zip(classes["low"], classes["high"], strict=True)))
    for name, own, colour, marker in _looks(classes[classes["n_sessions"] > 0]):
        at = [order.index(key) for key in zip(own["low"], own["high"], strict=True)]
        axes.plot(own["n_sessions"], at, marker, color=colour, ms=5, label=name)
        for x, y in zip(own["n_sessions"], at, strict=True):
            axes.annotate(
                f"{x:,.0f}", (x, y), (5, 4), textcoords="offset points", fontsize=6.5,
                color=colour,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_yticks(range(len(order)), [class_words(*key) for key in order])
    axes.set_ylim(-0.6, len(order) - 0.3)
    fewest, most = classes["n_sessions"].replace(0, np.nan).agg(["min", "max"])
    axes.set_xlim(10 ** np.floor(np.log10(fewest)) * 0.8, most * 3)
    axes.set(xlabel="Ratings (logarithmic scale)", ylabel="Probability of a drop")
    grid_lines(axes, "x")
    axes.tick_params(axis="y", length=0)
    if _several(classes):
        axes.legend(loc="upper right")


def class_words(low: float, high: float) -> str:
    """``.05 to .20``; ``below .01``, ``.80 or more``."""
    if low == 0:
        return f"below {_short(high)}" if high < 1 else "any"
    return f"{_short(low)} or more" if high == 1 else f"{_short(low)} to {_short(high)}"


def _short(share: float) -> str:
    return f"{share:.2f}".removeprefix("0")


def _calibration_panel(axes: Axes, calibration: pd.DataFrame) -> None:
    axes.set_title("Planted ruptures (simulated study)")
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls="--")
    for name, own, colour, marker in _looks(calibration[calibration["estimate"].notna()]):
        axes.vlines(own["mean_probability"], own["ci_low"], own["ci_high"], color=colour, lw=1.2)
        axes.plot(own["mean_probability"], own["estimate"], marker, color=colour, ms=5, label=name)
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks((0, 0.25, 0.5, 0.75, 1), ("0", ".25", ".50", ".75", "1"))
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
    axes.set_xlabel("Mean probability of a drop in the class")
    axes.set_ylabel("Share of ratings at a planted onset")
    grid_lines(axes, "both")
    axes.tick_params(length=0)


def describe_drop_probabilities(
    numbers: pd.DataFrame, rule_labels: Mapping[str, str]
) -> FigureText:
    """Caption with the verdict, levels and n; alt text with every class."""
    title = "How likely is each session a discrete drop?"
    if numbers.empty:
        return FigureText(title, "", "")
    clients = numbers[numbers["part"] == CLIENT].drop_duplicates("panel")
    rules = " and ".join(f"'{rule_labels.get(r, r)}'" for r in dict.fromkeys(numbers["rule"]))
    caption = " ".join(
        [
            "Within clients: probability that the change to a rating was a discrete drop, by a "
            "model of ordinary changes with occasional drops (alliance alone, parameters at their "
            "estimates). First ratings have no change and no probability.",
            *_verdicts(numbers),
            f"Above: {len(clients)} example clients, chosen by rule, not by hand: among the "
            "clients with and those without a rating of .50 or more, in order of their number of "
            "ratings, those evenly spaced over that order. Letters stand for pseudonyms. Shaded: "
            f"in a rupture by the rule {rules}, to compare."
            if len(clients)
            else "",
            "Below: ratings of all clients by their probability; a class of too few clients is put "
            "together with the next lower one.",
            *_recoveries(numbers),
        ]
    )
    return FigureText(title, " ".join(caption.split()), _alt(numbers, len(clients)))


def _verdicts(numbers: pd.DataFrame) -> list[str]:
    told = numbers[numbers["part"] == COMPARISON]
    several = _several(told)
    found = []
    for rating, own in told.groupby("rating", sort=False):
        apart = ", ".join(
            f"{_signed(r.estimate)} [{_signed(r.ci_low)}, {_signed(r.ci_high)}] against "
            f"{_AGAINST[r.quantity]}"
            for r in own.dropna(subset=["estimate"]).itertuples()
        )
        first = own.iloc[0]
        verdict = (
            "Discrete drops predict left-out clients better than heavy tails do"
            if first["claimed"]
            else f"{str(first['words'])[:1].upper()}{str(first['words'])[1:]}, so these "
            "probabilities are no evidence of ruptures"
        )
        found.append(
            f"{rating + ': ' if several else ''}{verdict} (difference in log predictive density, "
            f"95% CI: {apart}; {first['n_clients']:,.0f} clients)."
        )
    return found


def _signed(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def _recoveries(numbers: pd.DataFrame) -> list[str]:
    told = numbers[numbers["part"] == RECOVERY]
    several = _several(told)
    found = []
    for rating, own in told.groupby("rating", sort=False):
        rows = {str(r.quantity): r for r in own[own["quantity"] != "calibration"].itertuples()}
        auc, hits, alarms = rows.get("auc"), rows.get("found"), rows.get("false_alarms")
        if auc is None or not np.isfinite(auc.estimate):
            continue
        words = (
            "of a rating at a planted onset and another rating, the first has the higher "
            f"probability in {_short(auc.estimate)} [{_short(auc.ci_low)}, {_short(auc.ci_high)}] "
            f"of pairs (AUC; {auc.n_onsets:,.0f} onsets, {auc.n_sessions:,.0f} ratings)"
        )
        if hits is not None and alarms is not None:
            words += (
                f"; {hits.n_onsets:,.0f} of {hits.n_sessions:,.0f} planted ruptures have a "
                f"probability of .50 or more within one session, with {alarms.estimate:.2f} false "
                "alarms per client without a planted rupture"
            )
        named = f"{rating}: " if several else ""
        found.append(f"{named}{words if several else words[:1].upper() + words[1:]}.")
    if found:
        found.insert(
            0,
            "Below right: share of the ratings of each class at which a rupture was planted, with "
            "95% intervals; on the dashed line the probabilities are right.",
        )
    return found


def _alt(numbers: pd.DataFrame, n_clients: int) -> str:
    several = _several(numbers)
    parts = [
        f"{r.rating + ', ' if several else ''}{class_words(r.low, r.high)}: "
        f"{r.n_sessions:,.0f} ratings."
        for r in numbers[numbers["part"] == CLASSES].itertuples()
    ]
    return (
        f"Line charts of {n_clients} clients with bars of the probability of a drop under them, "
        f"and ratings by probability. {' '.join(parts)}"
    )
