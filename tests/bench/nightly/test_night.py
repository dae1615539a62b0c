"""A night with the toy suite: what is run, what is told, with which cause, and what is not told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.nightly.night import MOST_RUNS, Night, run_night
from bench.nightly.sources import Sources
from bench.nightly.summary import summary
from bench.record import store
from bench.registry import Registry
from bench.run.plan import Job
from tests.bench.nightly.night_bench import SECONDS, Bench, Ran, jobs_of, past_nights

METHODS = ("toy-dense", "toy-half:default", "toy-half:third", "toy-large", "toy-vandal")
OLD = {"torch": "2.0"}


@pytest.fixture
def spend(toy_registry: Registry, bench: Bench, tmp_path: Path) -> Callable[..., Night]:
    def night(jobs: list[Job], seconds: float = 10_000.0, **options: Any) -> Night:
        return run_night(toy_registry, jobs, tmp_path, seconds=seconds, executor=bench, clock=bench.clock, **options)

    return night


def only(slug: str, factor: float) -> Callable[[Ran], float]:
    return lambda job: factor if job.method == slug else 1.0


def test_steady_board_is_quiet_and_runs_everything_once(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night]
) -> None:
    jobs = jobs_of(toy_registry, *METHODS)
    past_nights(toy_registry, bench, tmp_path, jobs, 8)
    night = spend(jobs)
    assert (night.findings, night.open) == ([], [])
    assert len(night.records) == len(jobs)
    assert "no confirmed regression" in summary(night).splitlines()[0]


def test_slower_method_is_measured_again_and_told_with_its_size(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of(toy_registry, *METHODS)
    past_nights(toy_registry, bench, tmp_path, jobs, 8)
    bench.slow = only("toy-large", 1.1)
    changed = frozenset({"tests/toy_plugin/effbench_toy/methods.py"})
    monkeypatch.setattr(Sources, "changed_files", lambda self, job, commit: changed)
    night = spend(jobs)
    (finding,) = night.findings
    assert (finding.configuration.method, finding.figure) == ("toy-large", "sum.sum.ratio")
    assert finding.change is not None
    assert finding.change.relative == pytest.approx(0.1, abs=0.01)
    assert (finding.cause, finding.regression) == ("our code", True)
    assert sum(job.method == "toy-large" for job in bench.ran) >= 4  # once, and three times to be sure
    assert "effbench_toy/methods" in summary(night).replace("&#95;", "_").replace("\N{WORD JOINER}", "")


def test_what_one_run_shows_and_the_next_do_not_is_no_regression(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night]
) -> None:
    jobs = jobs_of(toy_registry, *METHODS)
    past_nights(toy_registry, bench, tmp_path, jobs, 8)
    bench.slow = lambda job: 1.3 if job.method == "toy-large" and bench.ran.count(job) == 1 else 1.0
    night = spend(jobs)
    assert night.findings == []
    assert sum(job.method == "toy-large" for job in bench.ran) > 1
    assert spend(jobs).findings == []


def test_same_configuration_is_not_measured_twice_in_a_row_while_others_wait(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night]
) -> None:
    jobs = jobs_of(toy_registry, *METHODS)
    past_nights(toy_registry, bench, tmp_path, jobs, 8)
    bench.slow = lambda job: 1.2 if job.method in ("toy-large", "toy-vandal") else 1.0
    spend(jobs)
    waiting = len(jobs) - 1
    assert all(one != other for one, other in zip(bench.ran[:waiting], bench.ran[1:], strict=False))
    assert len(bench.ran) > len(jobs)


def test_regression_is_told_once_and_the_new_level_is_the_level(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night]
) -> None:
    jobs = jobs_of(toy_registry, *METHODS)
    past_nights(toy_registry, bench, tmp_path, jobs, 8)
    bench.slow = only("toy-large", 1.1)
    assert len(spend(jobs).regressions) == 1
    assert spend(jobs).findings == []


def test_many_methods_with_another_library_are_the_librarys_doing(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of(toy_registry, *METHODS)
    past_nights(toy_registry, bench, tmp_path, jobs, 8, versions=OLD)
    monkeypatch.setattr(Sources, "changed_files", lambda self, job, commit: frozenset())
    bench.slow = lambda job: 1.15
    night = spend(jobs)
    assert {finding.cause for finding in night.findings} == {"a dependency"}
    assert all("torch 2.0 → 2" in finding.reason and finding.regression for finding in night.findings)


def test_another_machine_is_no_regression(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of(toy_registry, *METHODS)
    past_nights(toy_registry, bench, tmp_path, jobs, 8, platform="Linux-1.0")
    monkeypatch.setattr(Sources, "changed_files", lambda self, job, commit: frozenset())
    bench.slow = lambda job: 1.15
    bench.baseline *= 1.3
    night = spend(jobs)
    assert {finding.cause for finding in night.findings} == {"the machine"}
    assert night.regressions == []
    assert night.shifts == {"toy sum.sum": pytest.approx(0.3, abs=0.02)}


def test_method_that_breaks_is_tried_again_before_it_is_told(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night]
) -> None:
    jobs = jobs_of(toy_registry, "toy-dense", "toy-large")
    past_nights(toy_registry, bench, tmp_path, jobs, 3)
    bench.status = lambda job: "failed" if job.method == "toy-large" and bench.ran.count(job) == 1 else "ok"
    assert spend(jobs).findings == []
    bench.status = lambda job: "failed" if job.method == "toy-large" else "ok"
    (finding,) = spend(jobs).findings
    assert (finding.figure, finding.worse, finding.regression) == ("status", True, True)
    bench.status = lambda job: "ok"
    (mended,) = spend(jobs).findings
    assert (mended.figure, mended.worse) == ("status", False)


def test_one_percent_of_quality_is_found_the_first_night(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night]
) -> None:
    jobs = jobs_of(toy_registry, *METHODS)
    past_nights(toy_registry, bench, tmp_path, jobs, 5)
    bench.error = lambda job: 101.0 if job.method == "toy-large" else 100.0
    (finding,) = spend(jobs).findings
    assert (finding.figure, finding.worse) == ("error", True)


def test_time_limit_holds_and_what_is_left_is_told(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night]
) -> None:
    jobs = jobs_of(toy_registry, *METHODS)
    past_nights(toy_registry, bench, tmp_path, jobs, 2)
    night = spend(jobs, seconds=2.5 * SECONDS)
    assert len(night.records) == 2
    assert len(night.left) == len(jobs) - 2
    assert "no time left" in summary(night)


def test_noise_that_never_ends_stops_at_the_most_runs(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night]
) -> None:
    jobs = jobs_of(toy_registry, "toy-dense", "toy-large")
    past_nights(toy_registry, bench, tmp_path, jobs, 8)
    bench.noise = 5.0
    night = spend(jobs)
    assert {ran.method for ran in bench.ran} == {"toy-dense", "toy-large"}
    assert all(bench.ran.count(ran) <= MOST_RUNS for ran in bench.ran)
    assert night.open
    assert "Not settled" in summary(night)


def test_summary_is_markdown_that_no_reason_can_break(
    toy_registry: Registry, bench: Bench, tmp_path: Path, spend: Callable[..., Night]
) -> None:
    jobs = jobs_of(toy_registry, "toy-dense", "toy-large")
    past_nights(toy_registry, bench, tmp_path, jobs, 2)
    bench.status = lambda job: "failed" if job.method == "toy-large" else "ok"
    assert "it broke &#124; here" in summary(spend(jobs))


def test_a_night_in_which_nothing_was_run_is_no_success(
    toy_registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(
            ["nightly", "--time", "0s", "--suite", "toy", "--method", "toy-large@unlimited", "--scale", "tiny",
             "--threads", "1", "--results", str(tmp_path / "results")]
        )  # fmt: skip
    assert stopped.value.code == 2
    assert "nothing was run" in capsys.readouterr().err


def test_command_runs_the_night_writes_the_summary_and_exits_with_zero(toy_registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(
            ["nightly", "--time", "60s", "--suite", "toy", "--method", "toy-large@unlimited", "--scale", "tiny",
             "--threads", "1", "--results", str(tmp_path / "results"), "--summary", str(tmp_path / "night.md")]
        )  # fmt: skip
    assert stopped.value.code == 0
    assert "1 new" in (tmp_path / "night.md").read_text()
    assert len(store.read_all(tmp_path / "results")[0]) == 1
