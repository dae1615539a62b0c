"""`effbench run --sandbox` and `--submission`, from the selection to the records."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.record.environment import check_device
from bench.record.schema import Record
from bench.run import local
from bench.run.runner import Executor, Planned, run_planned
from bench.run.sandbox import NoSandbox
from bench.run.sandbox.bubblewrap import find
from bench.run.sandbox.catalogue import read_catalogue
from bench.run.sandbox.launch import Confinement
from bench.run.sandbox.planner import plan_confined
from bench.run.sandbox.resources import Resources


def confinement_of(tree: Path, *, required: bool, tell: Callable[[str], None]) -> Confinement:
    """What there is here. Without a sandbox raise NoSandbox if it is required, else say so and keep the limits."""
    try:
        return Confinement(find(tree), Resources.of_this_machine())
    except NoSandbox as reason:
        if required:
            raise NoSandbox(f"untrusted code runs in a sandbox or not at all: {reason}") from reason
        tell(f"no sandbox: {reason}. The runs are held to limits alone, and can read and reach what you can")
        return Confinement(None, Resources.of_this_machine())


def plan_selection(
    tree: Path, confinement: Confinement, *, suites: Sequence[str], tell: Callable[[str], None], **selection: Any
) -> list[Planned]:
    """selection: what make_plan takes beside the suite. suites: none means all."""
    check_device(selection["device"])
    catalogue = read_catalogue(tree)
    for problem in catalogue.problems:
        tell(problem)
    return [
        planned
        for suite in suites or sorted(catalogue.suites)
        for planned in plan_confined(catalogue, confinement, suite=suite, tell=tell, **selection)
    ]


def run_confined(
    plan: Sequence[Planned], confinement: Confinement, results: Path, *, tree: Path, **options: Any
) -> list[Record]:
    """options: those of run_planned."""
    executor = executor_of(confinement)
    return run_planned(plan, results, executor=executor, root=tree, isolation=confinement.isolation, **options)


def executor_of(confinement: Confinement) -> Executor:
    """The local executor, confined."""
    return partial(local.execute, confinement=confinement)
