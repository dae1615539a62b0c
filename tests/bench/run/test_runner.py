"""The runner with methods that behave and methods that do not: every run ends as a record, and nothing else is lost."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.contract import MissingAsset
from bench.contract.cache import MADE_AGAIN
from bench.record import store
from bench.record.environment import NoSuchDevice
from bench.record.schema import Outcome, Record
from bench.registry import Registry, SuiteInfo, UnknownName, open_registry
from bench.run.local import LocalExecutor
from bench.run.plan import Job, Selection, key, make_plan, outstanding
from bench.run.runner import planned, run_plan


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    """One for all: the libraries are loaded once."""
    with LocalExecutor() as executor:
        yield executor


@pytest.fixture
def run(toy_registry: Registry, tmp_path: Path, executor: LocalExecutor) -> Callable[..., list[Record]]:
    executor.variables["PYTHONPATH"] = os.environ["PYTHONPATH"]

    def run(method: str, point: str = "half", results: Path = tmp_path, **options: Any) -> list[Record]:
        return run_plan(toy_registry, plan(toy_registry, method, point), results, executor=executor, **options)

    return run


def plan(registry: Registry, method: str, point: str = "half", **more: Any) -> list[Job]:
    return make_plan(registry, Selection("toy", [method], [point], scale="tiny", threads=1, **more))


def with_suite(registry: Registry, **changes: Any) -> Registry:
    """The registry with another toy suite."""
    info: SuiteInfo = replace(registry.suite("toy"), **changes)
    return replace(registry, suites={**registry.suites, "toy": info})


@pytest.mark.parametrize(
    ("method", "status", "reason"),
    [
        ("toy-raise", "failed", "RuntimeError: the build went wrong"),
        ("toy-exit", "failed", "the builder's process ended with exit code 3"),
        ("toy-signal", "failed", "signal 11"),
        ("toy-oom", "out_of_memory", "10 TiB"),
        ("toy-killed", "failed", "killed from outside (signal 9)"),
        ("toy-hungry", "over_budget", "build_memory_bytes"),
        ("toy-greedy", "over_budget", "calibration_tokens: 101 is over the limit of 100"),
        ("toy-large", "over_budget", "stored_ratio: 0.9"),
        ("toy-vandal", "ok", "None"),  # the baseline is in another process
        ("toy-dense", "unsupported", "over every limit"),
    ],
)
def test_every_end_is_a_record_with_a_reason(
    run: Callable[..., list[Record]], tmp_path: Path, method: str, status: str, reason: str
) -> None:
    (record,) = run(method)
    assert record.status == status
    assert reason in str(record.reason)
    stored, broken = store.read_all(tmp_path)
    assert ([each.id for each in stored], broken) == ([record.id], [])


def test_build_is_stopped_when_its_time_is_up(run: Callable[..., list[Record]]) -> None:
    (record,) = run("toy-slow-build", point="quick")
    assert (record.status, "build_seconds by the clock" in str(record.reason)) == ("over_budget", True)
    assert record.build is not None
    assert 5 <= record.build.seconds < 25  # of the 30 that it would have slept


def test_hang_is_stopped_by_the_timeout(run: Callable[..., list[Record]]) -> None:
    start = time.monotonic()
    (record,) = run("toy-deaf", timeout=12)
    assert (record.status, record.disturbed) == ("timeout", True)  # it had no work, as one that waits for a processor
    assert "stopped after 12 s" in str(record.reason)
    assert "(during: build)" in str(record.reason)
    assert time.monotonic() - start < 55  # of the 60 that it would have taken


def test_what_had_to_be_made_again_is_said(
    run: Callable[..., list[Record]],
    executor: LocalExecutor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    execute = executor.execute
    monkeypatch.setattr(
        executor, "execute", lambda *given: (execute(*given)[0], f"one thing\n/cache/data/it {MADE_AGAIN}\nanother")
    )
    (record,) = run("toy-raise")
    assert capsys.readouterr().err.count("/cache/data/it is not as it was made: it is made again") == 1
    assert record.status == "failed"


def test_no_child_of_a_run_survives_it(
    run: Callable[..., list[Record]], executor: LocalExecutor, tmp_path: Path
) -> None:
    survivor = tmp_path / "survivor"
    executor.close()
    executor.variables["TOY_SURVIVOR"] = str(survivor)
    (record,) = run("toy-fork", results=tmp_path / "results")
    assert (record.status, "process left behind" in str(record.reason)) == ("failed", True)
    time.sleep(5)
    assert not survivor.exists()


def test_a_good_run_leaves_samples_figures_and_provenance(run: Callable[..., list[Record]]) -> None:
    records = run("toy-half:default")
    assert [record.seed for record in records] == [0, 1, 2]  # the card says it is stochastic
    for record in records:
        assert record.status == "ok"
        assert record.quality["error"].samples == [50_000.0, 50_000.0 * (1 + record.seed)]
        assert record.figures["stored_ratio"] == pytest.approx(0.5, abs=0.01)
        timing = record.timings["sum"]["sum"]
        assert len(timing.candidate) == len(timing.baseline) >= 3
        assert record.build is not None
        assert record.build.drawn == {"calibration_tokens": 100}
        assert record.hyperparameters == {"share": 0.5}
        assert record.environment.versions["torch"]
        assert f"--method toy-half:default --point half --scale tiny --base ones --seed {record.seed}" in record.command


def outcome_of(registry: Registry, job: Job, executor: LocalExecutor) -> Outcome:
    return executor.execute(planned(registry, job).order, timeout=60)[0]


def test_suite_may_time_the_first_seeds_alone(toy_registry: Registry, executor: LocalExecutor) -> None:
    timing = toy_registry.suite("toy").timing
    registry = with_suite(toy_registry, timing={**timing, "tiny": {**timing["tiny"], "seeds": 1}})
    jobs = plan(registry, "toy-half:default")
    assert [job.timed for job in jobs] == [True, False, False]
    assert [bool(outcome_of(registry, job, executor).timings) for job in jobs] == [True, False, False]


def test_chosen_workloads_alone_are_timed(toy_registry: Registry, executor: LocalExecutor) -> None:
    (whole,) = plan(toy_registry, "toy-half:default", seeds=[0])
    (part,) = plan(toy_registry, "toy-half:default", seeds=[0], workloads=["sum"])
    assert set(outcome_of(toy_registry, part, executor).timings) == {"sum"}
    assert set(outcome_of(toy_registry, replace(part, workloads=("other",)), executor).timings) == set()
    assert " --workload sum --again" in part.command
    assert key(toy_registry, part) == key(toy_registry, whole)  # as without times, it answers for the scores
    with pytest.raises(UnknownName, match="sum"):
        plan(toy_registry, "toy-half:default", workloads=["sums"])
    with pytest.raises(UnknownName, match="prefill"):  # a cost with a dot in its name, and nothing that is timed
        make_plan(open_registry(), Selection("lm-compression", workloads=["build"]))


def test_what_is_recorded_is_not_run_again_unless_asked_or_changed(
    run: Callable[..., list[Record]], tmp_path: Path
) -> None:
    assert len(run("toy-half:third")) == 3
    assert run("toy-half:third") == []
    assert len(run("toy-half:third", again=True)) == 3
    assert len(store.read_all(tmp_path)[0]) == 6


def test_a_run_that_was_killed_from_outside_is_tried_again_and_then_told(
    run: Callable[..., list[Record]], capsys: pytest.CaptureFixture[str]
) -> None:
    (record,) = run("toy-killed")
    assert record.disturbed
    assert capsys.readouterr().err.count("it is run again") == 2
    assert len(run("toy-killed")) == 1  # it is no answer


def test_stale_record_is_outstanding(toy_registry: Registry, run: Callable[..., list[Record]]) -> None:
    (record,) = run("toy-large")
    jobs = plan(toy_registry, "toy-large")
    assert outstanding(toy_registry, jobs, [record]) == []
    assert outstanding(toy_registry, jobs, [record.model_copy(update={"key": "of another day"})]) == jobs


COMMAND = [
    sys.executable, "-m", "bench.cli", "run", "--suite", "toy", "--scale", "tiny", "--point", "half",
    "--threads", "1", "--method", "toy-half:default", "--results",
]  # fmt: skip


def records_in(folder: Path, count: int, seconds: float = 90) -> list[Record]:
    """Once there are so many."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and sum(1 for _ in folder.glob("*/*/*.jsonl")) == 0:
        time.sleep(0.05)
    while time.monotonic() < deadline and len(found := store.read_all(folder)[0]) < count:
        time.sleep(0.05)
    return found


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        signal.SIGKILL,
        *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_interrupted_run_keeps_what_is_done_and_continues(
    toy_registry: Registry, tmp_path: Path, number: signal.Signals
) -> None:
    command = [*COMMAND, str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ))
    records_in(tmp_path, 1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    before = store.read_all(tmp_path)[0]
    assert 1 <= len(before) < 3
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert b"continues where it stopped" in errors
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    after, broken = store.read_all(tmp_path)
    assert sorted(record.seed for record in after) == [0, 1, 2]
    assert after[: len(before)] == before
    assert broken == []


def test_two_runners_share_the_work(toy_registry: Registry, tmp_path: Path) -> None:
    command = [*COMMAND, str(tmp_path)]
    pair = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    for process in pair:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    found, broken = store.read_all(tmp_path)
    assert (sorted(record.seed for record in found), broken) == ([0, 1, 2], [])
    assert not list(tmp_path.glob(".claims/*"))


def test_door_names_the_nearest(toy_registry: Registry) -> None:
    for wanted, message in (
        (Selection("toy", ["toy-haf"]), "did you mean 'toy-half'"),
        (Selection("toy", points=["hlf"]), "did you mean 'half'"),
        (Selection("tooy"), "did you mean 'toy'"),
        (Selection("toy", scale="tny"), "did you mean 'tiny'"),
        (Selection("toy", ["toy-half:thrd"]), "did you mean 'third'"),
        (Selection("toy", base="twos"), "base"),
        (Selection("toy", ["lm-compression/dense"]), "unknown method of suite toy"),
    ):
        with pytest.raises(UnknownName, match=message):
            make_plan(toy_registry, wanted)


def test_selection_of_a_method_can_name_variant_and_point(toy_registry: Registry) -> None:
    wanted = Selection("toy", ["toy-half:third@half", "toy/toy-dense@unlimited"], seeds=[5])
    assert [(job.method, job.variant, job.point) for job in make_plan(toy_registry, wanted)] == [
        ("toy-half", "third", "half"),
        ("toy-dense", "default", "unlimited"),
    ]


def test_door_refuses_before_work(toy_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    jobs, of_a_gpu = plan(toy_registry, "toy-large"), plan(toy_registry, "toy-large", device="cuda")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(NoSuchDevice, match="--device cpu"):
        run_plan(toy_registry, of_a_gpu, tmp_path)

    with pytest.raises(store.ResultsNotWritable, match="--results DIR"):
        run_plan(toy_registry, jobs, blocked)

    with monkeypatch.context() as patch:
        patch.setattr(store, "FREE_BYTES_NEEDED", 10**18)
        with pytest.raises(store.ResultsNotWritable, match="free some space"):
            run_plan(toy_registry, jobs, tmp_path)

    from effbench_toy.shrink import Shrink

    monkeypatch.setattr(Shrink, "missing", lambda self, scale, base: "pip install weights")
    with pytest.raises(MissingAsset, match="pip install weights"):
        run_plan(toy_registry, jobs, tmp_path)
    assert not list(tmp_path.glob("*/*/*.jsonl"))


def test_command_says_bad_input_in_one_line(toy_registry: Registry, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.cli", "run", "--suite", "toi", "--results", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == "effbench: unknown suite 'toi'; did you mean 'toy'?"


def test_a_disk_that_fills_up_stops_the_plan_and_tears_nothing(
    toy_registry: Registry, run: Callable[..., list[Record]], tmp_path: Path
) -> None:
    (first,) = run("toy-large", point="unlimited")
    (path,) = tmp_path.glob("*/*/*.jsonl")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))  # for the runner alone
    try:
        with pytest.raises(store.ResultsNotWritable, match="make room"):
            run("toy-large", point="unlimited", again=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.read_all(tmp_path) == ([first], [])
    (again,) = run("toy-large", point="unlimited", again=True)
    assert [record.id for record in store.read_all(tmp_path)[0]] == [first.id, again.id]


def test_a_temporary_folder_without_room_is_no_fault_of_the_method(
    run: Callable[..., list[Record]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FREE_BYTES_NEEDED", 2**62)
    monkeypatch.setattr(store, "check_writable", lambda root: None)
    with pytest.raises(store.ResultsNotWritable, match="TMPDIR"):
        run("toy-raise")
    assert store.read_all(tmp_path) == ([], [])


def test_records_json_has_the_promised_fields(run: Callable[..., list[Record]], tmp_path: Path) -> None:
    run("toy-large", point="unlimited")
    done = subprocess.run(
        [sys.executable, "-m", "bench.cli", "records", "--json", "--results", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (row,) = json.loads(done.stdout)
    wanted = {"suite", "method", "point", "scale", "seed", "hardware", "status", "reason", "quality", "cost"}
    assert wanted <= set(row)
    assert row["quality"]["error"]["value"] == pytest.approx((10_000 + 90_000) / 2)
    assert row["cost"]["stored_bytes"]["value"] > 300_000
