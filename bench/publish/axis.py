"""A scale of a picture: from values to pixels, with round numbers beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analyse.summary import Cost, value_of
from bench.publish.format import number, scaled, trimmed
from bench.registry.metrics import Metric

_LEAST, _MOST = 1e-100, 1e100
_LOG = 5.0
_FEW = 5
_WIDE, _NEAR, _FAR = 30.0, 10.0, 100.0
"""Of positive figures that are better lower: where the worst is so many times the best, the useful ones are so near to
the best, and what has to be in sight is not if it is so far."""


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

    def holds(self, value: float) -> bool:
        """Whether the value lies on the axis."""
        return self.low <= value <= self.high

    def at(self, value: float) -> float:
        """Pixel of a value, held inside the axis."""
        low, high, v = (math.log(max(x, 1e-300)) if self.log else x for x in (self.low, self.high, value))
        share = min(1.0, max(0.0, (v - low) / (high - low)))
        return round(self.start + share * (self.end - self.start), 1)


def make_axis(
    metric: Metric, costs: Sequence[Cost], start: float, end: float, kept: Sequence[float] = (), *, whole: bool = False
) -> Axis:
    """The axis of a metric, from pixel `start` to `end`, over the useful range of these figures (`useful`), or over the
    whole of it.

    Logarithmic where the largest in it is more than five times the smallest, but for what has a most, such as a share.
    """
    values = [_drawable(value_of(cost)) for cost in costs]
    low, high = (min(values), max(values)) if whole else useful(values, metric.better, kept)
    log = low > 0 and high / low > _LOG and math.isinf(metric.bounds[1])
    low, high = _with_bars(low, high, [cost for cost in costs if low <= value_of(cost) <= high], log)
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


def useful(values: Sequence[float], better: str, kept: Sequence[float] = ()) -> tuple[float, float]:
    """Lowest and highest of the values that are worth a look: all but those far on the worse side.

    Far is beyond Tukey's fence, and where figures spread over orders of magnitude beyond ten times the best and the
    best quarter. kept: of the values those that stay in sight where they can. Of a few values none is left out, nor
    what would save less than a third of the range.
    """
    ordered = sorted(values, reverse=better == "higher")
    best, worst = ordered[0], ordered[-1]
    if len(ordered) < _FEW:
        return min(best, worst), max(best, worst)
    near = [value for value in ordered if not _beyond(value, _fence(ordered, better), better)]
    if better == "lower" and best > 0 and worst / best > _WIDE:
        kept = [value for value in kept if value <= _FAR * best]
    edge = sorted([near[-1], *kept], reverse=better == "higher")[-1]
    if abs(worst - best) < 1.5 * abs(edge - best):
        edge = worst
    return min(best, edge), max(best, edge)


def _fence(ordered: Sequence[float], better: str) -> float:
    """The worst value that is near; the values from the best to the worst."""
    best, worst = ordered[0], ordered[-1]
    if better == "lower" and best > 0 and worst / best > _WIDE:
        return max(_NEAR * best, ordered[len(ordered) // 4])
    last = len(ordered) - 1
    first, third = ordered[math.floor(0.25 * last)], ordered[math.ceil(0.75 * last)]
    return third + 1.5 * (third - first)


def _beyond(value: float, fence: float, better: str) -> bool:
    return value > fence if better == "lower" else value < fence


def _with_bars(low: float, high: float, costs: Sequence[Cost], log: bool) -> tuple[float, float]:
    """The range with its error bars, but for those so long that the points would shrink to a spot."""
    if log:
        room = (high / low) ** 1.5
        below, above = max(low / room, _LEAST), high * room
    else:
        room = max(2 * (high - low), 0.3 * abs(high))
        below, above = low - room, high + room
    bars = [cost for cost in costs if below <= cost.low and cost.high <= above]
    ends = [_drawable(end) for cost in bars for end in (cost.low, cost.high)]
    return min([low, *ends]), max([high, *ends])


def _linear_ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for leads in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1,)):
        ticks = [lead * 10.0**d for d in decades for lead in leads if low <= lead * 10.0**d <= high]
        if len(ticks) <= (5 if len(leads) > 4 else 8):
            return ticks
    return ticks[:: math.ceil(len(ticks) / 8)]


def _tick(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        return number(value, 3)
    return trimmed(number(float(f"{value:.4g}"))) if value % 1 else f"{value:,.0f}"
