"""Whose doing a change is: by what differs, and by measuring the old code where that leaves it open."""

import json
import subprocess
from pathlib import Path

import pytest

from bench.nightly import night as night_module
from bench.nightly.agenda import REASONS, agenda
from bench.nightly.causes import Facts, cause_of, different_machine, different_versions, needs_experiment
from bench.nightly.night import run_night
from bench.nightly.past import NoPast, measure_past
from bench.nightly.sources import Sources
from bench.registry import Registry
from tests.bench.analyse.record_factory import ENVIRONMENT, make_record
from tests.bench.nightly.night_bench import Bench, jobs_of, past_nights

FILES = frozenset({"methods/alpha.py"})
TORCH = {"torch": ("2.0", "2.1")}
KERNEL = {"platform": ("Linux-1", "Linux-2")}


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        (Facts(files=FILES), "our code"),
        (Facts(files=None), "our code"),
        (Facts(files=FILES, versions=TORCH), "our code"),
        (Facts(files=FILES, versions=TORCH, shared=True), "a dependency"),
        (Facts(files=FILES, shared=True), "our code"),
        (Facts(versions=TORCH), "a dependency"),
        (Facts(machine=KERNEL), "the machine"),
        (Facts(shift=0.3), "the machine"),
        (Facts(shared=True, probe=True), "the machine"),
        (Facts(shared=True), "the machine"),
        (Facts(), "unknown"),
        (Facts(files=FILES, versions=TORCH, shared=True, old_code_is_good=True), "our code"),
        (Facts(files=FILES, versions=TORCH, old_code_is_good=False), "a dependency"),
        (Facts(files=FILES, machine=KERNEL, old_code_is_good=False), "the machine"),
        (Facts(files=FILES, old_code_is_good=False), "unknown"),
    ],
)
def test_cause_follows_from_the_facts(facts: Facts, cause: str) -> None:
    assert cause_of(facts)[0] == cause
    assert cause_of(facts)[1]


def test_experiment_is_needed_only_where_code_and_something_else_changed() -> None:
    assert needs_experiment(Facts(files=FILES, versions=TORCH))
    assert needs_experiment(Facts(files=None, shared=True))
    assert not needs_experiment(Facts(files=FILES))
    assert not needs_experiment(Facts(versions=TORCH))


def test_only_what_holds_from_night_to_night_is_a_difference() -> None:
    def with_facts(**facts: str) -> object:
        return ENVIRONMENT.model_copy(update={"device": facts})

    old, new = with_facts(governor="performance", load_1min="0.1"), with_facts(governor="powersave", load_1min="9.0")
    assert different_machine(old, new) == {"governor": ("performance", "powersave")}  # type: ignore[arg-type]
    assert different_machine(ENVIRONMENT, new) == {}  # type: ignore[arg-type]
    other = ENVIRONMENT.model_copy(update={"versions": {"torch": "2.14"}, "python": "3.12"})
    assert different_versions(ENVIRONMENT, other) == {"torch": ("2.13", "2.14"), "python": ("3.11", "3.12")}


def test_agenda_puts_the_probe_first_then_code_new_dependency_oldest(
    toy_registry: Registry, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("toy-dense", "toy-half:default", "toy-half:third", "toy-large", "toy-vandal", "toy-greedy")
    jobs = jobs_of(toy_registry, *names)
    dense, code, new, oldest, older, dependency = jobs
    records = past_nights(toy_registry, bench, tmp_path, [dense, oldest], 1)
    records += past_nights(toy_registry, bench, tmp_path, [older], 2)[:1]
    records += [r.model_copy(update={"key": "x"}) for r in past_nights(toy_registry, bench, tmp_path, [code], 1)]
    another = past_nights(toy_registry, bench, tmp_path, [dependency], 1, versions={"torch": "1.0"})
    records += [record.model_copy(update={"key": "x"}) for record in another]
    monkeypatch.setattr(Sources, "same_code", lambda self, job, commit: True)
    items = agenda(toy_registry, list(reversed(jobs)), records, Path.cwd())
    assert [item.reason for item in items] == [*REASONS, "oldest"]
    assert [item.job for item in items] == [dense, code, new, dependency, older, oldest]
    assert items[0].seconds == pytest.approx(10.0)


def test_what_can_only_be_refused_again_is_left_out(toy_registry: Registry, bench: Bench, tmp_path: Path) -> None:
    jobs = jobs_of(toy_registry, "toy-large")
    bench.status = lambda job: "unsupported"
    records = past_nights(toy_registry, bench, tmp_path, jobs, 1)
    assert agenda(toy_registry, jobs, records, tmp_path) == []
    stale = [record.model_copy(update={"key": "of other code"}) for record in records]
    assert len(agenda(toy_registry, jobs, stale, tmp_path)) == 1


@pytest.mark.parametrize(("past", "cause"), [(1.0, "our code"), (1.2, "a dependency")])
def test_old_code_decides_between_ours_and_a_dependency(
    toy_registry: Registry, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, past: float, cause: str
) -> None:
    jobs = jobs_of(toy_registry, "toy-dense", "toy-large")
    good = past_nights(toy_registry, bench, tmp_path, jobs, 8, versions={"torch": "2.0"}, commit="abc", dirty=False)
    monkeypatch.setattr(Sources, "changed_files", lambda self, job, commit: frozenset({"bench/run/judge.py"}))

    def measured(root: Path, commit: str, job: object, times: int, seconds: float, *, confined: bool) -> object:
        assert (commit, confined) == ("abc", True)
        timing = good[-1].timings["sum"]["sum"]
        slow = timing.model_copy(update={"candidate": [past * x for x in timing.candidate]})
        return [good[-1].model_copy(update={"timings": {"sum": {"sum": slow}}})] * times

    monkeypatch.setattr(night_module, "measure_past", measured)
    bench.slow = lambda job: 1.2 if job.method == "toy-large" else 1.0
    night = run_night(toy_registry, jobs, tmp_path, seconds=10_000, executor=bench, clock=bench.clock, confined=True)
    assert [finding.cause for finding in night.findings] == [cause]


FAKE = """
import os, pathlib, sys, uuid
folder = pathlib.Path(sys.argv[sys.argv.index("--results") + 1], "h", "s")
folder.mkdir(parents=True, exist_ok=True)
if "{text}" == "broken": sys.exit("this commit does not work")
if "--sandbox" in sys.argv: sys.exit("a sandbox is not known here")
with (folder / "m.jsonl").open("a") as file:
    file.write(os.environ["FAKE_RECORD"].replace("METHOD", "{text}").replace("ID", uuid.uuid4().hex) + "\\n")
"""


def test_past_is_the_code_of_the_commit_and_leaves_no_tree_behind(
    toy_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/__init__.py").touch()
    commits = []
    for text in ("old", "broken", "new"):
        (tmp_path / "bench/cli.py").write_text(FAKE.replace("{text}", text))
        git("add", ".")
        git("commit", "-m", text)
        commits.append(git("rev-parse", "HEAD"))
    record = json.loads(make_record("METHOD", id="ID").model_dump_json())
    monkeypatch.setenv("FAKE_RECORD", json.dumps(record))
    (job,) = jobs_of(toy_registry, "toy-large")
    past = measure_past(tmp_path, commits[0], job, times=2, seconds=60)
    assert [record.method for record in past] == ["old", "old"]
    with pytest.raises(NoPast, match="this commit does not work"):
        measure_past(tmp_path, commits[1], job, times=1, seconds=60)
    with pytest.raises(NoPast, match="not in this checkout"):
        measure_past(tmp_path, "0" * 40, job, times=1, seconds=60)
    with pytest.raises(NoPast, match="a sandbox is not known here"):
        measure_past(tmp_path, commits[0], job, times=1, seconds=60, confined=True)
    assert len(git("worktree", "list").splitlines()) == 1
