"""The runner with methods that behave and methods that do not: every run ends as a record, and nothing else is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.contract import MissingAsset
from bench.contract.registry import Registry, UnknownName, load
from bench.record import store
from bench.record.environment import NoSuchDevice
from bench.record.schema import Record
from bench.run.plan import key, make_plan, outstanding
from bench.run.runner import run_plan
from bench.run.worker import run as run_in_process


def run(registry: Registry, results: Path, method: str, point: str = "half", **options: object) -> list[Record]:
    jobs = make_plan(registry, suite="toy", methods=[method], points=[point], scale="tiny", threads=1)
    return run_plan(registry, jobs, results, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "status", "reason"),
    [
        ("toy-raise", "failed", "RuntimeError: the build went wrong"),
        ("toy-exit", "failed", "code 3 during: build"),
        ("toy-signal", "failed", "SIGSEGV"),
        ("toy-oom", "out_of_memory", "10 TiB"),
        ("toy-killed", "out_of_memory", "killed by the system"),
        ("toy-hungry", "over_budget", "build_memory_bytes"),
        ("toy-greedy", "over_budget", "calibration_tokens: 101 is over the limit of 100"),
        ("toy-large", "over_budget", "stored_ratio: 0.9"),
        ("toy-vandal", "failed", "baseline altered: its weights changed"),
        ("toy-dense", "unsupported", "over every limit"),
    ],
)
def test_every_end_is_a_record_with_a_reason(
    toy_registry: Registry, tmp_path: Path, method: str, status: str, reason: str
) -> None:
    (record,) = run(toy_registry, tmp_path, method)
    assert record.status == status
    assert reason in str(record.reason)
    stored, broken = store.read_all(tmp_path)
    assert ([each.id for each in stored], broken) == ([record.id], [])


def test_build_is_stopped_when_its_time_is_up(toy_registry: Registry, tmp_path: Path) -> None:
    (record,) = run(toy_registry, tmp_path, "toy-slow-build", point="quick")
    assert (record.status, "build_seconds" in str(record.reason)) == ("over_budget", True)
    assert record.build is not None
    assert 1 <= record.build.seconds < 25  # of the 30 that it would have taken


def test_hang_is_stopped_by_the_timeout_of_the_process_group(toy_registry: Registry, tmp_path: Path) -> None:
    start = time.monotonic()
    (record,) = run(toy_registry, tmp_path, "toy-deaf", timeout=20)
    assert record.status == "timeout"
    assert "20 s, during: build" in str(record.reason)
    assert time.monotonic() - start < 55  # of the 60 that it would have taken


def test_no_child_of_a_run_survives_it(toy_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survivor = tmp_path / "survivor"
    monkeypatch.setenv("TOY_SURVIVOR", str(survivor))
    (record,) = run(toy_registry, tmp_path / "results", "toy-fork")
    assert (record.status, "process left behind" in str(record.reason)) == ("failed", True)
    time.sleep(5)
    assert not survivor.exists()


def test_a_good_run_leaves_samples_figures_and_provenance(toy_registry: Registry, tmp_path: Path) -> None:
    records = run(toy_registry, tmp_path, "toy-half:default")
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


def test_suite_may_time_the_first_seeds_alone(toy_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(toy_registry.suite("toy").info.timing["tiny"], "seeds", 1)  # type: ignore[arg-type]
    jobs = make_plan(toy_registry, suite="toy", methods=["toy-half:default@half"], scale="tiny")
    assert [job.timed for job in jobs] == [True, False, False]
    assert [bool(run_in_process(job).timings) for job in jobs] == [True, False, False]


def test_chosen_workloads_alone_are_timed(toy_registry: Registry) -> None:
    select = {"suite": "toy", "methods": ["toy-half:default@half"], "scale": "tiny", "seeds": [0]}
    (whole,), (part,) = make_plan(toy_registry, **select), make_plan(toy_registry, **select, workloads=["sum"])
    assert set(run_in_process(part).timings) == {"sum"}
    assert set(run_in_process(replace(part, workloads=("other",))).timings) == set()
    assert " --workload sum --again" in part.command
    assert key(toy_registry, part) == key(toy_registry, whole)  # as without times, it answers for the scores
    with pytest.raises(UnknownName, match="sum"):
        make_plan(toy_registry, **select, workloads=["sums"])
    with pytest.raises(UnknownName, match="prefill"):  # a cost with a dot in its name, and nothing that is timed
        make_plan(load(), suite="lm-compression", workloads=["build"])


def test_what_is_recorded_is_not_run_again_unless_asked_or_changed(toy_registry: Registry, tmp_path: Path) -> None:
    assert len(run(toy_registry, tmp_path, "toy-half:third")) == 3
    assert run(toy_registry, tmp_path, "toy-half:third") == []
    assert len(run(toy_registry, tmp_path, "toy-half:third", again=True)) == 3
    assert len(store.read_all(tmp_path)[0]) == 6


def test_key_changes_with_every_input(toy_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys(**options: object) -> set[str]:
        jobs = make_plan(toy_registry, suite="toy", methods=["toy-half"], scale="tiny", **options)  # type: ignore[arg-type]
        return {key(toy_registry, job) for job in jobs}

    first = keys()
    assert len(first) == 2 * 3 * 3  # variants x points x seeds
    assert keys() == first
    assert not keys(seeds=[7]) & first
    monkeypatch.setattr("bench.run.plan.library_versions", lambda: {"torch": "0.1"})
    assert not keys() & first


def test_settings_at_a_point_change_the_key_there_alone_and_a_variants_own_go_first(
    toy_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = make_plan(toy_registry, suite="toy", methods=["toy-half"], scale="tiny", seeds=[0])
    before = {job: key(toy_registry, job) for job in jobs}
    method = toy_registry.method("toy-half")
    monkeypatch.setattr(method, "at_point", {"half": {"share": 0.125}})
    changed = {(job.variant, job.point) for job in jobs if key(toy_registry, job) != before[job]}
    assert changed == {("default", "half")}


def test_key_knows_the_settings_of_its_own_scale_alone(toy_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = make_plan(toy_registry, suite="toy", methods=["toy-half:default@half"], scale="tiny", seeds=[0])

    def key_with(**settings: object) -> str:
        info = replace(toy_registry.suite("toy").info, settings=settings)
        monkeypatch.setattr(toy_registry.suite("toy"), "info", info)
        return key(toy_registry, job)

    first = key_with(sizes={"tiny": 1, "embedded": 2}, mode={"tiny": 1, "large": 2})
    assert key_with(sizes={"tiny": 1, "embedded": 9}, mode={"tiny": 1, "large": 2}) == first
    assert key_with(sizes={"tiny": 9, "embedded": 2}, mode={"tiny": 1, "large": 2}) != first
    assert key_with(sizes={"tiny": 1, "embedded": 2}, mode={"tiny": 1, "large": 9}) != first  # not names of scales


def test_stale_record_is_outstanding(toy_registry: Registry, tmp_path: Path) -> None:
    (record,) = run(toy_registry, tmp_path, "toy-large")
    jobs = make_plan(toy_registry, suite="toy", methods=["toy-large"], points=["half"], scale="tiny", threads=1)
    assert outstanding(toy_registry, jobs, [record]) == []
    assert outstanding(toy_registry, jobs, [record.model_copy(update={"key": "of another day"})]) == jobs


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_run_keeps_what_is_done_and_continues(
    toy_registry: Registry, tmp_path: Path, number: signal.Signals
) -> None:
    command = [
        sys.executable, "-m", "bench.cli", "run", "--suite", "toy", "--scale", "tiny", "--point", "half",
        "--method", "toy-half:default", "--results", str(tmp_path),
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ))
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("*/*/*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
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


def test_door_names_the_nearest(toy_registry: Registry) -> None:
    with pytest.raises(UnknownName, match="did you mean 'toy-half'"):
        make_plan(toy_registry, suite="toy", methods=["toy-haf"])
    with pytest.raises(UnknownName, match="did you mean 'half'"):
        make_plan(toy_registry, suite="toy", points=["hlf"])
    with pytest.raises(UnknownName, match="did you mean 'toy'"):
        make_plan(toy_registry, suite="tooy")
    with pytest.raises(UnknownName, match="did you mean 'tiny'"):
        make_plan(toy_registry, suite="toy", scale="tny")
    with pytest.raises(UnknownName, match="did you mean 'third'"):
        make_plan(toy_registry, suite="toy", methods=["toy-half:thrd"])
    with pytest.raises(UnknownName, match="base"):
        make_plan(toy_registry, suite="toy", base="twos")


def test_selection_of_a_method_can_name_variant_and_point(toy_registry: Registry) -> None:
    jobs = make_plan(toy_registry, suite="toy", methods=["toy-half:third@half", "toy-dense@unlimited"], seeds=[5])
    assert [(job.method, job.variant, job.point) for job in jobs] == [
        ("toy-half", "third", "half"),
        ("toy-dense", "default", "unlimited"),
    ]


def test_door_refuses_before_work(toy_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = make_plan(toy_registry, suite="toy", methods=["toy-large"], scale="tiny", device="cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(NoSuchDevice, match="--device cpu"):
        run_plan(toy_registry, jobs, tmp_path)

    jobs = make_plan(toy_registry, suite="toy", methods=["toy-large"], scale="tiny")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(store.ResultsNotWritable, match="--results DIR"):
        run_plan(toy_registry, jobs, blocked)

    monkeypatch.setattr(store, "FREE_BYTES_NEEDED", 10**18)
    with pytest.raises(store.ResultsNotWritable, match="free some space"):
        run_plan(toy_registry, jobs, tmp_path)

    monkeypatch.setattr(type(toy_registry.suites["toy"]), "missing", lambda self, scale, base: "pip install weights")
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


def test_records_json_has_the_promised_fields(toy_registry: Registry, tmp_path: Path) -> None:
    run(toy_registry, tmp_path, "toy-large", point="unlimited")
    done = subprocess.run(
        [sys.executable, "-m", "bench.cli", "records", "--json", "--results", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (row,) = json.loads(done.stdout)
    wanted = {"suite", "method", "point", "scale", "seed", "hardware", "status", "reason", "quality", "cost"}
    assert wanted <= set(row)
    assert row["quality"]["error"]["value"] == pytest.approx((10_000 + 90_000) / 2)
    assert row["cost"]["stored_bytes"]["value"] > 300_000
