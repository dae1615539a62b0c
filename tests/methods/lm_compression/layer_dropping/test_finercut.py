"""The shared run of all variants is exact, and the greedy order is that of the naive algorithm."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods._techniques.distances import DISTANCES, jensen_shannon, mean_distance
from methods.lm_compression._texts import beginnings
from methods.lm_compression.layer_dropping import finercut
from methods.lm_compression.layer_dropping._sublayers import Sublayer, drop, sublayers
from methods.lm_compression.layer_dropping.finercut import FinerCut, greedy_order

from .conftest import random_model

WINDOWS = torch.randint(1, 61, (3, 10), generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def naive_scores(model, dropped, metric, stride=1):
    """Every candidate by building the model without it and running all of it."""
    positions = list(range(WINDOWS.shape[1] - 1, -1, -stride))

    def output(gone):
        return drop(model, gone)(WINDOWS).logits[:, positions].flatten(0, 1)

    dense = output([])
    left = [sublayer for sublayer in sublayers(model) if sublayer not in dropped]
    return {s: DISTANCES[metric](dense, output([*dropped, s])).mean().item() for s in left}


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("metric", sorted(DISTANCES))
def test_the_whole_greedy_order_is_that_of_the_naive_algorithm(kind, metric):
    model = random_model(kind)
    order, dropped = list(greedy_order(model, WINDOWS, metric, stride=4)), []
    while len(dropped) < len(order):
        scores = naive_scores(model, dropped, metric, stride=4)
        dropped.append(min(scores, key=scores.__getitem__))
    assert order == dropped


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_each_variant_run_side_by_side_equals_the_model_without_that_sublayer(attention, monkeypatch):
    monkeypatch.setattr(finercut, "TOKENS_AT_ONCE", 30)  # several parts
    model = random_model(attention=attention)
    already = [Sublayer(0, "attention"), Sublayer(2, "mlp")]
    remaining = [sublayer for sublayer in sublayers(model) if sublayer not in already]
    with torch.no_grad():
        network = finercut._Network(model, WINDOWS)
        variants = network.leave_one_out(remaining)
        assert len(variants) == len(remaining)
        for left_out, states in zip(remaining, variants, strict=True):
            expected = drop(model, [*already, left_out])(WINDOWS).logits
            got = model.lm_head(model.model.norm(states))
            assert torch.allclose(got, expected, atol=1e-5), left_out


def test_greedy_scores_again_after_every_removal():
    """On this model the one-shot ranking differs from the greedy one, so a method that scores once is caught."""
    model = random_model(blocks=6)
    scores = naive_scores(model, [], "js")
    assert list(greedy_order(model, WINDOWS)) != sorted(scores, key=scores.__getitem__)


@pytest.mark.parametrize("useless", [Sublayer(0, "attention"), Sublayer(3, "mlp")])
def test_a_useless_sublayer_is_dropped_first(useless, make_task):
    model = random_model()
    block = model.model.layers[useless.block]
    with torch.no_grad():
        (block.self_attn.o_proj if useless.kind == "attention" else block.mlp.down_proj).weight.zero_()
    candidate = FinerCut(samples=2, length=16).build(make_task(model, flops_ratio=0.999))
    assert candidate.state_dict().keys() == drop(model, [useless]).state_dict().keys()


logits = st.lists(st.floats(-30, 30, width=32), min_size=5, max_size=5).map(lambda row: torch.tensor([row]))


@settings(max_examples=60, deadline=None)
@given(logits, logits)
def test_jensen_shannon_is_symmetric_bounded_and_equals_its_definition(a, b):
    p, q = torch.softmax(a.double(), -1)[0].tolist(), torch.softmax(b.double(), -1)[0].tolist()
    m = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    expected = sum((x * math.log(x / z) + y * math.log(y / z)) / 2 for x, y, z in zip(p, q, m, strict=True))
    value = jensen_shannon(a, b).item()
    assert value == pytest.approx(expected, abs=1e-6)
    assert value == pytest.approx(jensen_shannon(b, a).item(), abs=1e-6)
    assert -1e-6 <= value <= math.log(2) + 1e-6


def test_outputs_without_common_support_are_log_two_apart():
    a, b = torch.tensor([[200.0, -200.0, -200.0]]), torch.tensor([[-200.0, 200.0, -200.0]])
    assert jensen_shannon(a, b).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("metric", sorted(DISTANCES))
def test_equal_outputs_are_at_distance_zero_and_chunks_change_nothing(metric, monkeypatch):
    a, b = torch.randn(7, 11), torch.randn(7, 11)
    assert mean_distance(metric, a, a) == pytest.approx(0.0, abs=1e-3)  # arccos is steep at 1
    whole = mean_distance(metric, a, b)
    assert whole > 0.01
    monkeypatch.setattr("methods._techniques.distances.CPU_CHUNK", 22)
    assert mean_distance(metric, a, b) == pytest.approx(whole)


def test_kl_weighs_by_the_dense_model():
    dense, cut = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    p = 1 / (1 + math.exp(-2))
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert mean_distance("kl", dense, cut) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("metric", ["js", "norm"])
def test_what_is_dropped_is_the_beginning_of_the_greedy_order(metric, make_task):
    task = make_task(random_model(blocks=6), flops_ratio=0.6)
    method = FinerCut(metric=metric, samples=2, length=16, stride=1)
    order = list(greedy_order(task.model, beginnings(task, 2, 16), metric))
    kept = method.build(task).state_dict().keys()
    dropped = next(n for n in range(len(order)) if drop(task.model, order[:n]).state_dict().keys() == kept)
    assert dropped >= 3
