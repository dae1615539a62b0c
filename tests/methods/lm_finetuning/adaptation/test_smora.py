"""SMoRA: ranks as experts."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from methods._techniques.selected_ranks import selected_update
from methods.lm_finetuning.adaptation.smora import Balanced, RankMixture, SMoRA
from suites._language.adapters import decoder_linears
from suites._training.learner import Moment
from suites.lm_finetuning.batches import Batch
from tests.methods.lm_finetuning.finetuning_toys import make, toy_task


def mixture(rank: int = 8, active: int = 2, **fields: int) -> tuple[RankMixture, Tensor]:
    """With no factor at zero, and tokens to put in."""
    torch.manual_seed(0)
    base = nn.Linear(6, 5, bias=False).requires_grad_(False)
    made = SMoRA(rank=rank, active=active, **fields).around(base, rank, torch.Generator().manual_seed(1))  # type: ignore[arg-type]
    with torch.no_grad():
        made.b.normal_()
    return made.eval(), torch.randn(3, 4, 6)


def test_with_all_ranks_taken_it_is_lora_with_the_gates_between_the_factors() -> None:
    layer, x = mixture(active=8)
    gates = torch.sigmoid(x @ layer.router.T)
    gates = gates / gates.mean(-1, keepdim=True)
    wanted = layer.base(x) + 2.0 * ((x @ layer.a.T) * gates) @ layer.b
    assert torch.allclose(layer(x), wanted, atol=1e-5)


def test_with_all_ranks_taken_and_equal_gates_it_is_lora() -> None:
    layer, x = mixture(active=8)
    with torch.no_grad():
        layer.router.zero_()
    wanted = x @ (layer.base.weight + 2.0 * layer.b.T @ layer.a).T
    assert torch.allclose(layer(x), wanted, atol=1e-5)


def test_ranks_that_a_token_does_not_take_are_not_computed() -> None:
    """Their numbers are not even multiplied by zero."""
    layer, x = mixture()
    token = x.reshape(-1, 6)[:1]
    whole = layer(token)
    ranks, _ = layer.route(token)
    others = [rank for rank in range(8) if rank not in ranks[0].tolist()]
    assert len(others) == 6
    with torch.no_grad():
        layer.a[others] = torch.nan
        layer.b[others] = torch.nan
    assert torch.equal(layer(token), whole)


@pytest.mark.parametrize("active", [2, 4, 8])
def test_floating_point_operations_follow_the_ranks_that_are_taken(active: int) -> None:
    layer, x = mixture(active=active)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    tokens, inputs, outputs = 12, 6, 5
    experts = active * (inputs + outputs)
    assert counter.get_total_flops() == 2 * tokens * (inputs * outputs + 8 * inputs + experts)


def test_the_largest_gates_are_taken() -> None:
    layer, x = mixture()
    tokens = x.reshape(-1, 6)
    gates = torch.sigmoid(tokens @ layer.router.T)
    for row, ranks in zip(gates, layer.route(tokens)[0], strict=True):
        assert set(row.argsort(descending=True)[:2].tolist()) == set(ranks.tolist())
    layer.bias[5] = 9.0
    assert (layer.route(tokens)[0] == 5).any(1).all()


def test_the_bias_is_in_the_gates_that_are_compared_and_in_those_that_weigh() -> None:
    """As in the authors' code."""
    layer, x = mixture(active=3)
    layer.bias.copy_(torch.linspace(-0.4, 0.4, 8)[[3, 7, 0, 5, 1, 6, 2, 4]])
    tokens = x.reshape(-1, 6)
    gates = torch.sigmoid(tokens @ layer.router.T) + layer.bias
    wanted, chosen = gates.sort(dim=1, descending=True)
    ranks, weights = layer.route(tokens)
    assert torch.equal(ranks, chosen[:, :3])
    torch.testing.assert_close(weights, wanted[:, :3] / wanted[:, :3].mean(1, keepdim=True))


def test_gradients_are_those_of_the_sum() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()

    ranks = torch.stack([torch.randperm(6, generator=generator)[:3] for _ in range(5)])
    inputs = random(5, 4), random(6, 4), random(6, 3), ranks, random(5, 3)
    assert torch.autograd.gradcheck(selected_update, inputs)


def test_groups_of_ranks_are_taken_together_under_one_gate() -> None:
    layer, x = mixture(active=4, partition=2)
    ranks, weights = layer.route(x.reshape(-1, 6))
    assert layer.router.shape == (4, 6)
    for taken, of in zip(ranks.tolist(), weights, strict=True):
        assert [taken[0] + 1, taken[2] + 1] == [taken[1], taken[3]]
        assert [taken[0] % 2, taken[2] % 2] == [0, 0]
        assert of[0] == of[1]
        assert float(of.detach().mean()) == pytest.approx(1)


def test_biases_move_against_the_load_in_training_alone() -> None:
    task = toy_task()
    method = SMoRA(rank=8, active=2)
    name = decoder_linears(task.model)[0]
    model = task.copied()
    model.set_submodule(name, method.around(model.get_submodule(name), 8, torch.Generator()))
    learner, layer = Balanced(model, method.balance), model.get_submodule(name)
    batch: Batch = task.validation()[0]
    assert learner.penalty() is None
    for training in (False, True):
        model.train(training)
        learner.before_step(Moment(0, 10))
        learner.loss(batch)
        load = layer.load.clone()
        assert bool(load.any()) == training
        before = layer.bias.clone()
        learner.after_update(Moment(0, 10))
        assert torch.allclose(layer.bias - before, 1e-3 * (load.mean() - load).sign())
    assert load.sum() == 2 * batch.tokens


def test_the_load_is_that_of_one_step_alone() -> None:
    task = toy_task()
    method = SMoRA(rank=8, active=2)
    learner = method._start(task, decoder_linears(task.model), 8)
    layer = learner.model.get_submodule(decoder_linears(task.model)[0])
    for step, batch in enumerate(task.training()[:3]):
        learner.model.train()
        learner.before_step(Moment(step, 10))
        learner.loss(batch)
        assert layer.load.sum() == 2 * batch.tokens
        learner.after_update(Moment(step, 10))


def test_a_smaller_mixture_keeps_the_share_that_is_active() -> None:
    layer = nn.Linear(6, 5, bias=False)
    taken = {rank: SMoRA().around(layer, rank, torch.Generator()).taken for rank in (64, 32, 8, 2)}
    assert taken == {64: 8, 32: 4, 8: 1, 2: 1}


def test_one_expert_is_no_mixture() -> None:
    task = toy_task(result={"shipped_ratio": 0.006})
    assert "rank 2" in str(SMoRA().supports(task))


def test_what_is_built_routes_each_token_to_some_ranks_and_has_been_balanced() -> None:
    task = toy_task(tokens=600)
    tuned = make(SMoRA(rank=8, active=2, rate=3e-3), task)
    layers = [tuned.model.get_submodule(name) for name in decoder_linears(task.model)]
    assert all(isinstance(layer, RankMixture) for layer in layers)
    assert {(layer.taken, len(layer.a)) for layer in layers} == {(2, 8)}
    assert all(layer.bias.any() for layer in layers)
    trained = [tuned.trainer.learner.model.get_submodule(name) for name in decoder_linears(task.model)]
    assert all(torch.equal(layer.bias, own.bias) for layer, own in zip(layers, trained, strict=True))
    assert all(layer.b.any(1).sum() > 2 for layer in layers)  # other tokens have taught other ranks
