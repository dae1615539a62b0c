"""LAPP: thresholds, the term of FLOPs, what is left after the cut, and that what is built comes of them."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from methods.vision_compression._folding import folded
from methods.vision_compression.filters import lapp
from methods.vision_compression.filters._bypass import Beside, MaskedNorm, cut, masks, prepare
from methods.vision_compression.filters._groups import groups
from methods.vision_compression.filters.l1_filters import L1Filters
from methods.vision_compression.filters.lapp import LAPP, Costs, ThresholdLearner, costs_of
from suites._training.learner import Moment
from suites._vision import efficientnet
from suites.vision_compression import bases
from suites.vision_compression.task import CompressionTask
from tests.methods.vision_compression.conftest import Make, images, same

NOW = Moment(0, 1)


def thresholds(net: nn.Module) -> list[float]:
    return [float(each.threshold.detach()) for each in masks(net).values()]


def spread(net: nn.Module, seed: int = 0) -> nn.Module:
    """In eval mode, thresholds among the scores, and what a bypass gives is read: nothing is as it was."""
    torch.manual_seed(seed)
    for group, mask in masks(net).items():
        nn.init.uniform_(mask.threshold, -0.6, 0.3)
        nn.init.uniform_(mask.norm.weight[: mask.filters].detach(), 0.3, 1.5)
        reader: Any = net.get_submodule(group.reader)
        if mask.bypass:
            nn.init.uniform_(reader.weight.detach()[:, mask.filters :], -0.2, 0.2)
    return net.eval()


def learner_of(task: CompressionTask, net: nn.Module, allowed: float, step: float = 0.1) -> ThresholdLearner:
    """allowed: of what the net costs now."""
    learner = ThresholdLearner(net, task.model, True, Costs(task, net), 1.0, step)
    scale = float(learner.costs.now().detach()) * allowed
    learner.costs.prices = [each / scale for each in learner.costs.prices]
    learner.costs.rest /= scale
    return learner


def test_scores_up_to_the_threshold_are_masked() -> None:
    norm = nn.BatchNorm2d(4).eval()
    norm.weight.data = torch.tensor([-3.0, 1.0, 2.0, 0.0])
    mask = MaskedNorm(norm, 0)
    assert mask.stay().all()
    mask.threshold.data = mask.scores().detach()[2]  # those of 2, 1 and 0 are not above it
    assert mask.stay().tolist() == [True, False, False, False]
    assert mask(torch.ones(1, 4, 2, 2))[0, :, 0, 0].tolist() == pytest.approx([-3, 0, 0, 0], abs=1e-4)
    mask.threshold.data.fill_(99.0)
    assert mask.stay().tolist() == [True, False, False, False]  # one stays
    assert not MaskedNorm(norm, 1).stay(99.0).any()  # where there is a bypass, none


def test_scores_are_measured_in_each_layers_own_unit() -> None:
    norm, larger = nn.BatchNorm2d(5), nn.BatchNorm2d(5)
    nn.init.uniform_(norm.weight)
    larger.weight.data = 7 * norm.weight.data + 3
    assert torch.allclose(MaskedNorm(norm, 0).scores(), MaskedNorm(larger, 0).scores(), atol=1e-4)


@pytest.mark.parametrize("bypass", [0.0, 0.125])
def test_the_cut_net_is_the_masked_one(compression: Make, bypass: float) -> None:
    task = compression("compute-50")
    nets = [(task.model, images(task))]
    if efficientnet.missing() is None:
        nets.append((bases.model("efficientnet-lite0", "cpu"), torch.rand(2, 3, 64, 64) * 2 - 1))
    for model, inputs in nets:
        net = copy.deepcopy(model)
        prepare(net, bypass)
        assert same(net.eval(), model, inputs, 1e-3)  # at first nothing is changed
        spread(net)
        smaller = cut(net).eval()
        assert not same(net, model, inputs, 1e-2)
        assert same(smaller, net, inputs, 1e-3)
        assert same(folded(smaller), net, inputs, 1e-3)
        count, before = (sum(each.numel() for each in one.parameters()) for one in (smaller, model))
        assert count < 0.9 * before


@pytest.mark.parametrize("bypass", [0.0, 0.125])
@pytest.mark.parametrize("point", ["compute-50", "size-50"])
def test_costs_are_those_of_the_cut_net(compression: Make, point: str, bypass: float) -> None:
    task = compression(point)
    net = spread(LAPP(bypass=bypass).start(task))
    image, weights = images(task)[:1], point == "size-50"
    left, dense = (sum(costs_of(each, image, weights).values()) for each in (cut(net), task.model))
    assert float(Costs(task, net).now().detach()) == pytest.approx(left / dense / 0.5, rel=1e-5)
    assert left < 0.9 * dense


def test_the_term_of_flops_raises_thresholds_above_the_target_alone(compression: Make) -> None:
    task = compression("compute-50")
    net = spread(LAPP().start(task))
    learner = learner_of(task, net, allowed=0.8)
    learner.penalty().backward()
    assert float(learner.penalty().detach()) == pytest.approx(0.25**2, rel=1e-3)
    assert all(float(each.grad) < 0 for each in learner.thresholds)  # down the gradient is up
    assert all(mask.norm.weight.grad is None for mask in learner.costs.masks)
    before = thresholds(net)
    learner.before_update(NOW)
    assert all(new > old for new, old in zip(thresholds(net), before, strict=True))

    learner = learner_of(task, net, allowed=1.01)
    learner.penalty().backward()
    assert float(learner.penalty().detach()) == 0
    assert all(float(each.grad) == 0 for each in learner.thresholds)


def test_the_loss_moves_thresholds_too_but_only_while_there_is_too_much(compression: Make) -> None:
    task = compression("compute-50")
    net, batch = spread(LAPP().start(task)), task.validation()[0]
    for allowed, moves in ((0.999, True), (1.01, False)):
        learner = learner_of(task, net, allowed, step=0.25)
        assert not {id(each) for each in learner.thresholds} & {id(each) for each in learner.trained()}
        before = torch.tensor(thresholds(net))
        learner.loss(batch).backward()
        assert all(float(each.grad) != 0 for each in learner.thresholds)
        learner.before_update(NOW)
        moved = torch.tensor(thresholds(net)) - before
        assert float(moved.square().mean().sqrt()) == pytest.approx(0.25 if moves else 0.0, rel=1e-4)


def test_a_layer_without_filters_still_passes_signal_by_its_bypass(compression: Make) -> None:
    task = compression("compute-50")
    inputs, read = images(task), {}
    net = cut(spread(LAPP().start(task)), 99.0).eval()
    for group in groups(net)[1:]:
        beside: Any = net.get_submodule(group.conv)
        assert beside.conv is None
        net.get_submodule(group.reader).register_forward_pre_hook(
            lambda _, given, name=group.reader: read.__setitem__(name, given[0])
        )
    found = net(inputs)
    assert all(float(each.detach().std(0).max()) > 1e-3 for each in read.values())  # not the same for all images
    assert len(read) == len(groups(net)) - 1
    assert found.isfinite().all()


def test_a_bypass_is_light_and_learns(compression: Make) -> None:
    task = compression("compute-50")
    net = LAPP().start(task)
    light = sum(each.bypass.weight.numel() for each in net.modules() if isinstance(each, Beside))
    beside = sum(each.conv.weight.numel() for each in net.modules() if isinstance(each, Beside))
    assert 0 < light < 0.03 * beside
    nets = [LAPP().start(compression("compute-50", seed=seed)) for seed in (0, 0, 1)]
    one, again, other = (each.layer1[0].conv1.bypass.weight for each in nets)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    ThresholdLearner(net.train(), task.model, True, Costs(task, net), 1.0, 0.1).loss(task.validation()[0]).backward()
    columns = net.layer1[0].conv2.weight.grad[:, net.layer1[0].bn1.filters :]
    assert float(columns.abs().max()) > 0


@pytest.mark.parametrize("point", ["compute-50", "compute-25", "size-50", "agree-compute-50"])
@pytest.mark.parametrize("variant", ["default", "no-bypass"])
def test_build_cuts_by_thresholds_that_have_learned(
    compression: Make, monkeypatch: pytest.MonkeyPatch, point: str, variant: str
) -> None:
    method, task = LAPP(**LAPP.variants[variant]), compression(point, passes=300)
    assert method.supports(task) is None
    learned: list[nn.Module] = []
    trained: list[tuple[bool, int]] = []
    fitted, recover = lapp.least_shift, lapp.recover

    def spied_shift(given: CompressionTask, net: nn.Module) -> float:
        learned.append(net)
        return fitted(given, net)

    def spied_recover(given: CompressionTask, model: nn.Module, *args: Any, **more: Any) -> None:
        trained.append((any(isinstance(each, MaskedNorm) for each in model.modules()), given.passes))
        recover(given, model, *args, **more)

    monkeypatch.setattr(lapp, "least_shift", spied_shift)
    monkeypatch.setattr(lapp, "recover", spied_recover)
    built = method.build(task)
    assert 0.9 < 1 + task.limits.excess(task.weigh(built)) <= 1
    assert [masked for masked, _ in trained] == [True, False]
    assert any(isinstance(each, Beside) for each in built.modules()) == (variant == "default")
    assert not any(isinstance(each, nn.BatchNorm2d | MaskedNorm) for each in built.modules())

    moved = torch.tensor(thresholds(learned[0])) - torch.tensor(thresholds(method.start(task)))
    assert float(moved.mean()) > 0.1
    assert float(moved.std()) > 0.01  # each by itself
    shift = fitted(task, learned[0])
    for group, mask in masks(learned[0]).items():
        conv: Any = built.get_submodule(group.conv)
        conv = conv.conv if isinstance(conv, Beside) else conv
        assert (0 if conv is None else len(conv.weight)) == int(mask.stay(shift).sum())


def test_what_it_cant_do_it_says(compression: Make) -> None:
    assert "transformer" in str(LAPP().supports(compression("compute-50", "vit")))
    assert "fewest filters" in str(LAPP().supports(compression("compute-50", flops_ratio=0.02)))
    for point in ("size-50", "size-25", "size-10", "compute-50", "compute-25", "agree-compute-25", "agree-size-25"):
        assert (LAPP().supports(compression(point)) is None) >= (L1Filters().supports(compression(point)) is None)
