"""Each check finds what it is there for, and a method that is right passes all of them."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from bench.record.schema import Outcome
from bench.registry import Listed, Registry
from bench.registry.content import Contents
from bench.registry.literals import NotLiteral, methods_written
from bench.registry.tree import WorkTree
from bench.run.local import LocalExecutor
from bench.run.plan import Job
from bench.submit.checks import METHOD_CHECKS, SUITE_CHECKS
from bench.submit.subject import MethodSubject, SuiteSubject
from bench.submit.trials import Trial, Trials
from tests.bench.small_checkout import make_checkout, registry_of
from tests.conftest import TOY

GOOD = '''"""Keeping Halves (Doe and Roe, 2020), https://example.org/halves."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.contract import Card, Claim, Method
from effbench_toy.shrink import ToyTask


@dataclass(frozen=True)
class FirstHalf(Method[ToyTask]):
    """Keeps the first half of the base, in its order, which is all that anybody could ask of a toy."""

    card = Card(
        slug="first-half",
        suite="toy",
        title="First half",
        paper="Doe and Roe, 2020. Keeping Halves",
        url="https://example.org/halves",
        claims=(Claim(text="Beats chance", source="section 2", metric="error", versus="toy-half"),),
    )
    variants = {"default": {}, "third": {"share": 0.33}}
    share: float = 0.5

    def supports(self, task: ToyTask) -> str | None:
        return None

    def build(self, task: ToyTask) -> Tensor:
        task.calibration(10)
        return task.base[: int(self.share * len(task.base))].clone()
'''

MethodOf = Callable[..., MethodSubject]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package for one method."""
    folder = tmp_path_factory.mktemp("plug-in") / "planted"
    folder.mkdir()
    (folder / "__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def executor(planted: Path) -> Iterator[LocalExecutor]:
    """One warm process for all tests. What its runs import is written anew by each."""
    path = os.pathsep.join([str(planted.parent), str(TOY), str(Path(__file__).parents[3])])
    with LocalExecutor(variables={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}) as made:
        yield made


@pytest.fixture
def method_of(
    toy_registry: Registry, planted: Path, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MethodOf]:
    """Makes a subject of GOOD with pieces replaced, given as pairs of old and new."""
    monkeypatch.syspath_prepend(str(planted.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget() -> None:
        importlib.invalidate_caches()
        for name in [name for name in sys.modules if name.split(".")[0] == "planted"]:
            del sys.modules[name]

    def make(*replacements: tuple[str, str]) -> MethodSubject:
        source = GOOD
        for old, new in replacements:
            assert source.count(old) == 1, old
            source = source.replace(old, new)
        file = planted / "first_half.py"
        file.write_text(source)
        forget()
        (written,) = methods_written(source.encode())
        listed = Listed(
            "toy", "planted.first_half", written.name, "external", PurePosixPath(file), written.card, written.doc,
            written.variants, written.at_point,
        )  # fmt: skip
        tree = WorkTree(toy_registry.tree.root, frozenset({"planted", "effbench_toy"}))  # type: ignore[attr-defined]
        methods = {**toy_registry.methods, ("toy", "first-half"): listed}
        registry = replace(toy_registry, tree=tree, methods=methods, contents=Contents(tree))
        return MethodSubject(registry, listed, Trials(registry, executor))

    yield make
    forget()


def failures(subject: MethodSubject) -> dict[str, list[str]]:
    """Problems by the name of the check that found them; all but the slow check of types."""
    found = {check.name: list(check.problems(subject)) for check in METHOD_CHECKS if check.name != "types"}
    return {name: problems for name, problems in found.items() if problems}


def test_a_good_method_passes_every_check(method_of: MethodOf) -> None:
    assert failures(method_of()) == {}


CALIBRATE = "task.calibration(10)"
SUPPORTED = "        return None"
TOP = "import torch\n"
DOCSTRING = "Keeping Halves (Doe and Roe, 2020), https://example.org/halves"
FIELD = "share: float = 0.5"
CLASS = "\n\n@dataclass"

FAULTS = {
    "card: url is missing": [('        url="https://example.org/halves",\n', "")],
    "card: names no year": [("Doe and Roe, 2020. Keeping", "Doe and Roe. Keeping")],
    "card: title is empty": [('title="First half"', 'title=" "')],
    "card: notes have 301 characters": [('suite="toy",', f'suite="toy", notes="{"x" * 301}",')],
    "card: has 251 characters": [('suite="toy",', f'suite="toy", differences=("{"x" * 251}",),')],
    "claims: names no place": [('"section 2"', '"the paper"')],
    "claims: is no score or cost": [('metric="error"', 'metric="accuracy"')],
    "claims: is no method of toy": [('"toy-half"', '"dense"')],
    "claims: toy-half has no such variant": [('"toy-half"', '"toy-half:most"')],
    "claims: it never runs at points='third'": [('versus="toy-half"', 'versus="toy-half", points=("third",)')],
    "claims: variant='fifth' is none of default, third": [('versus="toy-half"', 'versus="toy-half", variant="fifth"')],
    "docstrings: does not begin with": [(f'"""{DOCSTRING}."""', "")],
    "docstrings: names the paper": [(DOCSTRING, "A method")],
    "docstrings: fewer than": [(", in its order, which is all that anybody could ask of a toy", "")],
    "fields: is no plain value": [(FIELD, f"{FIELD}\n    table: object = frozenset()")],
    "fields: which is no field": [('"third": {"share"', '"third": {"part"')],
    "fields: at_point sets 'part', which is no field": [(FIELD, f'at_point = {{"half": {{"part": 1}}}}\n    {FIELD}')],
    "fields: can't be made": [(FIELD, "share: float")],
    "imports: bench.run.local.LocalExecutor: of the engine": [
        (TOP, f"{TOP}from bench.run.local import LocalExecutor\n")
    ],
    "imports: close_exam: of the engine": [(TOP, f"{TOP}from bench.contract.exam import close_exam\n")],
    "imports: cache_root: of the engine": [(TOP, f"{TOP}from bench.contract.cache import cache_root\n")],
    "imports: belongs to the methods of another suite": [
        (TOP, f"{TOP}from methods.lm_compression._limits import NO_LIMIT\n")
    ],
    "imports: is another suite": [(TOP, f"{TOP}from suites.lm_compression.task import Split\n")],
    "imports: no declared dependency": [(TOP, f"{TOP}import hypothesis\n")],
    "imports: is not installed": [
        (SUPPORTED, "        if task is None:\n            import no_such\n        return None")
    ],
    "imports: has no network": [(TOP, f"{TOP}import urllib.request\n")],
    "finished: first_half.py:1": [(DOCSTRING, f"TODO: {DOCSTRING}")],
    "budget: over_budget: stored_ratio": [('"third": {"share": 0.33}', '"most": {"share": 0.9}')],
    "budget: failed: ValueError: no": [(CALIBRATE, "raise ValueError('no')")],
    "budget: over_budget: calibration_tokens": [(CALIBRATE, "task.calibration(101)")],
    "budget: say it in a sentence": [(SUPPORTED, '        return None if task.limits.result else "no"')],
    "budget: ok at no operating point": [(SUPPORTED, '        return "runs on another machine alone"')],
    "determinism: differ in score error": [
        ("].clone()", "] * CHANCE"),
        (CLASS, f"\nCHANCE = __import__('random').SystemRandom().random()\n{CLASS}"),
    ],
    "determinism: differ in what was drawn": [
        (CALIBRATE, "task.calibration(__import__('random').SystemRandom().randrange(1, 100))"),
    ],
    "determinism: set stochastic=True": [("].clone()", "] * (1 + task.seed)")],
    "network: 192.0.2.1": [(CALIBRATE, "__import__('socket').create_connection(('192.0.2.1', 80))")],
}
"""What the check of that name must say of GOOD with these pieces replaced."""


@pytest.mark.parametrize("expected", FAULTS)
def test_a_planted_fault_is_found(expected: str, method_of: MethodOf) -> None:
    name, _, problem = expected.partition(": ")
    [check] = [check for check in METHOD_CHECKS if check.name == name]
    problems = list(check.problems(method_of(*FAULTS[expected])))
    assert any(problem in line for line in problems), problems


def test_a_card_that_is_computed_is_no_card(method_of: MethodOf) -> None:
    with pytest.raises(NotLiteral, match="has to be written out"):
        method_of(('title="First half"', 'title="first half".title()'))


def test_evaluation_data_is_out_of_reach(method_of: MethodOf) -> None:
    peek = "__import__('bench.contract.exam', fromlist=['x']).only_the_judge('the held-out half')"
    found = failures(method_of(("task.calibration(10)", peek)))
    assert "the held-out half" in found["evaluation"][0], found


def test_a_swallowed_refusal_still_counts(method_of: MethodOf) -> None:
    call = "__import__('socket').getaddrinfo('example.org', 80)"
    quiet = f"try:\n            {call}\n        except OSError:\n            pass"
    found = failures(method_of(("task.calibration(10)", quiet)))
    assert set(found) == {"network"}
    assert "example.org" in found["network"][0]


def test_a_fault_fails_its_own_check_alone(method_of: MethodOf) -> None:
    assert set(failures(method_of(('"section 2"', '"the paper"')))) == {"claims"}


@pytest.mark.slow
def test_types_are_checked(method_of: MethodOf) -> None:
    [types] = [check for check in METHOD_CHECKS if check.name == "types"]
    assert list(types.problems(method_of())) == []
    found = list(types.problems(method_of(("share: float = 0.5", 'share: float = "half"'))))
    assert any("first_half.py" in line and "Incompatible types" in line for line in found)


def test_a_suite_without_readme_and_methods_is_told_both(toy_registry: Registry, executor: LocalExecutor) -> None:
    subject = SuiteSubject(toy_registry, "toy", Trials(toy_registry, executor))
    found = {check.name: list(check.problems(subject)) for check in SUITE_CHECKS}
    assert "README.md is missing" in found["readme"][0]
    assert found["methods"] == ["no method but controls"]
    assert "no cost is primary" in found["info"][0]
    assert found["tiny"] == found["imports"] == []


@pytest.mark.parametrize(
    ("trial", "problem"),
    [
        (Trial(Outcome(status="ok"), 2.9), None),
        (Trial(Outcome(status="ok"), 3.1), "toy-dense at quick, seed 0 takes 3.1 processor seconds; 3 at most"),
        (Trial(Outcome(status="failed", reason="no data"), 0.1), "toy-dense at quick, seed 0: failed: no data"),
    ],
)
def test_a_suite_is_held_to_seconds_at_tiny_scale(trial: Trial, problem: str | None, toy_registry: Registry) -> None:
    [tiny] = [check for check in SUITE_CHECKS if check.name == "tiny"]
    subject = SuiteSubject(toy_registry, "toy", lambda job: trial)
    assert list(tiny.problems(subject)) == [problem] * (problem is not None)


def test_what_is_made_once_is_not_held_against_a_suite(toy_registry: Registry) -> None:
    seconds = iter([9.0, 0.5])
    [tiny] = [check for check in SUITE_CHECKS if check.name == "tiny"]
    subject = SuiteSubject(toy_registry, "toy", lambda job: Trial(Outcome(status="ok"), next(seconds)))
    assert list(tiny.problems(subject)) == []


def test_a_trial_tells_the_processor_seconds_of_all_its_processes(method_of: MethodOf) -> None:
    busy = "__import__('subprocess').run([__import__('sys').executable, '-c', 'sum(range(60_000_000))'])"
    seconds = []
    for replacements in ([], [(CALIBRATE, busy)]):
        subject = method_of(*replacements)
        seconds.append(subject.runner(subject.jobs[0]).processor_seconds)
    assert 0 < seconds[0] < seconds[1] - 0.3


def no_run(job: Job) -> Trial:
    raise AssertionError(f"{job.label} is not to be run")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("import hypothesis", "hypothesis: comes with hypothesis, which is no declared dependency"),
        ("from suites.other.task import Task", "is another suite"),
        ("from methods.demo.family.alpha import Made", "a suite knows no method"),
        ("from bench.run.local import LocalExecutor", "of the engine a suite sees bench.contract"),
        ("from suites._shared import tool", None),
        ("from bench.contract.cache import made_once", None),
        ("import torch", None),
    ],
)
def test_what_a_suite_may_import(
    line: str, problem: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_checkout(tmp_path)
    (root / "suites/demo/helper.py").write_text(f"{line}\n")
    monkeypatch.setattr("bench.submit.subject.ROOT", root)
    [check] = [check for check in SUITE_CHECKS if check.name == "imports"]
    found = list(check.problems(SuiteSubject(registry_of(root), "demo", no_run)))
    assert [problem in each for each in found if problem] == [True] * (problem is not None)
    assert len(found) == (problem is not None)


def test_a_library_that_the_suite_requires_is_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_checkout(tmp_path)
    (root / "suites/demo/helper.py").write_text("import hypothesis\n")
    toml = root / "suites/demo/suite.toml"
    toml.write_text(toml.read_text() + '[requires]\nlibraries = ["hypothesis"]\n')
    monkeypatch.setattr("bench.submit.subject.ROOT", root)
    [check] = [check for check in SUITE_CHECKS if check.name == "imports"]
    assert list(check.problems(SuiteSubject(registry_of(root), "demo", no_run))) == []


def test_a_quick_look_is_at_one_run(method_of: MethodOf) -> None:
    whole = method_of()
    job = whole.jobs[0]
    quick = MethodSubject(whole.registry, whole.listed, whole.runner, quick=job)
    assert [(each, trial.outcome.status) for each, trial in quick.trials()] == [(job, "ok")]
    assert not job.timed
    assert failures(quick) == {}
    assert {job.variant for job, _ in whole.trials()} == {"default", "third"}
    assert any(job.timed for job, _ in whole.trials())
