"""What every registered method must do, at tiny scale: the checks of `effbench check`, without writing a test."""

import ast
from collections.abc import Iterator

import pytest

from bench.registry import open_registry
from bench.submit.checks import METHOD_CHECKS, finished
from bench.submit.checks.check import Check, NotChecked
from bench.submit.subject import MethodSubject
from bench.submit.trials import Trials

REGISTRY = open_registry()
LISTED = {f"{listed.suite}/{listed.slug}": listed for _, listed in sorted(REGISTRY.methods.items())}
CHECKS = [check for check in METHOD_CHECKS if check is not finished.METHOD_CHECK]
"""A method conforms from its first draft on; whether nothing is left of the template is a question to submissions."""
TABLES = ("variants", "at_point")

Subjects = dict[str, MethodSubject]


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials(REGISTRY) as trials:
        yield trials


@pytest.fixture(scope="module")
def subjects(trials: Trials) -> Subjects:
    together = tuple(LISTED.values())
    return {
        name: MethodSubject(REGISTRY, listed, trials, thorough=False, together=together)
        for name, listed in LISTED.items()
    }


def test_everything_could_be_read() -> None:
    assert REGISTRY.faults == ()


@pytest.mark.parametrize("name", LISTED)
def test_no_method_reads_a_table_of_settings(name: str) -> None:
    """They are no part of what a method comes from: what a run makes of a variant is in its own fields."""
    for place in REGISTRY.content(LISTED[name]).places:
        nodes = ast.walk(ast.parse(REGISTRY.tree.read(place)))
        assert not [node.lineno for node in nodes if isinstance(node, ast.Attribute) and node.attr in TABLES], place


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in LISTED])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_method(name: str, check: Check[MethodSubject], subjects: Subjects) -> None:
    passes(check, subjects[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", LISTED)
def test_method_with_every_variant_at_every_point(name: str, trials: Trials) -> None:
    subject = MethodSubject(REGISTRY, LISTED[name], trials)
    for check in CHECKS:
        passes(check, subject)


def passes(check: Check[MethodSubject], subject: MethodSubject) -> None:
    try:
        problems = list(check.problems(subject))
    except NotChecked as missing:
        pytest.skip(str(missing))
    assert not problems, f"to mend it: {check.mend}"
