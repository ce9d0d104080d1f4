"""How numbers are written, everywhere: APA style, one place.

Two decimals (more where the standard error is small), no zero before the point where a number
cannot exceed one, a true minus sign, ``< .001`` for small p values, a dash for what is absent.
"""

from __future__ import annotations

import math

ABSENT = "–"
MINUS = "−"
MOST_DIGITS = 4
_FINE_SHARE = 0.01  # standard error of a share or correlation below which a third decimal tells


def number(value: float, digits: int = 2, bounded: bool = False) -> str:
    """``−0.83``; with ``bounded`` (correlations, shares, p) ``−.83``."""
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{abs(value):,.{digits}f}"
    if bounded and text.startswith("0."):
        text = text[1:]
    is_zero = not text.strip("0.,")
    return text if value >= 0 or is_zero else MINUS + text


def digits_for(se: float, fewest: int = 2, bounded: bool = False) -> int:
    """Decimals that show two significant digits of the standard error, at most four.

    Of shares and correlations (``bounded``) one significant digit is shown, at most three decimals.
    """
    if se is None or not math.isfinite(se) or se <= 0:
        return fewest
    if bounded:
        return fewest if se >= _FINE_SHARE else fewest + 1
    return min(MOST_DIGITS, max(fewest, 1 - math.floor(math.log10(se))))


def interval(low: float, high: float, digits: int = 2, bounded: bool = False) -> str:
    """``[−0.83, −0.29]``; a dash where a limit is absent."""
    if any(limit is None or not math.isfinite(limit) for limit in (low, high)):
        return ABSENT
    return f"[{number(low, digits, bounded)}, {number(high, digits, bounded)}]"


def with_interval(
    value: float, low: float, high: float, digits: int = 2, bounded: bool = False
) -> str:
    """``−0.56 [−0.83, −0.29]``; without limits the value alone."""
    limits = interval(low, high, digits, bounded)
    text = number(value, digits, bounded)
    return text if limits == ABSENT else f"{text} {limits}"


def p_value(p: float) -> str:
    """``< .001`` or ``.034``, for a column headed p."""
    if p is None or not math.isfinite(p):
        return ABSENT
    return "< .001" if p < 0.001 else "> .999" if p > 0.999 else number(p, 3, bounded=True)


def p_text(p: float) -> str:
    """``p < .001`` or ``p = .034``, for a sentence; empty without p."""
    text = p_value(p)
    if text == ABSENT:
        return ""
    return f"p {text}" if text[0] in "<>" else f"p = {text}"


def direction(pd: float) -> str:
    """Posterior probability, as a percentage: ``> 99.9%``, ``99.2%``, ``< 0.1%``."""
    if pd is None or not math.isfinite(pd):
        return ABSENT
    if pd < 0.0005:
        return "< 0.1%"
    return "> 99.9%" if pd > 0.9995 else percent(100 * pd)


def percent(value: float, digits: int = 1) -> str:
    """``14.7%``."""
    return ABSENT if number(value, digits) == ABSENT else f"{number(value, digits)}%"


def share_words(share: float) -> str:
    """``77%`` of a share between 0 and 1, in a sentence; none is called all or nothing."""
    if share is None or not math.isfinite(share):
        return "an unknown share"
    if share > 0.99:
        return "more than 99%"
    return "less than 1%" if share < 0.01 else percent(100 * share, 0)


def count(value: float) -> str:
    """``1,938``."""
    return number(value, 0)


def clients_or_why(n_clients: float) -> str:
    """``216 clients``, or that the number is kept back because it would tell of few."""
    if n_clients is None or not math.isfinite(n_clients):
        return "number of clients not shown, as it would tell of few"
    return counted(n_clients, "client")


def counted(value: float, noun: str, plural: str = "") -> str:
    """``1 client``, ``2,190 clients``."""
    if value is None or not math.isfinite(value):
        return f"an unknown number of {plural or noun + 's'}"
    return f"{count(value)} {noun if round(value) == 1 else plural or noun + 's'}"


def inside_sentence(words: str) -> str:
    """Words that begin a line, as they stand inside a sentence; ``SD`` and ``WAI-SR`` stay."""
    return words if words[:2].isupper() else words[:1].lower() + words[1:]
