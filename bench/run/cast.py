"""A problem whose base is of another type of number than its scale has: for trials of toy weights in the type of the
real ones."""

import types
from typing import Any

from bench.contract import Problem, Setting, Task


def in_dtype(problem: Problem[Any, Any], dtype: str) -> Problem[Any, Any]:
    """The problem itself; from now on the `load_model` of every task that it makes gives weights of this type, a name
    of torch's such as "bfloat16". Raises TypeError, with the first task, for a problem whose tasks have none."""
    make = problem.task

    def task(self: Problem[Any, Any], setting: Setting) -> Task:
        made: Any = make(setting)
        load = getattr(made, "load_model", None)
        if load is None:
            raise TypeError(f"{type(made).__name__} has no load_model, so that its base can't be had in {dtype}")
        made.load_model = lambda: _cast(load(), dtype)
        return made  # type: ignore[no-any-return]

    problem.task = types.MethodType(task, problem)  # type: ignore[method-assign]
    return problem


def _cast(model: Any, dtype: str) -> Any:
    """As a model comes that is loaded in this type: what is never stored (the angles of positions) stays as it is."""
    import torch

    wanted = getattr(torch, dtype)
    stored = model.state_dict(keep_vars=True)
    for tensor in stored.values():
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(wanted)
    model.config.dtype = wanted
    return model
