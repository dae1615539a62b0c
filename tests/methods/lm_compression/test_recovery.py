"""What recovery and block-by-block calibration share: tried on the toy model."""

import copy

import pytest
import torch
from torch import Tensor

from methods.lm_compression._lora import merge
from methods.lm_compression._recovery import distillation_loss, next_token_loss
from suites._language.adapters import with_lora
from suites._language.blocks import walk_blocks
from suites._language.toy import toy_model
from suites._training.fit import fit
from tests.methods.lm_compression.compression_toys import divergence


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(0, 256, (6, 32), generator=torch.Generator().manual_seed(0))


def test_walk_gives_what_the_model_gives(ids: Tensor) -> None:
    model = toy_model()
    for step in walk_blocks(model, ids, batch=4):
        last = step.outputs()
    expected = model.get_decoder()(input_ids=ids, use_cache=False)[0]
    torch.testing.assert_close(model.get_decoder().norm(last), expected)


def test_later_blocks_see_changed_earlier_ones(ids: Tensor) -> None:
    model = toy_model()
    for step in walk_blocks(model, ids):
        if step.index == 0:
            dense = step.outputs()
            step.block.mlp.down_proj.weight.data.zero_()
        if step.index == 1:
            assert not torch.allclose(step.states, dense)
            return


def test_observed_inputs_are_those_of_the_layer(ids: Tensor) -> None:
    model = toy_model()
    seen: list[Tensor] = []
    step = next(walk_blocks(model, ids, batch=4))
    step.observe([step.block.self_attn.q_proj], [seen.append])
    torch.testing.assert_close(torch.cat(seen), step.block.input_layernorm(step.states))
    seen.clear()
    step.outputs()
    assert not seen  # the hooks are gone


def test_training_lowers_the_loss_and_moves_only_what_it_may(ids: Tensor) -> None:
    model = toy_model()
    before = copy.deepcopy(model.state_dict())
    model.requires_grad_(False)
    model.get_decoder().norm.weight.requires_grad_(True)
    losses = fit(model, [ids] * 10, lambda batch: next_token_loss(model, batch), learning_rate=0.05)
    assert losses[-1] < losses[0]
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"model.norm.weight"}


def test_sixteen_bits_take_steps_smaller_than_they_can_hold(ids: Tensor) -> None:
    """Steps of 2^-11 each vanish beside a weight of one in bfloat16; ten of them must not."""
    model = toy_model().to(torch.bfloat16).requires_grad_(False)
    norm = model.get_decoder().norm.weight.requires_grad_(True)
    norm.data.fill_(1.0)
    fit(model, [ids] * 20, lambda batch: next_token_loss(model, batch), learning_rate=2**-10, warm_up=0.0)
    assert (norm != 1.0).any()


def test_distillation_of_the_teacher_itself_is_zero_and_has_no_gradient_for_it(ids: Tensor) -> None:
    teacher, student = toy_model(), toy_model()
    value = distillation_loss(student, teacher, ids, temperature=2.0)
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    other = toy_model(seed=1)
    assert distillation_loss(other, teacher, ids).item() > 0.1


def test_merged_lora_computes_what_the_adapted_model_did(ids: Tensor) -> None:
    dense = toy_model()
    adapted = with_lora(copy.deepcopy(dense), rank=4, alpha=8, seed=0)
    torch.testing.assert_close(adapted(input_ids=ids).logits, dense(input_ids=ids).logits)  # starts at nothing
    fit(adapted, [ids] * 5, lambda batch: next_token_loss(adapted, batch), learning_rate=1e-2)
    logits = adapted(input_ids=ids).logits
    merged = merge(adapted)
    assert type(merged) is type(dense)
    assert merged.state_dict().keys() == dense.state_dict().keys()
    torch.testing.assert_close(merged(input_ids=ids).logits, logits, atol=1e-4, rtol=1e-4)


def test_distillation_is_the_divergence_of_the_model_from_the_teacher_and_not_the_other_way_round(ids: Tensor) -> None:
    teacher, student = toy_model(), toy_model(seed=1)
    found = distillation_loss(student, teacher, ids).item()
    assert found == pytest.approx(divergence(teacher, student, ids), rel=1e-4)
    assert found != pytest.approx(divergence(student, teacher, ids), rel=1e-3)
