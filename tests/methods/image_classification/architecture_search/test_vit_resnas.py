"""ViT-ResNAS and random search: what a whole run trains, asks and keeps."""

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from bench.contract import Method
from methods.image_classification.architecture_search import _search
from methods.image_classification.architecture_search._evolution import Plan, evolve
from methods.image_classification.architecture_search._search import FULL, nets_of, searched, widest_nets
from methods.image_classification.architecture_search._supernet import SuperLearner
from methods.image_classification.architecture_search.random_search import RandomSearch
from methods.image_classification.architecture_search.vit_resnas import ViTResNAS
from tests.methods.image_classification.conftest import Make

FLOPS = 1.5e5
"""Of an image at tiny scale: of the smallest space, less than half of its nets."""

SMALL = {"strangers": 4, "rounds": 2, "parents": 2, "mutants": 1, "crossings": 1}


@pytest.mark.parametrize("method", [ViTResNAS(**SMALL), RandomSearch(evaluations=8)], ids=["evolution", "random"])
def test_the_best_net_that_was_asked_is_trained_on_the_passes_that_are_left(
    classification: Make, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans, asked, found = [], {}, []

    def spy(space, allowed, loss, plan, rng):
        plans.append(plan)
        found.append(evolve(space, allowed, lambda shape: asked.setdefault(shape, loss(shape)), plan, rng))
        return found[-1]

    monkeypatch.setattr(_search, "evolve", spy)
    task = classification(flops=FLOPS, passes=400)
    assert method.supports(task) is None
    built = method.build(task)
    assert plans[0].evaluations == len(asked) == 8
    assert plans[0].rounds == (0 if isinstance(method, RandomSearch) else 2)
    assert asked[found[0]] == min(asked.values())
    nets = nets_of(task, 8)
    assert min(map(nets.flops, asked)) >= FULL * FLOPS - 3e4  # which elementwise work may take
    assert task.weigh(built)["flops"] <= FLOPS
    wanted = nets(found[0]).state_dict()
    assert {name: each.shape for name, each in wanted.items()} == {
        name: each.shape for name, each in built.candidate.state_dict().items()
    }
    assert built.rig.steps == (400 - 114) // 64
    assert task.left("sample_passes") == 70_000 - (1 + 4) * 64  # the super-net has had whole batches too


def test_the_search_asks_for_the_loss_of_the_validation_images(
    classification: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = classification(flops=FLOPS)
    nets = nets_of(task, 8)
    shapes = [nets.space.largest, nets.space.smallest]
    labels = torch.cat([each.labels for each in task.validation()])

    class Learner:
        """Knows every label as the one net, and says the next one as the other."""

        def part(self, shape):
            told = iter(one_hot((labels + shapes.index(shape)) % task.classes, task.classes).float().split(64))
            return lambda inputs: 5 * next(told)

    losses = []
    monkeypatch.setattr(
        _search, "evolve", lambda space, allowed, loss, plan, rng: losses.extend(map(loss, shapes)) or shapes[0]
    )
    searched(task, nets, Learner(), Plan(2))
    assert losses[0] == pytest.approx(np.log(np.exp(5) + task.classes - 1) - 5, abs=1e-4)
    assert losses[1] == pytest.approx(losses[0] + 5, abs=1e-4)


def test_the_net_starts_anew_and_the_search_hangs_on_the_number_of_nets_a_step(
    classification: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = []
    loss = SuperLearner.loss
    monkeypatch.setattr(SuperLearner, "loss", lambda self, batch: at_once.append(self.nets) or loss(self, batch))
    ViTResNAS(**SMALL).build(classification(flops=FLOPS, passes=600))
    ViTResNAS(**SMALL, **ViTResNAS.variants["one-net"]).build(classification(flops=FLOPS, passes=600))
    assert at_once == [4, 4, 1, 1]


def test_the_space_goes_with_the_limit(classification: Make) -> None:
    task = classification(flops=FLOPS)
    assert widest_nets(task).space.head_size == 2
    assert widest_nets(classification()).space.head_size == 20
    reason = ViTResNAS().supports(classification(flops=1e4))
    assert reason is not None
    assert "the smallest net of the smallest space" in reason


def test_where_all_nets_are_within_the_limit_all_may_be_asked(classification: Make) -> None:
    built = RandomSearch(evaluations=3).build(classification(passes=256))
    assert torch.isfinite(built.candidate.head.weight).all()
