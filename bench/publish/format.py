"""Numbers as people read them: few digits, SI prefixes, an interval only where there is one."""

import math
from datetime import UTC, datetime

_PREFIXES = (
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
)
_SPACE = "\N{NO-BREAK SPACE}"
_PREFIXED = ("B", "s", "FLOP", "J", "W")


_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float | None, digits: int = 4) -> str:
    """The value with `digits` significant digits: 12.34, 123.4 M, 1.234e+17, ∞; – where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if 1e5 <= abs(value) < 1e15:
        size, letter = next(each for each in _LARGE if abs(value) >= each[0])
        return f"{_plain(value / size, digits)}{_SPACE}{letter}"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    return _plain(value, digits)


def _plain(value: float, digits: int) -> str:
    if digits < 4:
        value = float(f"{value:.{digits}g}")
    decimals = digits if not value else max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(decimals, 6)}f}"
    return (trimmed(text) if value == int(value) else text).replace("-", "−")


def trimmed(text: str) -> str:
    """Without the zeros that end its decimals."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value: float | None, unit: str = "", digits: int = 4) -> str:
    """A value with its unit: 104.2 MB, 38.1 ms, 0.497×, 41.2 %."""
    factor, shown = scaled(value, unit)
    return with_unit(number(None if value is None else value * factor, digits), shown if value is not None else "")


def deserved(value: float, low: float, high: float, most: int = 4) -> int:
    """Significant digits of a value that its interval lets one tell: the last shown moves by a tenth to a half of the
    interval's half width. At least two, and `most` where there is no interval."""
    half = (high - low) / 2
    if not (math.isfinite(half) and half > 0 and value and math.isfinite(value)):
        return most
    place = math.floor(math.log10(half)) - (half < 2 * 10.0 ** math.floor(math.log10(half)))
    return min(most, max(2, math.floor(math.log10(abs(value))) - place + 1))


def gain(value: float, digits: int = 2) -> str:
    """A relative improvement, positive is better, as people say it: +4.8 %, and from a factor of two on 3.1× better,
    202× worse."""
    if math.isnan(value):
        return "–"
    if abs(value) <= 1:
        text = number(100 * value, digits)
        return f"{'+' if value > 0 else ''}{text}{_SPACE}%"
    return f"{number(1 + abs(value), digits)}× {'better' if value > 0 else 'worse'}"


def carries_unit(unit: str) -> bool:
    """Whether a figure is written with this unit even in a column that is headed with it."""
    return unit in _PREFIXED or unit in ("×", "%")


def interval(low: float, high: float, value: float | None, unit: str = "", digits: int = 4) -> str:
    """The interval in the unit that `quantity` gives the value; empty if there is none or it has no width
    that would show."""
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return ""
    factor, _ = scaled(value, unit)
    ends = number(low * factor, digits), number(high * factor, digits)
    return f"[{ends[0]}, {ends[1]}]" if ends[0] != ends[1] else ""


def scaled(value: float | None, unit: str) -> tuple[float, str]:
    """The factor and the prefixed unit in which a value of this size reads well."""
    if unit not in _PREFIXED or not value or not math.isfinite(value):
        return 1.0, unit
    size, prefix = next(((s, p) for s, p in _PREFIXES if abs(value) >= s), _PREFIXES[-1])
    if unit == "s" and size > 1:
        size, prefix = 1.0, ""
    return 1 / size, prefix + unit


def with_unit(text: str, unit: str) -> str:
    """Text and unit with a no-break space, except before ×."""
    if not unit:
        return text
    return f"{text}{'' if unit == '×' else _SPACE}{unit}"


def percent(fraction: float) -> str:
    """A signed relative change: +4.8 %."""
    if not math.isfinite(fraction):
        return "–" if math.isnan(fraction) else "+∞" if fraction > 0 else "−∞"
    return f"{100 * fraction:+.1f}{_SPACE}%".replace("-", "−")


def rank(interval_: tuple[int, int] | None) -> str:
    """A rank interval: 1, or 2–4 for a tie."""
    if interval_ is None:
        return "–"
    best, worst = interval_
    return str(best) if best == worst else f"{best}–{worst}"


def day(when: float) -> str:
    """Seconds since 1970 as 2026-11-23."""
    return _time(when).strftime("%Y-%m-%d")


def minute(when: float) -> str:
    """Seconds since 1970 as 2026-11-23 16:05, Greenwich time."""
    return _time(when).strftime("%Y-%m-%d %H:%M")


def _time(when: float) -> datetime:
    try:
        return datetime.fromtimestamp(when, UTC)
    except (OverflowError, OSError, ValueError):  # a year beyond what this machine can name
        return datetime.fromtimestamp(0, UTC)
