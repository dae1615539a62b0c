"""What every registered method must do, at tiny scale: the checks of `effbench check`, without writing a test."""

import ast
import gc
import sys
from collections.abc import Iterator

import pytest

from bench.contract.registry import load
from bench.contract.sources import sources
from bench.submit.checks import METHOD_CHECKS, finished
from bench.submit.checks.check import Check, NotChecked
from bench.submit.subject import MethodSubject
from bench.submit.trials import run_here

REGISTRY = load()
SUBJECTS = {slug: MethodSubject(REGISTRY, slug, run_here, thorough=False) for slug in sorted(REGISTRY.methods)}
CHECKS = [check for check in METHOD_CHECKS if check is not finished.METHOD_CHECK]
"""A method conforms from its first draft on; whether nothing is left of the template is a question to submissions."""


@pytest.fixture(scope="module", autouse=True)
def libraries_out_of_the_way() -> Iterator[None]:
    """Each run collects garbage a few times, and need not look at the libraries, once loaded, every time. Nor need
    lm-eval ask pip what is installed whenever it scores: it takes a second, and nothing here reads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
        for slug in {SUBJECTS[slug].info.baseline for slug in SUBJECTS}:
            SUBJECTS[slug].timed_jobs()
        gc.collect()
        gc.freeze()
        yield


TABLES = ("variants", "at_point")


def test_everything_could_be_imported() -> None:
    assert REGISTRY.problems == ()


@pytest.mark.parametrize("slug", SUBJECTS)
def test_no_method_reads_a_table_of_settings(slug: str) -> None:
    """Sources count without them (bench/contract/sources.py): what a run makes of a variant is in its own fields."""
    for path in sources(sys.modules[REGISTRY.method(slug).__module__]):
        nodes = ast.walk(ast.parse(path.read_bytes()))
        assert not [node.lineno for node in nodes if isinstance(node, ast.Attribute) and node.attr in TABLES], path


@pytest.mark.parametrize("slug", [pytest.param(slug, marks=pytest.mark.xdist_group(slug)) for slug in SUBJECTS])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_method(slug: str, check: Check[MethodSubject]) -> None:
    passes(check, SUBJECTS[slug])


@pytest.mark.slow
@pytest.mark.parametrize("slug", SUBJECTS)
def test_method_with_every_variant_at_every_point(slug: str) -> None:
    subject = MethodSubject(REGISTRY, slug, run_here)
    for check in CHECKS:
        passes(check, subject)


def passes(check: Check[MethodSubject], subject: MethodSubject) -> None:
    try:
        problems = list(check.problems(subject))
    except NotChecked as missing:
        pytest.skip(str(missing))
    assert not problems, f"to mend it: {check.mend}"
