"""Groups of filters, nets without some of them, and gates."""

import copy
from types import ModuleType

import pytest
import torch
from torch import nn

from bench.contract import Method
from methods.vision_compression.filters import _static, random_gate
from methods.vision_compression.filters._gates import Gate, GatedNet, lowest_threshold, new_gates, serving
from methods.vision_compression.filters._groups import cut, filters, first, groups
from methods.vision_compression.filters.l1_filters import L1Filters, l1_norms
from methods.vision_compression.filters.random_filters import RandomFilters
from methods.vision_compression.filters.random_gate import RandomGate, RandomGates
from suites._vision import efficientnet
from suites.vision_compression import bases
from tests.methods.vision_compression.conftest import Make, images, same


def nets() -> list[tuple[nn.Module, torch.Tensor]]:
    """Each kind of net that has filters, with images."""
    generator = torch.Generator().manual_seed(0)
    found = [(bases.model("toy-resnet-24", "cpu"), torch.rand(3, 3, 16, 16, generator=generator) * 2 - 1)]
    if efficientnet.missing() is None:
        found.append((bases.model("efficientnet-lite0", "cpu"), torch.rand(2, 3, 96, 96, generator=generator) * 2 - 1))
    return found


def test_filters_that_give_nothing_can_go(compression: Make) -> None:
    compression()  # so that the toy base is there
    for net, inputs in nets():
        silent = copy.deepcopy(net)
        kept = {}
        for index, group in enumerate(groups(net)):
            count = len(filters(net)[group.conv])
            kept[group.conv] = torch.arange(index % 2, count, 2)
            gone = torch.ones(count, dtype=torch.bool)
            gone[kept[group.conv]] = False
            for name in filter(None, (group.norm, group.depthwise_norm)):
                norm = silent.get_submodule(name)
                norm.weight.data[gone], norm.bias.data[gone] = 0.0, 0.0
        smaller = cut(net, kept).eval()
        assert same(smaller, silent, inputs, 1e-3)
        assert sum(each.numel() for each in smaller.parameters()) < 0.6 * sum(each.numel() for each in net.parameters())


def test_of_a_transformer_there_are_none(compression: Make) -> None:
    task = compression("compute-50", "vit")
    assert groups(task.model) == []
    for method in (L1Filters(), RandomFilters(), RandomGates()):
        assert "transformer" in str(method.supports(task))


def test_the_least_norms_go() -> None:
    weight = torch.tensor([1.0, -4.0, 2.0])[:, None, None, None].expand(3, 2, 3, 3)
    assert l1_norms(weight).tolist() == [18.0, 72.0, 36.0]


@pytest.mark.parametrize("method", [L1Filters(), RandomFilters(), RandomGates()], ids=lambda each: each.card.slug)
def test_a_control_spends_what_it_may(compression: Make, method: Method) -> None:
    task = compression("compute-50")
    assert method.supports(task) is None
    built = method.build(task)
    assert -0.15 < task.limits.excess(task.weigh(built)) <= 0
    assert "one filter" in str(method.supports(compression("compute-50", flops_ratio=0.02)))


@pytest.mark.parametrize(
    ("method", "home"),
    [(L1Filters(rate=0.02), _static), (RandomFilters(rate=0.02), _static), (RandomGates(rate=0.02), random_gate)],
    ids=["l1", "random", "gates"],
)
def test_a_control_is_trained_with_all_passes_after_it_was_cut(
    compression: Make, method: Method, home: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    monkeypatch.setattr(home, "recover", lambda task, model, rate, **options: trained.append((rate, options)))
    method.build(compression("compute-50"))
    assert trained == [(0.02, {})]


def test_l1_keeps_the_largest(compression: Make) -> None:
    task = compression("compute-50", passes=0)
    built = L1Filters().build(task)
    kept = len(built.layer1[0].conv1.weight)
    order = l1_norms(filters(task.model)["layer1.0.conv1"]).topk(kept).indices.sort().values
    assert same(built, cut(task.model, {**first(task.model, kept / 24 + 1e-6), **_largest(task.model, built)}).eval(),
                images(task), 1e-3)  # fmt: skip
    assert 0 < len(order) < 24


def _largest(model: nn.Module, built: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: l1_norms(each).topk(built.get_submodule(name).out_channels).indices.sort().values
        for name, each in filters(model).items()
    }


@pytest.mark.parametrize("kind", [Gate, RandomGate])
def test_what_serves_computes_what_was_trained_under_masks(compression: Make, kind: type[Gate]) -> None:
    compression()
    torch.manual_seed(0)
    for net, inputs in nets():
        gates = new_gates(net, kind)
        for gate in gates.values():
            nn.init.uniform_(gate.linear.bias, -0.3, 0.3)
            gate.count = max(1, gate.linear.out_features // 2)
        masked = GatedNet(net, gates).eval()
        assert same(masked, serving(net, gates), inputs, 1e-3)
        assert len(masked.logits) == len(groups(net))


def test_each_image_has_filters_of_its_own(compression: Make) -> None:
    task = compression("compute-50")
    gates = new_gates(task.model, RandomGate)
    for gate in gates.values():
        gate.count = 5
    masked = GatedNet(task.model, gates).eval()
    masked(images(task))
    chosen = torch.cat([gates[group.conv].chosen(masked.logits[i]) for i, group in enumerate(masked.groups)], -1)
    assert len({tuple(each.tolist()) for each in chosen}) > 1


def test_skipped_filters_cost_nothing_and_heads_do(compression: Make) -> None:
    task = compression("compute-50")
    gates = new_gates(task.model)

    def flops(threshold: float) -> float:
        for gate in gates.values():
            gate.threshold = threshold
        return task.weigh(serving(task.model, gates))["flops"]

    every, one = flops(-1e9), flops(1e9)
    heads = sum(2 * gate.linear.weight.numel() for gate in gates.values())
    assert every > task.weigh(task.model)["flops"] + 0.9 * heads
    fewest = task.weigh(cut(task.model, first(task.model, 0.0)))["flops"]
    assert fewest < one < 1.5 * fewest + 3 * heads


def test_the_threshold_is_where_the_limit_is_met(compression: Make) -> None:
    task = compression("compute-50")
    torch.manual_seed(0)
    gates = new_gates(task.model)
    found = lowest_threshold(task, task.model, gates)
    for gate in gates.values():
        gate.threshold = found
    assert -0.15 < task.limits.excess(task.weigh(serving(task.model, gates))) <= 0


def test_one_filter_is_always_chosen() -> None:
    gate = Gate(4, 6)
    gate.threshold = 1e9
    logits = gate(torch.rand(5, 4, 2, 2))
    assert gate.chosen(logits).sum(-1).tolist() == [1] * 5
    assert torch.equal(gate.chosen(logits).float().argmax(-1), logits.argmax(-1))
