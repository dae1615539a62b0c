"""Which runs are wanted, in which order, what is done of them, and how long the others take."""

from collections.abc import Callable
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest

from bench import cli, measure
from bench.nightly.agenda import agenda
from bench.record import store
from bench.record.environment import hardware_class
from bench.record.schema import Record
from bench.registry import Registry
from bench.registry.key import key_of, run_of
from bench.run.local import LocalExecutor
from bench.run.plan import Job, Selection, make_plan
from bench.run.runner import planned, run_planned
from bench.run.top import top_jobs
from bench.run.wanted import SEEDS, Durations, to_do, wanted_jobs
from tests.bench.analyse.record_factory import make_record
from tests.bench.nightly.night_bench import Bench
from tests.bench.small_checkout import ALPHA, make_checkout, registry_of, replace

HERE = hardware_class("cpu", 1)
CLAIMS = """
    card = Card(
        slug="gamma", title="A title", paper="A", stochastic=True,
        claims=(
            Claim(text="a", source="b", metric="perplexity", versus="alpha"),
            Claim(text="a", source="b", metric="perplexity", versus="gamma:plain"),
            Claim(text="a", source="b", metric="not_scored_here", versus="beta"),
        ),
    )
    variants = {"default": {}, "plain": {}, "wide": {"samples": 9}}
"""
POINTS = """
[points.half]
title = "Half"
limits = { stored_ratio = 0.5 }
build = { seconds = 70 }
[points.tenth]
title = "A tenth"
limits = { stored_ratio = 0.1 }
[points.free]
title = "No limit"
"""
WORKLOAD = '[workloads.read]\ntitle = "Reading"\nunit = "token"\nphases = { latency = "Time" }\n'


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return _registry(make_checkout(tmp_path), CLAIMS)


def _registry(root: Path, claims: str) -> Registry:
    """alpha: opponent of gamma's claims; beta: of one about a score that the suite has not. free: no limit."""
    text = (root / ALPHA).read_text()
    card = next(line for line in text.splitlines() if "card = " in line)
    gamma = text.replace(card, claims).replace("import Card, Method", "import Card, Claim, Method")
    (root / ALPHA.replace("alpha", "gamma")).write_text(gamma)
    for name in (ALPHA, ALPHA.replace("alpha", "beta")):
        replace("control=True", "control=True, stochastic=True", name)(root)
    replace('\n[points.half]\ntitle = "Half"\nlimits = { stored_ratio = 0.5 }\n', POINTS)(root)
    replace("[scores.perplexity]", WORKLOAD + "[scores.perplexity]")(root)
    return registry_of(root)


def wanted(registry: Registry, **more: Any) -> list[Job]:
    return wanted_jobs(registry, [Selection("demo", scale="tiny", **more)])


def test_baselines_come_first_then_claims_then_their_seeds_then_the_rest(registry: Registry) -> None:
    claim = ["gamma", "gamma:wide", "alpha", "gamma:plain"]
    assert [job.label for job in wanted(registry)] == [
        "dense at free, seed 0",
        *(f"{name} at {point}, seed 0" for point in ("half", "tenth") for name in claim),
        *(f"{name} at {point}, seed {seed}" for point in ("half", "tenth") for seed in (1, 2) for name in claim),
        "beta at half, seed 0",
        "beta at tenth, seed 0",
        *(f"{name} at free, seed 0" for name in ("alpha", "beta", "gamma", "gamma:plain", "gamma:wide")),
    ]
    assert not any(job.timed for job in wanted(registry, timed=False))


def test_a_claim_about_one_point_asks_for_seeds_there_alone(tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    registry_with = CLAIMS.replace('versus="alpha"', 'versus="alpha", points=("tenth",)', 1).replace(
        '            Claim(text="a", source="b", metric="perplexity", versus="gamma:plain"),\n', ""
    )
    jobs = wanted(_registry(root, registry_with))
    seeds = {(job.method, job.point): job.seed for job in jobs}  # the last one stays
    assert (seeds["gamma", "tenth"], seeds["alpha", "tenth"]) == (2, 2)
    assert (seeds["gamma", "half"], seeds["alpha", "half"]) == (0, 0)


def test_what_has_no_seed_is_run_once_and_a_suite_may_want_fewer(registry: Registry) -> None:
    fewer = changed(registry, suites={"demo": changed(registry.suite("demo"), seeds=1)})
    assert SEEDS == 3
    assert {job.seed for job in wanted(fewer)} == {0}
    gamma = registry.method("demo", "gamma")
    still = changed(gamma, card=changed(gamma.card, stochastic=False))
    methods = {**registry.methods, ("demo", "gamma"): still}
    seeds = {(job.method, job.seed) for job in wanted(changed(registry, methods=methods)) if job.seed}
    assert seeds == {("alpha", 1), ("alpha", 2)}


def test_who_asks_for_more_seeds_gets_them_where_claims_speak(registry: Registry) -> None:
    methods = dict(registry.methods)
    for slug in ("alpha", "beta"):
        listed = registry.method("demo", slug)
        methods["demo", slug] = changed(listed, card=changed(listed.card, seeds=10))
    jobs = wanted(changed(registry, methods=methods))
    seeds = {
        slug: {job.seed for job in jobs if job.method == slug and job.point == "half"} for slug in ("alpha", "beta")
    }
    assert seeds == {"alpha": set(range(10)), "beta": {0}}


def test_a_night_takes_what_was_never_run_in_the_same_order(registry: Registry, tmp_path: Path) -> None:
    jobs = make_plan(registry, Selection("demo", scale="tiny", seeds=range(3)))
    night = [item.job for item in agenda(registry, jobs[::-1], [], tmp_path / "checkout")]
    order = [job for job in wanted(registry) if job.point != "free"]
    assert [job for job in night if job in order] == order


def record_of(registry: Registry, job: Job, hardware: str = HERE, **changes: Any) -> Record:
    """A record of today's code that ran there."""
    fields = ("suite", "method", "variant", "point", "scale", "base", "seed")
    record = make_record(**{name: getattr(job, name) for name in fields}, hardware=hardware, **changes)
    if "key" in changes:
        return record
    return record.model_copy(update={"key": key_of(registry, run_of(record), measure.VERSION)})


TIMES: dict[str, Any] = {"candidate": [1.0], "baseline": [1.0]}


@pytest.mark.parametrize(
    ("changes", "timed", "done"),
    [
        ({}, False, True),
        ({"key": "of other code"}, False, False),
        ({"disturbed": True}, False, False),
        ({"status": "failed"}, False, True),
        ({"hardware": "cpu-other"}, False, True),
        ({"hardware": "cpu-other", "status": "failed"}, False, False),
        ({}, True, False),
        ({"status": "failed"}, True, True),
        (TIMES, True, True),
        ({**TIMES, "hardware": "cpu-other"}, True, False),
    ],
)
def test_only_what_answers_counts_as_done(registry: Registry, changes: dict[str, Any], timed: bool, done: bool) -> None:
    jobs = wanted(registry, timed=timed)
    assert to_do(registry, jobs, []) == jobs
    left = to_do(registry, jobs, [record_of(registry, jobs[3], **changes)])
    assert left == [job for job in jobs if job != jobs[3] or not done]


def test_scores_that_a_clock_decides_count_here_alone(registry: Registry) -> None:
    info = registry.suite("demo")
    points = {**info.points, "half": changed(info.points["half"], clock=True)}
    clocked = changed(registry, suites={"demo": changed(info, points=points)})
    jobs = wanted(clocked, points=["half"], timed=False)
    assert to_do(clocked, jobs, [record_of(clocked, jobs[0], "cpu-other")]) == jobs
    assert to_do(clocked, jobs, [record_of(clocked, jobs[0])]) == jobs[1:]


def test_what_cannot_be_run_with_one_seed_is_not_asked_with_others(registry: Registry) -> None:
    jobs = wanted(registry, methods=["alpha"], points=["half"], timed=False)
    assert [job.seed for job in jobs] == [0, 1, 2]
    assert to_do(registry, jobs, [record_of(registry, jobs[0], status="unsupported")]) == []


def test_estimates_come_from_the_nearest_records(registry: Registry) -> None:
    jobs = {job.label: job for job in wanted(registry)}
    alpha, other = jobs["alpha at half, seed 0"], jobs["alpha at tenth, seed 0"]
    beta, late = jobs["beta at half, seed 0"], jobs["beta at tenth, seed 0"]
    durations = Durations(registry)

    def score(job: Job) -> tuple[float, str]:
        expected = durations.of(changed(job, timed=False))
        assert expected.timing == 0
        return expected.seconds, expected.kind

    assert [score(alpha), score(late)] == [(70, "missing"), (60, "missing")]  # the build's limit, else the timeout
    assert durations.of(alpha).timing == 1  # one workload, at most a second
    durations.add([record_of(registry, alpha, seconds=seconds) for seconds in (10.0, 20.0, 90.0)])
    durations.add([record_of(registry, alpha, seconds=1e6, disturbed=True)])
    assert [score(alpha), score(other), score(beta)] == [(20, "measured"), (20, "estimated"), (20, "estimated")]
    durations.add([record_of(registry, late, seconds=2.0, status="unsupported")])
    assert [score(late), score(beta)] == [(2, "measured"), (20, "estimated")]
    assert score(changed(alpha, scale="full"))[1] == score(changed(alpha, device="cuda"))[1] == "missing"
    durations.add([record_of(registry, alpha, seconds=50.0, **TIMES)])
    assert [durations.of(job).timing for job in (alpha, beta)] == [30, 30]


@pytest.fixture
def demo(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    for command in ("plan", "run"):
        monkeypatch.setattr(f"bench.cli.{command}.opened", lambda *_: registry)
    return registry


Said = Callable[..., str]


@pytest.fixture
def said(demo: Registry, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Said:
    def say(*arguments: str) -> str:
        cli.main([*arguments, "--scale", "tiny", "--results", str(tmp_path / "results")])
        return capsys.readouterr().out

    return say


def test_plan_counts_and_cuts_at_the_hours(said: Said, demo: Registry, tmp_path: Path) -> None:
    jobs = wanted(demo, timed=False)
    for job in jobs[:2]:
        store.append(tmp_path / "results", record_of(demo, job, seconds=3600.0))
    text = said("plan", "--suite", "demo", "--hours", "2.5", "--cores", "2")
    rows = {line.split()[1]: line.split()[2:] for line in text.splitlines() if line.startswith("demo")}
    assert rows["half"] == ["13", "1", "12", "12.00", "0.00"]
    assert rows["free"] == ["6", "1", "5", "5.00", "0.00"]
    assert f"{len(jobs) - 2} runs to do: about {(len(jobs) - 2) / 2:.1f} hours on 2 cores" in text
    assert (
        f"within 2.5 hours: the first 5, up to {jobs[6].label}; {len(jobs) - 7} are left, from {jobs[7].label}" in text
    )
    assert "estimates: 8 measured" in text
    said("plan", "--suite", "demo", "--output", str(tmp_path / "plan.txt"))
    listed = (tmp_path / "plan.txt").read_text().split("\n\n")[1].splitlines()
    assert [line.split("  ")[-1].strip() for line in listed] == [job.label for job in jobs[2:]]
    assert said("run", "--plan", "--suite", "demo", "--dry-run").splitlines() == [job.label for job in jobs[2:]]


BEST_FIRST = ("gamma:wide", "alpha", "gamma", "beta", "gamma:plain", "dense")


def scored(registry: Registry, **changes: Any) -> list[Record]:
    """A record of every configuration at half and tenth, from other hardware, without times."""
    jobs = {f"{job.label}": job for job in make_plan(registry, Selection("demo", scale="tiny", seeds=(0,)))}
    return [
        record_of(
            registry, jobs[f"{name} at {point}, seed 0"], "cpu-other", losses=[1.0 + place, 1.1 + place], **changes
        )
        for point in ("half", "tenth")
        for place, name in enumerate(BEST_FIRST)
    ]


def test_the_best_of_every_board_are_to_be_timed(registry: Registry) -> None:
    selection = Selection("demo", scale="tiny")
    best = ["gamma:wide", "alpha", "gamma", "beta"]  # two methods, and the two best controls
    jobs = top_jobs(registry, selection, scored(registry), 2)
    assert [job.label for job in jobs] == [
        "dense at free, seed 0", *(f"{name} at {point}, seed 0" for point in ("half", "tenth") for name in best),
    ]  # fmt: skip
    assert all(job.timed for job in jobs)
    assert len(top_jobs(registry, selection, scored(registry), 1)) == 1 + 2 * 3
    stale = top_jobs(registry, selection, scored(registry, key="of other code"), 2)
    assert [job.label for job in stale] == ["dense at free, seed 0"]


def test_time_top_says_and_runs_what_is_not_timed_here(said: Said, demo: Registry, tmp_path: Path) -> None:
    results = tmp_path / "results"
    records = scored(demo)
    for record in records:
        store.append(results, record)
    jobs = top_jobs(demo, Selection("demo", scale="tiny"), records, 1)
    store.append(results, record_of(demo, jobs[1], losses=[1.0, 1.1], **TIMES))
    store.append(results, record_of(demo, jobs[2], "cpu-other", losses=[2.0, 2.1], **TIMES))
    left = [job.label for job in jobs if job is not jobs[1]]  # what other hardware timed is not timed here
    command = ("--time-top", "1", "--suite", "demo")
    assert said("run", *command, "--dry-run").splitlines() == left
    assert f"{len(left)} runs to do" in said("plan", *command)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        *((("--hours", hours), "is not a number from 0.01 to 168") for hours in ("0", "-1", "nan", "inf", "soon")),
        (("--cores", "0"), "from 1 to 1024"),
        (("--point", "halve"), "did you mean 'half'?"),
        (("--method", "gama"), "did you mean 'gamma'?"),
        (("--suite", "dmo"), "did you mean 'demo'?"),
        (("--scale", "tinny"), "did you mean 'tiny'?"),
        (("--base", "toi"), "did you mean 'toy'?"),
        (("--device", "gpu"), "use 'cpu' or 'cuda'"),
        (("--method", "dense", "--point", "half"), "no run is wanted of dense at half"),
        (("--output", "tests"), "name a file in it"),
    ],
)
def test_what_can_not_be_planned_is_refused(
    demo: Registry, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    for command in (("plan",), ("run", "--plan", "--dry-run"))[: 1 if {"--cores", "--output"} & {*arguments} else 2]:
        with pytest.raises(SystemExit) as stopped:
            cli.main([*command, *arguments])
        assert stopped.value.code == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--hours", "1"),
        ("--plan", "--time-top", "5"),
        ("--time-top", "5", "--untimed"),
        ("--time-top", "0"),
        *((chooser, *each) for chooser in ("--plan", "--time-top=5") for each in (("--seed", "0"), ("--again",))),
    ],
)
def test_what_does_not_go_with_a_plan_is_refused(
    demo: Registry, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "--dry-run", *arguments])
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert "--plan" in told or "--time-top" in told


def test_no_run_begins_after_the_hours(toy_registry: Registry, tmp_path: Path) -> None:
    jobs = wanted_jobs(toy_registry, [Selection("toy", ["toy-half", "toy-dense"], ["unlimited"], scale="tiny")])
    bench = Bench()
    plan = [planned(toy_registry, job) for job in jobs]
    records = run_planned(plan, tmp_path, executor=bench, seconds=15, clock=bench.clock)
    assert [record.method for record in records] == [job.method for job in jobs[:2]]
    assert to_do(toy_registry, jobs, records) == jobs[2:]
    records = run_planned(plan, tmp_path, executor=bench, seconds=15, clock=bench.clock)
    assert [record.variant for record in records] == [job.variant for job in jobs[2:]]


def test_a_run_without_times_answers_none_that_is_timed_where_a_plan_asks_for_times(
    toy_registry: Registry, tmp_path: Path
) -> None:
    job = wanted_jobs(toy_registry, [Selection("toy", ["toy-dense"], ["unlimited"], scale="tiny")])[0]
    plan = [planned(toy_registry, changed(job, timed=False)), planned(toy_registry, job)]
    with LocalExecutor() as executor:
        (record,) = run_planned(plan[:1], tmp_path, executor=executor)
        assert not record.timings
        assert run_planned(plan[1:], tmp_path, executor=executor) == []
        (record,) = run_planned(plan[1:], tmp_path, executor=executor, with_times=True)
        assert record.timings
        assert run_planned(plan, tmp_path, executor=executor, with_times=True) == []
