"""Folding stores a group's weights once; gates find what is useless; healing heals, and keeps what is shared shared."""

import io
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contract import Limits, OverBudget
from methods.lm_compression.layer_dropping._sublayers import drop, whole_block
from methods.lm_compression.weight_sharing._folding import Fold, fold, folds
from methods.lm_compression.weight_sharing._gates import Gates, gated, learn_gates
from methods.lm_compression.weight_sharing.foldgpt import FoldGPT, recover, tail_distillation_loss
from suites._language.toy import toy_model
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import drawn, fittings, next_token, task_around, text_of

IDS = torch.randint(0, 256, (2, 16), generator=torch.Generator().manual_seed(1))
HOW = Fold(gone=frozenset({2}), sharing=frozenset({1, 4}))


def logits(model: Any, ids: Tensor = IDS) -> Tensor:
    with torch.no_grad():
        return model(input_ids=ids).logits


def written(model: Any) -> int:
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell()


def matrix_products(model: Any) -> int:
    return sum(
        layer.weight.numel()
        for block in model.model.layers
        for part in (block.self_attn, block.mlp)
        for layer in part.children()
        if isinstance(layer, torch.nn.Linear)
    )


def make_task(model: Any = None, tokens: int = 1024, **limits: float) -> CausalLMTask:
    dense = model or toy_model()
    ids = (torch.arange(4096) % 7 * 30 + 5).tolist()
    whole, products = written(dense), matrix_products(dense)
    return task_around(
        dense,
        lambda candidate: {
            "stored_ratio": written(candidate) / whole,
            "flops_ratio": matrix_products(candidate) / products,
        },
        Limits(result=limits, supplies={"calibration_tokens": tokens, "training_tokens": tokens}),
        calibration=ids,
        training=ids,
    )


# --- gates ---


def gates_at(*values: float) -> Gates:
    """Gates of these values."""
    gates = Gates(len(values), "cpu")
    wanted = torch.tensor(values, dtype=torch.float64)
    gates.theta.data = (gates.epsilon * wanted / (1 - wanted)).sqrt()
    return gates


def test_gates_at_one_are_dense_and_gates_at_zero_are_the_embedding() -> None:
    dense = toy_model()
    before = logits(dense)
    with gated(dense, gates_at(*[1.0 - 1e-15] * 6)):
        assert torch.allclose(logits(dense), before, atol=1e-5)
    with gated(dense, gates_at(*[0.0] * 6)):
        closed = logits(dense)
    nothing = drop(dense, [part for index in range(6) for part in whole_block(index)])
    assert torch.allclose(closed, logits(nothing), atol=1e-5)
    assert torch.equal(logits(dense), before)


def test_a_gate_scales_the_update_of_its_block() -> None:
    """Half-way, the last block's output is the mean of what it gives and of what enters it."""
    dense, streams = toy_model(), []
    dense.model.norm.register_forward_pre_hook(lambda _, inputs: streams.append(inputs[0]))
    for value in (0.0, 0.5, 1 - 1e-15):
        with gated(dense, gates_at(*[1 - 1e-15] * 5, value)):
            logits(dense)
    assert torch.allclose(streams[1], (streams[0] + streams[2]) / 2, atol=1e-5)
    assert not torch.allclose(streams[1], streams[0], atol=1e-2)


def test_the_ranking_finds_a_planted_useless_block_and_its_weights_stay() -> None:
    dense = toy_model()
    with torch.no_grad():
        dense.model.layers[4].self_attn.o_proj.weight.zero_()
        dense.model.layers[4].mlp.down_proj.weight.zero_()
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    # What the model itself would say: there each block that does something has a part in a low loss.
    prompts = torch.randint(0, 256, (60, 4), generator=torch.Generator().manual_seed(0))
    text = dense.generate(prompts, max_new_tokens=20, do_sample=False)
    importance = learn_gates(dense, text.split(1), kept=5 / 6, penalty=8.0, learning_rate=0.02)
    assert importance.index(min(importance)) == 4
    assert all(torch.equal(before[name], value) for name, value in dense.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in dense.parameters())


# --- folds ---


def test_folds_take_one_block_weight_at_a_time_in_the_order_of_importance() -> None:
    importance = [5.0, 1.0, 0.0, 4.0, 2.0, 3.0]
    ranked = folds(importance, removal=0.5, group=2)
    assert [len(how.gone) + len(how.sharing) for how in ranked] == list(range(len(ranked)))
    assert ranked[1] == Fold(frozenset({2}), frozenset())
    assert ranked[2] == Fold(frozenset({2}), frozenset({1}))
    assert ranked[3] == Fold(frozenset({2, 1}), frozenset({4}))
    # 4 shares with 3, so neither 5 nor 3 may join (a group of three), and 0 leads: 5 is removed after 1 and 2 and 4.
    assert ranked[4] == Fold(frozenset({2, 1, 4}), frozenset({5}))
    assert len(ranked) == 6
    assert folds(importance, removal=1.0, group=2)[-1] == Fold(frozenset({2, 1, 4, 5, 3}), frozenset())


@pytest.mark.parametrize("group", [2, 3, 6])
def test_no_group_is_larger_than_allowed_and_someone_leads(group: int) -> None:
    importance = torch.rand(12, generator=torch.Generator().manual_seed(group)).tolist()
    for how in folds(importance, removal=0.3, group=group):
        left = [index for index in range(12) if index not in how.gone]
        sizes, size = [], 0
        for index in left:
            size = size + 1 if index in how.sharing else 1
            sizes.append(size)
        assert left[0] not in how.sharing
        assert max(sizes) <= group
        assert not how.gone & how.sharing


# --- folding ---


def test_a_folded_model_is_the_dense_one_with_the_leaders_weights() -> None:
    dense = toy_model()
    expected = drop(dense, whole_block(2))
    with torch.no_grad():
        for sharer, leader in ((1, 0), (3, 2)):  # indices once block 2 is gone: 4 follows 3
            for part in ("self_attn", "mlp"):
                to, source = (getattr(expected.model.layers[i], part) for i in (sharer, leader))
                to.load_state_dict(source.state_dict())
    assert torch.equal(logits(fold(dense, HOW)), logits(expected))


def test_shared_weights_are_stored_once() -> None:
    dense = toy_model()
    folded, dropped = fold(dense, HOW), drop(dense, whole_block(2))
    linears = sum(p.numel() for name, p in dense.model.layers[0].named_parameters() if "proj" in name)
    assert sum(p.numel() for p in dropped.parameters()) - sum(p.numel() for p in folded.parameters()) == 2 * linears
    assert written(dropped) - written(folded) == pytest.approx(2 * 4 * linears, rel=0.05)
    a, b, c = (folded.model.layers[index] for index in (0, 1, 2))
    assert a.mlp.up_proj.weight is b.mlp.up_proj.weight
    assert a.mlp.up_proj.weight is not c.mlp.up_proj.weight
    assert a.input_layernorm.weight is not b.input_layernorm.weight


def test_caches_are_not_shared() -> None:
    candidate = fold(toy_model(), HOW)
    greedy = {"max_new_tokens": 6, "do_sample": False}
    cached = candidate.generate(IDS, use_cache=True, **greedy)
    assert torch.equal(cached, candidate.generate(IDS, use_cache=False, **greedy))
    assert [block.self_attn.layer_idx for block in candidate.model.layers] == list(range(5))


def test_recovery_lowers_the_loss_and_shared_weights_stay_shared() -> None:
    task = make_task()
    candidate = fold(task.model, HOW)
    embedding = candidate.model.embed_tokens.weight.detach().clone()
    held_out = text_of(task, "training")[None, :64]
    before = tail_distillation_loss(candidate, task.model, held_out, 1.0).item()
    size = written(candidate)
    recover(candidate, task, learning_rate=1e-3, tail=1.0)
    assert tail_distillation_loss(candidate, task.model, held_out, 1.0).item() < before
    assert written(candidate) == size
    assert candidate.model.layers[0].mlp.up_proj.weight is candidate.model.layers[1].mlp.up_proj.weight
    norms = [candidate.model.layers[index].input_layernorm.weight for index in (0, 1)]
    assert not torch.equal(*norms)
    assert torch.equal(candidate.model.embed_tokens.weight, embedding)
    assert not any(parameter.requires_grad for parameter in candidate.parameters())


def test_the_tail_loss_of_the_teacher_itself_is_its_next_token_loss() -> None:
    dense = toy_model()
    plain = torch.nn.functional.cross_entropy(logits(dense)[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
    assert tail_distillation_loss(dense, dense, IDS, 5.0).item() == pytest.approx(plain.item(), abs=1e-5)


# --- the method ---


@pytest.mark.parametrize("variant", FoldGPT.variants)
@pytest.mark.parametrize("limit", [("stored_ratio", 0.75), ("stored_ratio", 0.5), ("flops_ratio", 0.75)])
def test_it_meets_the_limit_with_the_least(variant: str, limit: tuple[str, float]) -> None:
    task = make_task(**dict([limit]))
    method = FoldGPT(**FoldGPT.variants[variant], length=32)
    assert method.supports(task) is None
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    candidate = method.build(task)
    name, allowed = limit
    one_block = 0.17
    assert allowed - one_block < task.weigh(candidate)[name] <= allowed
    assert all(torch.equal(before[name], value) for name, value in task.model.state_dict().items())
    assert drawn(task)["training_tokens"] == (0 if variant == "no-recovery" else 1024)
    again = make_task(task.model, **dict([limit]))
    assert torch.equal(logits(candidate), logits(method.build(again)))


def test_the_blocks_of_the_least_gates_go(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "methods.lm_compression.weight_sharing.foldgpt.learn_gates"
    monkeypatch.setattr(module, lambda *_, **__: [3.0, 0.0, 4.0, 5.0, 1.0, 2.0])
    task = make_task(flops_ratio=0.7)
    candidate = FoldGPT(recovery=False, length=32).build(task)
    stay = [task.model.model.layers[index] for index in (0, 2, 3, 5)]
    for block, dense in zip(candidate.model.layers, stay, strict=True):
        assert torch.equal(block.mlp.up_proj.weight, dense.mlp.up_proj.weight)


def test_gates_are_learned_for_what_must_go_and_the_rest_heals_by_the_tail_too(monkeypatch: pytest.MonkeyPatch) -> None:
    module, told = "methods.lm_compression.weight_sharing.foldgpt", {}

    def gates(*_: Any, **settings: Any) -> list[float]:
        told.update(settings)
        return [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]

    monkeypatch.setattr(f"{module}.learn_gates", gates)
    trained = fittings(monkeypatch, module)
    task = make_task(flops_ratio=0.7)
    model = FoldGPT(penalty=5.0, gate_rate=0.07, tail=3.0, learning_rate=1e-3, length=32).build(task)
    assert told == {"kept": 1 - 2 / 6, "penalty": 5.0, "learning_rate": 0.07}
    (found,) = trained
    assert found.settings["learning_rate"] == 1e-3
    with torch.no_grad():
        loss = float(found.loss(IDS))
        wanted, given = (each.model(input_ids=IDS).last_hidden_state for each in (task.model, model))
        distance = float((wanted - given).norm() ** 2 / wanted.norm() ** 2)
    assert loss == pytest.approx(next_token(model, IDS) + 3 * distance, rel=1e-4)


@pytest.mark.parametrize("group", [2, 3])
def test_no_more_blocks_share_than_a_group_has(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "methods.lm_compression.weight_sharing.foldgpt.learn_gates"
    monkeypatch.setattr(module, lambda *_, **__: [5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    method = FoldGPT(removal=0.0, group=group, recovery=False, length=32)
    candidate = method.build(make_task(stored_ratio=0.42 if group == 3 else 0.55))
    sizes = Counter(id(block.mlp.up_proj.weight) for block in candidate.model.layers)
    assert max(sizes.values()) == group


def test_bytes_go_by_both_ways_and_flops_by_removal_alone() -> None:
    method = FoldGPT(recovery=False, length=32)
    size = method.build(make_task(stored_ratio=0.5))
    weights = {id(block.mlp.up_proj.weight) for block in size.model.layers}
    assert len(weights) < len(size.model.layers) < 6
    compute = method.build(make_task(flops_ratio=0.5))
    assert len({id(block.mlp.up_proj.weight) for block in compute.model.layers}) == len(compute.model.layers) == 3


def test_what_it_can_not_do_it_says() -> None:
    assert "without one" in str(FoldGPT().supports(make_task()))
    assert "still" in str(FoldGPT().supports(make_task(stored_ratio=0.05)))
    with pytest.raises(OverBudget):
        FoldGPT().build(make_task(stored_ratio=0.05))
