"""Meeting the limits of an operating point by compressing as little as it takes."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from methods._techniques.fewest import fewest
from suites.lm_compression.task import CausalLMTask

NO_LIMIT = "needs a limit on stored bytes or FLOPs per token: without one it would be the dense model"


def first_met(task: CausalLMTask, costs: Sequence[int], candidate: Callable[[int], Any]) -> int:
    """The smallest count from 0 to len(costs) whose candidate meets the limits; figures must not grow with the count.

    costs: about what each further step saves. candidate(count): fit for weighing. Raises OverBudget if not even the
    last is enough.
    """

    @cache
    def excess(count: int) -> float:
        figures = task.weigh(candidate(count))
        if count == len(costs):
            task.limits.check_result(figures)
        return task.limits.excess(figures)

    return fewest(costs, excess)
