"""A scale of a picture: from values to pixels, with round numbers beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analyse.summary import Cost, value_of
from bench.publish.format import number, scaled, trimmed
from bench.registry.metrics import Metric

_LEAST, _MOST = 1e-100, 1e100


@dataclass(frozen=True)
class Axis:
    """A scale from values to pixels, linear or logarithmic, with its ticks as (pixel, text)."""

    title: str
    low: float
    high: float
    log: bool
    start: float
    end: float
    ticks: Sequence[tuple[float, str]] = ()

    def at(self, value: float) -> float:
        """Pixel of a value, held inside the axis."""
        low, high, v = (math.log(max(x, 1e-300)) if self.log else x for x in (self.low, self.high, value))
        share = min(1.0, max(0.0, (v - low) / (high - low)))
        return round(self.start + share * (self.end - self.start), 1)


def make_axis(metric: Metric, costs: Sequence[Cost], start: float, end: float) -> Axis:
    """The axis of a metric, from pixel `start` to `end`, that holds all of these figures.

    Logarithmic where the largest is more than ten times the smallest.
    """
    values = [_drawable(value_of(cost)) for cost in costs]
    low, high = min(values), max(values)
    log = low > 0 and high / low > 10
    low, high = _with_bars(low, high, costs, log)
    if log:
        pad = (high / low) ** 0.07
        low, high = low / pad, high * pad
    else:
        spread = high - low
        pad = 0.07 * spread if spread > 1e-9 * abs(high) else 0.1 * abs(high) or 1.0  # less is rounding alone
        low, high = (max(0.0, low - pad) if low >= 0 else low - pad), high + pad
    factor, unit = scaled(max(abs(low), abs(high)), metric.unit or costs[0].unit)
    axis = Axis("", low, high, log, start, end)
    ticks = _log_ticks(low, high) if log else _linear_ticks(low, high)
    title = f"{metric.title} ({unit})" if unit else metric.title
    return Axis(title, low, high, log, start, end, [(axis.at(t), _tick(t * factor)) for t in ticks])


def _drawable(value: float) -> float:
    """The value, or the next one that an axis can be made for."""
    return math.copysign(min(max(abs(value), _LEAST), _MOST), value) if value else 0.0


def _with_bars(low: float, high: float, costs: Sequence[Cost], log: bool) -> tuple[float, float]:
    """The range with its error bars, but for those so long that the points would shrink to a spot."""
    if log:
        room = (high / low) ** 1.5
        below, above = low / room, high * room
    else:
        room = max(2 * (high - low), 0.3 * abs(high))
        below, above = low - room, high + room
    bars = [cost for cost in costs if below <= cost.low and cost.high <= above]
    return min([low, *(cost.low for cost in bars)]), max([high, *(cost.high for cost in bars)])


def _linear_ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for leads in ((1, 2, 3, 5), (1, 3), (1,)):
        ticks = [lead * 10.0**d for d in decades for lead in leads if low <= lead * 10.0**d <= high]
        if len(ticks) <= 8:
            return ticks
    return ticks[:: math.ceil(len(ticks) / 8)]


def _tick(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return trimmed(number(float(f"{value:.4g}"))) if value % 1 else f"{value:,.0f}"
