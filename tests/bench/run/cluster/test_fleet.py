"""What starts where, without Ray: any order of finished runs, lost nodes and new nodes ends with each job done once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.run.cluster.fleet import ATTEMPTS, Fleet, Node
from bench.run.cluster.node import Answer
from bench.run.plan import Job


def job(seed: int, *, timed: bool = True, threads: int = 1, device: str = "cpu") -> Job:
    return Job("toy", "shrink", "toy-half", "default", "half", "tiny", "ones", seed, device, threads, timed)


def node(name: str, jobs: list[Job], *, cpus: float = 4, gpus: float = 0, hardware: str = "cpu-a") -> Node:
    return Node(name, name, cpus, gpus, {each: Answer(hardware, f"{hardware}-{each.seed}") for each in jobs})


def fleet(jobs: list[Job], *nodes: Node, share_nodes: bool = False) -> Fleet:
    made = Fleet(share_nodes)
    made.todo, made.nodes = list(jobs), {each.id: each for each in nodes}
    return made


def starting(of: Fleet) -> list[tuple[int, str]]:
    return [(started.seed, where.name) for started, where, _ in of.start()]


def test_timed_runs_have_a_node_each_and_start_in_the_order_of_the_plan() -> None:
    jobs = [job(seed) for seed in range(3)]
    runs = fleet(jobs, node("one", jobs), node("two", jobs))
    assert starting(runs) == [(0, "one"), (1, "two")]
    assert starting(runs) == []
    runs.done(jobs[1])
    assert starting(runs) == [(2, "two")]


def test_untimed_runs_share_a_node_up_to_its_processors_and_never_with_a_timed_one() -> None:
    jobs = [job(0, timed=False, threads=2), job(1, timed=False, threads=2), job(2, timed=False, threads=2), job(3)]
    runs = fleet(jobs, node("one", jobs))
    assert starting(runs) == [(0, "one"), (1, "one")]
    runs.done(jobs[0])
    assert starting(runs) == [(2, "one")]
    runs.done(jobs[1])
    assert starting(runs) == []
    runs.done(jobs[2])
    assert starting(runs) == [(3, "one")]


def test_shared_nodes_are_filled_up_with_timed_runs() -> None:
    jobs = [job(seed, threads=2) for seed in range(3)]
    assert starting(fleet(jobs, node("one", jobs), share_nodes=True)) == [(0, "one"), (1, "one")]


def test_cuda_runs_go_where_a_gpu_is_free() -> None:
    jobs = [job(seed, device="cuda") for seed in range(3)]
    runs = fleet(jobs, node("none", jobs), node("two", jobs, gpus=2), share_nodes=True)
    assert starting(runs) == [(0, "two"), (1, "two")]


def test_refusals_say_what_is_missing() -> None:
    jobs = [job(0, threads=8), job(1, device="cuda"), job(2, device="cuda:1"), job(3)]
    small = node("small", jobs)
    assert [small.refusal(each) is None for each in jobs] == [False, False, False, True]
    assert "--threads" in str(small.refusal(jobs[0]))
    assert "no GPU" in str(small.refusal(jobs[1]))
    assert "--device cuda" in str(small.refusal(jobs[2]))
    told = replace(small, answers={jobs[3]: Answer(refusal="pip install weights")})
    assert told.refusal(jobs[3]) == "pip install weights"


def test_a_job_is_answered_by_a_record_of_any_hardware_that_is_there_and_no_other() -> None:
    jobs = [job(seed) for seed in range(3)]
    runs = fleet(jobs, node("one", jobs, hardware="cpu-a"), node("two", jobs, hardware="cpu-b"))
    assert runs.answered(jobs, {"cpu-a-0", "cpu-b-1", "cpu-c-2"}) == jobs[:2]


def test_a_lost_run_goes_first_and_not_on_the_node_that_lost_it() -> None:
    jobs = [job(seed) for seed in range(3)]
    runs = fleet(jobs, node("one", jobs), node("two", jobs))
    starting(runs)
    runs.lost(jobs[0], "gone")
    assert starting(runs) == []
    runs.done(jobs[1])
    assert starting(runs) == [(0, "two")]


def test_a_run_that_takes_every_node_with_it_is_given_up_and_the_rest_goes_on() -> None:
    jobs = [job(0), job(1)]
    runs = fleet(jobs)
    for attempt in range(ATTEMPTS):
        runs.nodes = {"next": node(f"node-{attempt}", jobs)}
        assert starting(runs) == [(0, f"node-{attempt}")]
        runs.lost(jobs[0], "gone")
    runs.nodes = {"last": node("last", jobs)}
    assert starting(runs) == [(1, "last")]
    assert runs.given_up == {jobs[0]: "gone"}
    runs.done(jobs[1])
    assert not runs.busy


@given(st.data())
def test_whatever_happens_every_job_is_done_once_or_given_up(data: st.DataObject) -> None:
    jobs = [job(seed, timed=data.draw(st.booleans()), threads=data.draw(st.integers(1, 3))) for seed in range(6)]
    runs = fleet(jobs, share_nodes=data.draw(st.booleans()))
    done: list[Job] = []
    births = 0
    while runs.busy:
        if not runs.nodes or data.draw(st.booleans()):
            runs.nodes[f"n{births}"] = node(f"n{births}", jobs, cpus=data.draw(st.integers(3, 5)))
            births += 1
        for _ in runs.start():
            pass
        for each in runs.nodes.values():
            here = [claim for where, claim in runs.running.values() if where.id == each.id]
            assert sum(claim.cpus for claim in here) <= each.cpus
        timed = [where.id for each, (where, _) in runs.running.items() if each.timed]
        assert runs.share_nodes or all([w.id for w, _ in runs.running.values()].count(name) == 1 for name in timed)
        finished = data.draw(st.sampled_from(list(runs.running)))
        if data.draw(st.integers(0, 3)):
            runs.done(finished)
            done.append(finished)
        else:
            runs.lost(finished, "gone")
    assert sorted([*done, *runs.given_up], key=lambda each: each.seed) == jobs


@pytest.mark.parametrize("alive", [[], ["two"]])
def test_nodes_that_are_gone_get_no_more_runs(alive: list[str]) -> None:
    jobs = [job(0)]
    runs = fleet(jobs, node("one", jobs), node("two", jobs))
    runs.keep(alive.__contains__)
    assert [name for _, name in starting(runs)] == alive
