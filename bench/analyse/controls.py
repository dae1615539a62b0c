"""Controls: what anyone would try first. A method that does not beat them beyond the noise is shown so."""

from collections.abc import Sequence

from bench.analyse.compare import MARGIN, improvement
from bench.analyse.rows import Row
from bench.analyse.summary import lookup, row_costs, row_quality
from bench.contract import Metric
from bench.measure.statistics import verdict


def control_band(controls: Sequence[Row], metric: Metric) -> tuple[float, float] | None:
    """Smallest and largest value of the metric among the controls of one board; None without any."""
    found = [lookup(row_quality(row), row_costs(row), metric.name).value for row in controls if row.ok]
    values = [value for value in found if value is not None]
    return (min(values), max(values)) if values else None


def unbeaten(row: Row, controls: Sequence[Row], primary: Metric, costs: Sequence[Metric]) -> list[str]:
    """Names of the controls of the same board that the row does not beat.

    It beats a control if it is surely better by the primary score (paired, item by item). Where the scores cannot be
    told apart it also beats it by being surely more than MARGIN better in one of the costs and surely worse in none.
    """
    return [control.name for control in controls if control.ok and not _beats(row, control, primary, costs)]


def _beats(row: Row, control: Row, primary: Metric, costs: Sequence[Metric]) -> bool:
    score = improvement(row, control, primary)
    if score is None or score.high < 0:
        return False
    if score.low > 0:
        return True
    changes = [improvement(row, control, metric) for metric in costs]
    verdicts = [verdict(change.low, change.high, MARGIN) for change in changes if change is not None]
    return "better" in verdicts and "worse" not in verdicts
