"""LAPP: thresholds, the FLOPs' term, what is left after the cut, and that what is built comes of it."""

from typing import Any

import pytest
import torch
from torch import nn

from methods.vision_compression.filters import lapp
from methods.vision_compression.filters._bypass import Prunable, new_bypass
from methods.vision_compression.filters.lapp import LAPP, PruningLearner, cut, image_of, multiply_adds
from suites.vision_compression.task import CompressionTask
from tests.methods.vision_compression.conftest import Make, images, same


def started(task: CompressionTask, bypass: bool = True, seed: int = 0) -> tuple[nn.Module, list[str]]:
    """With scales and statistics of every size, and thresholds among them."""
    net, names = LAPP(bypass=bypass).start(task)
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 1.8)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, Prunable):
            nn.init.uniform_(module.threshold, 0.5, 1.5)
    return net, names


@pytest.mark.parametrize("bypass", [True, False])
def test_the_cut_net_is_the_masked_one(compression: Make, bypass: bool) -> None:
    task = compression("compute-50")
    net, names = started(task, bypass)
    smaller = cut(net, names, 0.0)
    assert same(smaller.eval(), net.eval(), images(task), 1e-3)
    assert 0.2 < multiply_adds(smaller, image_of(task)) / multiply_adds(net, image_of(task)) < 0.9


def test_its_multiply_adds_are_those_that_are_left(compression: Make) -> None:
    task = compression("compute-50")
    net, names = started(task)
    learner = PruningLearner(net, task.model, True, 1.0, 1.0, 10.0, image_of(task))
    now = learner.fixed + sum(float(each.multiply_adds().detach()) for each in learner.layers)
    assert now == pytest.approx(multiply_adds(cut(net, names, 0.0), image_of(task)), rel=1e-5)


def test_the_flops_term_raises_thresholds_above_the_target_alone(compression: Make) -> None:
    task = compression("compute-50")
    net, names = started(task)
    now = multiply_adds(cut(net, names, 0.0), image_of(task))
    for target, above in ((0.8 * now, True), (1.2 * now, False)):
        learner = PruningLearner(net, task.model, True, target, 10.0, 10.0, image_of(task))
        net.zero_grad()
        learner.penalty().backward()
        gradients = [float(each.threshold.grad) for each in learner.layers]
        assert all(each < 0 if above else each == 0 for each in gradients)  # down the gradient is up
    assert float(learner.penalty().detach()) == 0
    learner.target = now / 1.5
    assert float(learner.penalty().detach()) == pytest.approx(10 * 0.25, rel=1e-4)


def test_thresholds_learn_by_the_labels_too_and_faster(compression: Make) -> None:
    task = compression("compute-50")
    net, _ = started(task)
    learner = PruningLearner(net, task.model, True, 1e12, 10.0, 7.0, image_of(task))
    net.train()
    learner.loss(task.validation()[0]).backward()
    assert all(each.threshold.grad != 0 for each in learner.layers)
    thresholds, rest = learner.optimizer(list(net.parameters())).param_groups
    assert (len(thresholds["params"]), thresholds["scale"]) == (len(learner.layers), 7.0)
    assert "scale" not in rest


def test_a_layer_without_filters_still_passes_signal_by_its_bypass(compression: Make) -> None:
    task = compression("compute-50")
    net, names = started(task)
    bare: Any = cut(net, names, 100.0).eval()
    assert all(bare.get_submodule(name).conv is None for name in names)
    inputs = images(task)
    with torch.no_grad():
        assert not torch.allclose(bare(inputs), bare(inputs.flip(-1)), atol=1e-6)
    net, names = started(task, bypass=False)
    assert all(len(cut(net, names, 100.0).get_submodule(name).places) == 1 for name in names)


def test_a_bypass_is_light_and_as_large_as_what_it_stands_beside() -> None:
    for inputs, outputs, stride in ((12, 24, 1), (24, 24, 2), (3, 12, 1)):
        conv = nn.Conv2d(inputs, outputs, 3, stride, 1)
        given = torch.rand(1, inputs, 8, 8)
        assert new_bypass(conv)(given).shape == conv(given).shape
        assert new_bypass(conv).weight.numel() <= conv.weight.numel() / 9


def test_it_starts_from_random_weights_of_the_seed(compression: Make) -> None:
    nets = [LAPP().start(compression("compute-50", seed=seed))[0] for seed in (0, 0, 1)]
    heads = [net.fc.weight for net in nets]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert not torch.equal(heads[0], compression("compute-50").model.fc.weight)


def test_build_prunes_first_and_meets_the_limit(compression: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task = compression("compute-50", passes=640)
    assert LAPP().supports(task) is None
    trained: list[tuple[bool, int | None]] = []
    real = lapp.recover

    def spied(given: CompressionTask, model: nn.Module, rate: float, **more: Any) -> None:
        trained.append((any(isinstance(each, Prunable) for each in model.modules()), more.get("passes")))
        real(given, model, rate, **more)

    monkeypatch.setattr(lapp, "recover", spied)
    built = LAPP(pruning=0.5).build(task)
    assert trained == [(True, 320), (False, None)]
    assert task.limits.met_by(task.weigh(built))
    assert not any(isinstance(each, nn.BatchNorm2d | Prunable) for each in built.modules())


def test_what_it_cant_do_it_says(compression: Make) -> None:
    assert "bytes" in str(LAPP().supports(compression("size-50")))
    assert "transformer" in str(LAPP().supports(compression("compute-50", "vit")))
    assert "fewest filters" in str(LAPP().supports(compression("compute-50", flops_ratio=0.01)))
