"""Work shared out over the processor's cores."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

from bench.record.environment import usable_cores

Result = TypeVar("Result")


def each(function: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], heavy: bool) -> Iterator[Result]:
    """function(*job) of every job, in any order. An error in one is raised here.

    Work that is not heavy (a second or less) is done by this process. Otherwise processes are forked, so that they
    have the jobs and all that was loaded without a copy; where there is no fork, this process does the work.
    """
    cores = min(usable_cores(), len(jobs))
    if not heavy or cores < 2 or "fork" not in multiprocessing.get_all_start_methods():
        for job in jobs:
            yield function(*job)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_begin, initargs=(function, jobs)) as pool:
        for future in as_completed([pool.submit(_work, index) for index in range(len(jobs))]):
            yield future.result()


_work_of_this_process: tuple[Callable[..., Any], Sequence[tuple[Any, ...]]]


def _begin(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> None:
    global _work_of_this_process  # noqa: PLW0603 (set once, when the process begins)
    _work_of_this_process = function, jobs


def _work(index: int) -> Any:
    function, jobs = _work_of_this_process
    return function(*jobs[index])
