"""Cheats are caught: each file beside this one breaks a rule, and is otherwise as honest as its honest variant.

They are methods of a small suite, the arena (arena/), and are run as all methods are.
"""

import ast
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.record.schema import Record
from bench.registry import Registry, open_registry
from bench.run.local import LocalExecutor
from bench.run.plan import Job
from bench.run.runner import ROOT, planned, run_planned

HERE = Path(__file__).parent
CHEATS = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith(("test_", "__")))
OUTLIVES_SECONDS = 10


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the arena for its suite and the cheats for its methods."""
    tree = tmp_path_factory.mktemp("arena")
    shutil.copytree(HERE / "arena", tree, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    cheats = tree / "methods" / "arena" / "cheats"
    cheats.mkdir()
    for name in CHEATS:
        shutil.copy(HERE / f"{name}.py", cheats)
    return tree


@pytest.fixture(scope="session")
def registry(arena: Path) -> Registry:
    return open_registry(arena, plugins=False)


@pytest.fixture(scope="session")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("left") / "behind"


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="session")
def executor(
    arena: Path, survivor: Path, results: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalExecutor]:
    variables = {
        "PYTHONPATH": f"{arena}:{ROOT}",
        "EFFBENCH_CACHE": str(tmp_path_factory.mktemp("cache")),
        "ARENA_SURVIVOR": str(survivor),
        "ARENA_RESULTS": str(results),
    }
    with pytest.MonkeyPatch.context() as patch, LocalExecutor(variables=variables) as executor:
        patch.setenv("EFFBENCH_CACHE", variables["EFFBENCH_CACHE"])
        yield executor


def described(name: str) -> dict[str, str]:
    """What a cheat's file says of itself. It is read, not run: what it imports is in the tree."""
    body = ast.parse((HERE / f"{name}.py").read_text()).body
    return {
        line.targets[0].id: ast.literal_eval(line.value)
        for line in body
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and line.targets[0].id.isupper()
        and isinstance(line.value, ast.Constant)
    }  # fmt: skip


def run(registry: Registry, executor: LocalExecutor, results: Path, name: str, variant: str) -> Record:
    device = described(name).get("DEVICE", "cpu")
    job = Job(
        suite="arena", problem="vectors", method=name.replace("_", "-"), variant=variant, point="half",
        scale="tiny", base="layers", seed=0, device=device, threads=1, timed=True, workloads=(),
    )  # fmt: skip
    (record,) = run_planned([planned(registry, job, results)], results, executor=executor, again=True)
    return record


def marked(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.gpu) if "DEVICE" in described(name) else name


@pytest.mark.parametrize("name", [*map(marked, CHEATS)])
def test_is_caught(
    registry: Registry, executor: LocalExecutor, results: Path, name: str, request: pytest.FixtureRequest
) -> None:
    expected = described(name)
    if "DEVICE" in expected:
        request.getfixturevalue(expected["DEVICE"])
    record = run(registry, executor, results, name, "default")
    assert record.status == expected.get("STATUS", "failed"), record.reason or record.log
    assert str(record.reason).startswith(expected["REASON"])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*map(marked, CHEATS)])
def test_is_otherwise_honest(
    registry: Registry, executor: LocalExecutor, results: Path, name: str, request: pytest.FixtureRequest
) -> None:
    if "DEVICE" in described(name):
        request.getfixturevalue(described(name)["DEVICE"])
    record = run(registry, executor, results, name, "honest")
    assert record.status == "ok", record.reason


def test_an_honest_one_gets_a_row(registry: Registry, executor: LocalExecutor, results: Path) -> None:
    record = run(registry, executor, results, "hides_weights_in_a_global", "honest")
    assert record.status == "ok", record.reason
    assert record.figures["stored_ratio"] == pytest.approx(0.5, abs=0.02)
    assert record.figures["flops_ratio"] == pytest.approx(0.5)
    assert record.timings["forward"]["latency"].candidate


def test_nothing_outlives_a_run(registry: Registry, executor: LocalExecutor, results: Path, survivor: Path) -> None:
    run(registry, executor, results, "leaves_a_process", "default")
    time.sleep(OUTLIVES_SECONDS)
    assert not survivor.exists()
