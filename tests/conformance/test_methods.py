"""What every registered method must do, at tiny scale: the checks of `effbench check`, without writing a test."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.run.plan import Job
from bench.submit.checks import METHOD_CHECKS, budget, determinism, evaluation, finished, network, precision, types
from bench.submit.checks.check import Check, NotChecked
from bench.submit.subject import MethodSubject
from bench.submit.trials import Trials
from tests.conformance.one_process import Kept
from tests.conformance.places import REGISTRY, first_supported

LISTED = {listed.full_name: listed for _, listed in sorted(REGISTRY.methods.items())}
CHECKS = [check for check in METHOD_CHECKS if check is not finished.METHOD_CHECK]
"""A method conforms from its first draft on; whether nothing is left of the template is a question to submissions."""
RUN = (budget.CHECK, precision.CHECK, network.CHECK, evaluation.CHECK)
"""Of one run: what another tells besides is in test_candidates.py, and among the slow ones."""
READ = [check for check in CHECKS if check not in (*RUN, determinism.CHECK, types.CHECK)]
TABLES = ("variants", "at_point")
FIRST_OF_FAMILY = {(listed.suite, listed.family): name for name, listed in reversed(LISTED.items())}
"""The parties of a run are the same for all; test_candidates.py holds every method in one process."""


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials(REGISTRY) as trials:
        yield trials


def subject_of(name: str, trials: Trials, quick: Job | None = None) -> MethodSubject:
    return MethodSubject(REGISTRY, LISTED[name], trials, quick, together=tuple(LISTED.values()))


def test_everything_could_be_read() -> None:
    assert REGISTRY.faults == ()


@pytest.mark.parametrize("name", LISTED)
def test_no_method_reads_a_table_of_settings(name: str) -> None:
    """They are no part of what a method comes from: what a run makes of a variant is in its own fields."""
    for place in REGISTRY.content(LISTED[name]).places:
        nodes = ast.walk(ast.parse(REGISTRY.tree.read(place)))
        assert not [node.lineno for node in nodes if isinstance(node, ast.Attribute) and node.attr in TABLES], place


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("check", READ, ids=lambda check: check.name)
def test_method(name: str, check: Check[MethodSubject], trials: Trials) -> None:
    passes(check, subject_of(name, trials))


@pytest.mark.xdist_group("types")  # all files are looked at in one go, so that who is first takes a while
@pytest.mark.parametrize("name", LISTED)
def test_method_is_typed(name: str, trials: Trials) -> None:
    passes(types.CHECK, subject_of(name, trials))


def run_of(name: str) -> Any:
    quick = name in FIRST_OF_FAMILY.values()
    return pytest.param(name, marks=[pytest.mark.xdist_group(name), *([] if quick else [pytest.mark.slow])])


@pytest.mark.parametrize("name", [run_of(name) for name in LISTED])
def test_method_is_run(name: str, trials: Trials, kept: Kept, tmp_path: Path) -> None:
    """Its first variant, at the first operating point that it supports, by the parties of any run."""
    job, _ = first_supported(LISTED[name], tmp_path, kept)
    subject = subject_of(name, trials, job)
    for check in RUN:
        passes(check, subject)


@pytest.mark.slow
@pytest.mark.parametrize("name", LISTED)
def test_method_with_every_variant_at_every_point(name: str, trials: Trials) -> None:
    subject = subject_of(name, trials)
    for check in CHECKS:
        passes(check, subject)


def passes(check: Check[MethodSubject], subject: MethodSubject) -> None:
    try:
        problems = list(check.problems(subject))
    except NotChecked as missing:
        pytest.skip(str(missing))
    assert not problems, f"to mend it: {check.mend}"
