"""The figures that the judge weighs and counts of what is served."""

from collections.abc import Mapping
from typing import Any

from bench.contract import Problem
from bench.measure.flops import Flops, UncountedOperatorError
from bench.run.inspection import check_counted
from bench.run.order import Order
from bench.run.servers import Served
from bench.run.weigh import ELEMENTWISE


def figures_of(
    served: Served,
    stored_bytes: int,
    order: Order,
    problem: Problem[Any, Any],
    reference: Mapping[str, float] | None,
    missing: dict[str, str],
) -> dict[str, float]:
    """stored_bytes: of the artefact on disk. reference: figures of the baseline; None for its own. missing: filled with
    what could not be counted, and why."""
    found = {"stored_bytes": float(stored_bytes)}
    found |= {str(name): float(value) for name, value in dict(served.remote.figures()).items()}
    step = problem.counted(problem.task_at_hand(order.baseline_setting))
    if step is not None:
        served.side.load([step])
        try:
            work = served.side.work()
            check_counted(served.side)
            counted = Flops(int(work.products), int(work.elementwise))
            found[ELEMENTWISE] = work.elementwise / step.units
            base = found[ELEMENTWISE] if reference is None else reference.get(ELEMENTWISE, 0.0)
            found["flops"] = counted.beyond(base * step.units) / step.units
        except UncountedOperatorError as error:
            missing["flops"] = f"no count is known of {', '.join(error.operators)}"
    return found
