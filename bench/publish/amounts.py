"""How much better something is, as people read it: in percent, or in the unit of what is compared in absolute terms."""

from bench.analyse.compare import Improvement
from bench.publish.format import gain, interval, number, with_unit
from bench.registry.metrics import Metric


def word_of(low: float, high: float, margin: float) -> str:
    """An interval of an improvement in a word: "better" or "worse" where it is sure, "same" where it surely does not
    matter, else "unsure"."""
    if low > 0 or high < 0:
        return "better" if low > 0 else "worse"
    return "same" if low >= -margin and high <= margin else "unsure"


def amount(change: Improvement, metric: Metric | None) -> tuple[str, str]:
    """The improvement and its interval; the interval is empty where it has no width or no end."""
    if metric is not None and metric.difference == "absolute":
        sign = "+" if change.value > 0 else ""
        return sign + with_unit(number(change.value, 3), metric.unit), interval(change.low, change.high, change.value)
    if change.value < -1:  # in factors, as the amount itself
        return gain(change.value), interval(1 - change.high, 1 - change.low, change.value, digits=2)
    within = interval(100 * change.low, 100 * change.high, change.value, digits=3)
    return gain(change.value, 3), within.replace("]", "] %")
