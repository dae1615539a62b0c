"""What every method's candidate must hold, at tiny scale, at the first operating point that the method supports; and,
among the slow ones, every variant's at every point. In one process: see one_process.py."""

import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from bench.contract import Built, Score, Task
from bench.registry import Listed
from bench.run import artefact
from bench.run.seal import Seal
from tests.conformance.one_process import Kept, Place, Shipped, built_by, loaded, same, state, within
from tests.conformance.places import REGISTRY, first_supported, supported

METHODS = [
    pytest.param(listed, id=listed.full_name, marks=pytest.mark.xdist_group(listed.full_name))
    for _, listed in sorted(REGISTRY.methods.items())
]


@dataclass
class Trial:
    """A candidate with where it was built. task: as the build has left it. written: the artefact, before anybody has
    asked the candidate anything."""

    listed: Listed
    place: Place
    task: Task
    built: Built
    written: bytes

    @cached_property
    def shipped(self) -> Shipped:
        return self.place.shipped(self.built, self.place.order.setting)

    @cached_property
    def figures(self) -> dict[str, float]:
        """The judge's."""
        return self.shipped.figures(self.place.reference)

    @cached_property
    def scores(self) -> dict[str, Score]:
        return self.shipped.scores()

    def again(self, seed: int) -> "Trial":
        return build(self.listed, replace(self.place, order=replace(self.place.order, seed=seed)))


def build(listed: Listed, place: Place) -> Trial:
    """As a builder does: what a method may not do fails, or is found out."""
    task = place.task()
    method = place.order.method.method()
    with nothing_but_the_task():
        built = built_by(method.build(task))
    artefact.write(built.candidate, place.folder / artefact.CANDIDATE)
    return Trial(listed, place, task, built, (place.folder / artefact.CANDIDATE).read_bytes())


@contextmanager
def nothing_but_the_task() -> Iterator[None]:
    """No exam, no network, no library altered."""
    reached: list[Any] = []

    def refuse(*target: Any, **_: Any) -> None:
        reached.append(target)
        raise PermissionError("methods have no network")

    seal = Seal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.contract.exam._closed", True)
        for owner, name in ((socket.socket, "connect"), (socket.socket, "sendto"), (socket, "getaddrinfo")):
            patch.setattr(owner, name, refuse)
        yield
    assert not reached
    assert seal.broken() is None


@pytest.fixture(scope="module", autouse=True)
def libraries_out_of_the_way() -> Iterator[None]:
    """What is measured collects garbage a few times, and need not look at the libraries, once loaded, every time. Nor
    need lm-eval ask pip what is installed whenever it scores: it takes a second, and nothing here reads it; nor what
    memory steps took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.measure.memory._give_freed_heap_back", lambda: None)
        patch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
        gc.collect()
        gc.freeze()
        yield
        gc.unfreeze()


@pytest.fixture(scope="module", params=METHODS)
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kept: Kept) -> Trial:
    _, place = first_supported(request.param, tmp_path_factory.mktemp("artefacts"), kept)
    return build(request.param, place)


# --- what a candidate must hold ---------------------------------------------------------------------------------------


def is_scored_within_its_limits(trial: Trial) -> None:
    info = REGISTRY.suite(trial.listed.suite).problem_of(trial.place.order.point.name)
    assert info.primary.name in trial.scores
    assert set(trial.scores) <= set(info.metrics)
    assert within(trial.place, trial.figures, trial.scores) is None


def is_weighed_by_its_builder_as_by_the_judge(trial: Trial) -> None:
    weighed, scores = trial.task.weigh(trial.built), trial.place.order.scores
    limited = [name for name in trial.place.order.point.limits.result if name not in scores]
    assert {name: weighed[name] for name in limited} == {name: trial.figures[name] for name in limited}


def answers_once_shipped_as_it_did_when_it_was_built(trial: Trial) -> None:
    """And by every step's own check it is right, at another batch too."""
    problem = trial.place.problem
    before = replace(trial.shipped, served=problem.serve(trial.built.candidate, trial.task), rig=None)
    after = replace(trial.place.shipped(trial.built, trial.place.order.setting), rig=None)  # which nobody has asked yet
    assert same(before.answers(checked=False), after.answers(checked=True))


def leaves_its_task_as_it_was(trial: Trial) -> None:
    names = loaded(trial.task)
    changed, fresh = state(trial.task, names), state(trial.place.task(), names)
    assert [name for name in names if changed[name] != fresh[name]] == []


def is_made_again_by_the_same_seed(trial: Trial) -> None:
    """And by another one, unless the card says that chance is in it."""
    assert trial.again(0).written == trial.written
    if trial.listed.card.stochastic:
        return
    other = trial.again(1)
    assert other.written == trial.written or same(samples(other), samples(trial)), "set stochastic=True on the card"


def samples(trial: Trial) -> dict[str, list[float]]:
    return {name: list(score.samples) for name, score in trial.scores.items()}


ALL: list[Callable[[Trial], None]] = [
    leaves_its_task_as_it_was,
    is_weighed_by_its_builder_as_by_the_judge,
    is_scored_within_its_limits,
    answers_once_shipped_as_it_did_when_it_was_built,
    is_made_again_by_the_same_seed,
]


@pytest.mark.parametrize("held", ALL, ids=lambda held: held.__name__)
def test_a_candidate(trial: Trial, held: Callable[[Trial], None]) -> None:
    held(trial)


@pytest.mark.slow
@pytest.mark.parametrize("listed", METHODS)
def test_every_variant_at_every_point(listed: Listed, tmp_path: Path, kept: Kept) -> None:
    for _, place in supported(listed, tmp_path, kept):
        each = build(listed, place)
        for held in ALL:
            held(each)
