"""Every cheat, through the real runner, ends as `failed` for the right reason. A new cheat is a file beside this one.

A cheat's file holds one method on the arena (arena/suite.py) and REASON, with which the record's reason begins; DEVICE
where it needs another than the CPU.
"""

import importlib
import time
from pathlib import Path

import pytest
import torch

from bench.contract.registry import Registry, read_suite_info
from bench.record import store
from bench.record.schema import Record
from bench.run.plan import make_plan
from bench.run.runner import run_plan

HERE = Path(__file__).parent
CHEATS = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith(("test_", "conftest", "__")))
NEED_CUDA = {name for name in CHEATS if 'DEVICE = "cuda"' in (HERE / f"{name}.py").read_text()}


def method_of(module: str):  # type: ignore[no-untyped-def]
    return next(
        value
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type) and value.__module__ == module and "card" in vars(value)
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):  # type: ignore[no-untyped-def]
    """(module of the method, its class, device) -> its record."""
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=":")
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("ARENA_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("ARENA_SURVIVOR", str(tmp_path / "survivor"))
    from arena.methods import Dense
    from arena.suite import ArenaSuite

    ArenaSuite.info = read_suite_info(HERE / "arena" / "suite.toml")

    def run_one(method, device: str = "cpu") -> Record:  # type: ignore[no-untyped-def]
        methods = {cls.card.slug: cls for cls in (Dense, method)}
        registry = Registry(methods, {"arena": ArenaSuite()}, ())
        jobs = make_plan(registry, suite="arena", methods=[method.card.slug], scale="tiny", device=device, threads=1)
        (record,) = run_plan(registry, jobs, tmp_path / "results")
        return record

    return run_one


@pytest.mark.parametrize(
    "cheat",
    [pytest.param(name, marks=pytest.mark.gpu) if name in NEED_CUDA else name for name in CHEATS],
)
def test_a_cheat_fails_for_the_right_reason(cheat: str, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    method = method_of(cheat)
    module = importlib.import_module(cheat)
    device = getattr(module, "DEVICE", "cpu")
    if cheat in NEED_CUDA and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    record = run(method, device)
    assert record.status == "failed", record.reason
    assert str(record.reason).startswith(module.REASON)
    stored, broken = store.read_all(tmp_path / "results")
    assert ([each.id for each in stored], broken) == ([record.id], [])


def test_an_honest_method_passes(run) -> None:  # type: ignore[no-untyped-def]
    from arena.methods import Honest

    record = run(Honest)
    assert (record.status, record.reason) == ("ok", None)
    assert record.timings["forward"]["latency"].candidate


def test_no_process_of_a_cheat_lives_on(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run(method_of("leaves_a_process_at_the_end"))
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        assert not (tmp_path / "survivor").exists()
        time.sleep(0.1)
