"""Minitron: what is trimmed, that trimming what does nothing changes nothing, shapes at the limit, distillation."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from methods.lm_compression._recovery import distillation_loss
from methods.lm_compression.structured_pruning import minitron
from methods.lm_compression.structured_pruning._activations import importance
from methods.lm_compression.structured_pruning._cut import layers
from methods.lm_compression.structured_pruning._shapes import Figures, trimmed
from methods.lm_compression.structured_pruning._trim import Shape, leading, norms, shape_of, trim
from methods.lm_compression.structured_pruning.minitron import Minitron, initialise
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import divergence, fittings, next_token
from tests.methods.lm_compression.structured_pruning.conftest import VOCABULARY, parameters, random_model

IDS = torch.randint(1, VOCABULARY, (6, 20), generator=torch.Generator().manual_seed(8))
SMALL: dict[str, Any] = {"samples": 4, "length": 32, "step": 4, "trial_steps": 2, "learning_rate": 3e-3}


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(IDS).logits


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("tied", [True, False])
def test_trimming_what_contributes_nothing_leaves_the_logits(kind: str, tied: bool) -> None:
    """Channels that are always zero, heads and neurons that nothing reads, a block that adds nothing."""
    model = random_model(kind, tie_word_embeddings=tied)
    idle, generator = torch.tensor([5, 11, 30, 47]), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for norm in norms(model):
            norm.weight.uniform_(0.5, 2.0, generator=generator)
        model.get_input_embeddings().weight[:, idle] = 0
        for layer in layers(model):
            layer.self_attn.o_proj.weight[idle] = 0
            layer.mlp.down_proj.weight[idle] = 0
            for head in (1, 3):  # one of each group of three
                layer.self_attn.o_proj.weight[:, 8 * head : 8 * head + 8] = 0
            layer.mlp.gate_proj.weight[10:14] = 0  # silu(0) = 0
        layers(model)[2].self_attn.o_proj.weight.zero_()
        layers(model)[2].mlp.down_proj.weight.zero_()
    scores = importance(model, IDS)
    kept = scores.most(Shape(3, 44, 3, 60))
    assert kept.blocks == [0, 1, 3]
    assert set(range(48)) - set(kept.hidden.tolist()) == set(idle.tolist())
    assert all(set(range(64)) - set(neurons.tolist()) == set(range(10, 14)) for neurons in kept.neurons)
    silent = [torch.tensor([0, 2, 4, 5])] * 4
    small = trim(model, kept._replace(heads=silent))
    assert shape_of(small) == Shape(3, 44, 2, 60)
    torch.testing.assert_close(logits(small), logits(model), atol=1e-4, rtol=1e-4)


def test_importance_is_mean_size_over_the_window_and_length_over_windows() -> None:
    model = random_model()
    layer, seen = layers(model)[1], {}
    hooks = [
        module.register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, (i[0], o)))
        for name, module in [("o", layer.self_attn.o_proj), ("down", layer.mlp.down_proj), ("block", layer)]
        + [(f"norm{n}", norm) for n, norm in enumerate(norms(model))]
    ]
    logits(model)
    for hook in hooks:
        hook.remove()
    scores = importance(model, IDS, batch=4)
    expected = seen["down"][0].abs().mean(1).square().sum(0).sqrt()
    torch.testing.assert_close(scores.neurons[1], expected, rtol=1e-5, atol=0)
    per_head = seen["o"][0].unflatten(-1, (6, 8)).norm(dim=-1).mean(1).square().sum(0).sqrt()
    torch.testing.assert_close(scores.heads[1], per_head, rtol=1e-5, atol=0)
    stream = sum(seen[f"norm{n}"][1].abs().mean(1).square().sum(0).sqrt() for n in range(9))
    torch.testing.assert_close(scores.hidden, stream, rtol=1e-5, atol=0)
    entering, leaving = (part.flatten(0, 1) for part in seen["block"])
    angle = 1 - (entering * leaving).sum(-1) / entering.norm(dim=-1) / leaving.norm(dim=-1)
    assert float(scores.blocks[1]) == pytest.approx(float(angle.mean()), rel=1e-4)
    torch.testing.assert_close(scores.energy[3].sum(), torch.tensor(1.0).double())


def test_the_least_important_leave_and_every_group_keeps_as_many_heads() -> None:
    model = random_model()
    scores = importance(model, IDS)
    kept = scores.most(Shape(2, 40, 2, 50))
    for values, stays in ((scores.hidden, kept.hidden), *zip(scores.neurons, kept.neurons, strict=True)):
        left = torch.ones(len(values), dtype=torch.bool)
        left[stays] = False
        assert values[left].max() <= values[stays].min()
    for values, heads in zip(scores.heads, kept.heads, strict=True):
        for group in (0, 1):
            members = [head for head in heads.tolist() if head // 3 == group]
            assert len(members) == 2
            assert float(values[3 * group : 3 * group + 3].min()) not in values[members].tolist()


def test_a_trimmed_model_is_an_ordinary_one(make_task: Callable[..., CausalLMTask]) -> None:
    model = random_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    small = trim(model, importance(model, IDS).most(Shape(3, 32, 1, 20)))
    assert (small.config.hidden_size, small.config.num_attention_heads, small.config.num_hidden_layers) == (32, 2, 3)
    assert small.lm_head.weight is small.model.embed_tokens.weight
    pointers = {parameter.data_ptr() for parameter in model.parameters()}
    assert pointers.isdisjoint(parameter.data_ptr() for parameter in small.parameters())
    fresh = type(model)(small.config)  # the configuration alone says the shapes
    assert {n: p.shape for n, p in fresh.named_parameters()} == {n: p.shape for n, p in small.named_parameters()}
    settings = {"max_new_tokens": 8, "do_sample": False}
    assert torch.equal(
        small.generate(IDS[:2], use_cache=True, **settings), small.generate(IDS[:2], use_cache=False, **settings)
    )
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_figures_of_any_shape_follow_from_a_few_weighings(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(stored_ratio=0.5, flops_ratio=0.5)
    figures = Figures(task)
    for shape in (Shape(4, 48, 3, 64), Shape(3, 40, 2, 24), Shape(1, 16, 1, 8), Shape(2, 44, 3, 60)):
        assert figures(shape) == pytest.approx(dict(task.weigh(trimmed(task, shape))), rel=1e-6)
    assert parameters(trim(task.model, leading(task.model, Shape(4, 48, 3, 64)))) == parameters(task.model)


@pytest.mark.parametrize("axes", ["all", "depth", "width"])
@pytest.mark.parametrize("limits", [{"stored_ratio": 0.7}, {"flops_ratio": 0.5}])
def test_limits_are_met_on_the_axes_that_are_allowed(
    make_task: Callable[..., CausalLMTask], axes: Any, limits: dict
) -> None:
    task = make_task(**limits)
    method = Minitron(axes=axes, retraining="none", **SMALL)
    assert method.supports(task) is None
    candidate = method.build(task)
    shape, ((name, allowed),) = shape_of(candidate), limits.items()
    assert task.limits.met_by(task.weigh(candidate))
    if axes == "depth":
        assert shape[1:] == (48, 3, 64)
        assert task.weigh(trimmed(task, shape._replace(blocks=shape.blocks + 1)))[name] > allowed
    else:
        assert task.weigh(candidate)[name] > 0.95 * allowed - 0.02
    if axes == "width":
        assert shape.blocks == 4


def test_distillation_brings_the_trimmed_model_nearer_to_the_dense_one(make_task: Callable[..., CausalLMTask]) -> None:
    def divergence(**changes: Any) -> float:
        task = make_task(stored_ratio=0.6)
        candidate = Minitron(**(SMALL | {"axes": "width"} | changes)).build(task)
        assert not any(parameter.requires_grad for parameter in candidate.parameters()) or changes
        with torch.no_grad():
            return float(distillation_loss(candidate, task.model, IDS))

    distilled = divergence()
    assert distilled < 0.9 * divergence(retraining="none")
    assert distilled < 0.9 * divergence(scratch=True)


@pytest.mark.parametrize("retraining", ["distillation", "next-token"])
def test_the_trimmed_model_is_retrained_by_what_it_is_told(
    make_task: Callable[..., CausalLMTask], monkeypatch: pytest.MonkeyPatch, retraining: Any
) -> None:
    trained = fittings(monkeypatch, "methods.lm_compression.structured_pruning.minitron")
    task = make_task(stored_ratio=0.6)
    model = Minitron(**SMALL | {"axes": "depth", "retraining": retraining}).build(task)
    (found,) = trained
    assert found.model is model
    with torch.no_grad():
        loss = float(found.loss(IDS))
    wanted = {"distillation": divergence(task.model, model, IDS), "next-token": next_token(model, IDS)}
    assert loss == pytest.approx(wanted[retraining], rel=1e-4)
    assert loss != pytest.approx(divergence(model, task.model, IDS), rel=1e-2)


def test_of_the_widths_the_least_loss_decides_and_of_the_depths_a_trial(
    make_task: Callable[..., CausalLMTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(**fields: Any) -> Shape:
        return shape_of(Minitron(**SMALL | {"retraining": "none"} | fields).build(make_task(stored_ratio=0.6)))

    found = {}
    for sign in (1, -1):
        monkeypatch.setattr(minitron, "calibration_loss", lambda model, _, sign=sign: sign * model.config.hidden_size)
        monkeypatch.setattr(Minitron, "_trial", lambda self, task, scores, shape, *_, sign=sign: sign * shape.blocks)
        found[sign] = built(axes="width").hidden, built(depths=(1.0, 0.75)).blocks
    assert found[1][0] < found[-1][0]
    assert (found[1][1], found[-1][1]) == (3, 4)


def test_a_trial_distils_the_dense_model(
    make_task: Callable[..., CausalLMTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = fittings(monkeypatch, "methods.lm_compression.structured_pruning.minitron")
    task = make_task(stored_ratio=0.6)
    Minitron(**SMALL | {"retraining": "none", "depths": (1.0, 0.75)}).build(task)
    assert len(trained) == 2
    for trial in trained:
        assert len(trial.batches) == 2
        with torch.no_grad():
            assert float(trial.loss(IDS)) == pytest.approx(divergence(task.model, trial.model, IDS), rel=1e-4)


def test_the_block_that_does_least_goes_first(make_task: Callable[..., CausalLMTask]) -> None:
    model = random_model()
    with torch.no_grad():
        layers(model)[1].self_attn.o_proj.weight.mul_(1e-3)
        layers(model)[1].mlp.down_proj.weight.mul_(1e-3)
    small = Minitron(axes="depth", retraining="none", samples=4, length=32).build(make_task(model, flops_ratio=0.8))
    stay = [layers(model)[index].mlp.up_proj.weight for index in (0, 2, 3)]
    for layer, weight in zip(layers(small), stay, strict=True):
        torch.testing.assert_close(layer.mlp.up_proj.weight, weight)


def test_from_scratch_has_the_same_shape_and_none_of_the_weights(make_task: Callable[..., CausalLMTask]) -> None:
    method = Minitron(axes="width", retraining="none", **SMALL)
    task = make_task(stored_ratio=0.6)
    pruned = method.build(task)
    task = make_task(stored_ratio=0.6)
    fresh = Minitron(axes="width", retraining="none", scratch=True, **SMALL).build(task)
    assert shape_of(pruned) == shape_of(fresh)
    matrices = [m for m in fresh.modules() if isinstance(m, nn.Linear)]
    assert all(float(m.weight.detach().std()) == pytest.approx(0.2, rel=0.3) for m in matrices)  # initializer_range
    again = trim(random_model(), leading(random_model(), shape_of(fresh)))
    initialise(again, torch.Generator().manual_seed(0))
    assert torch.equal(again.lm_head.weight, fresh.lm_head.weight)


def test_a_limit_out_of_reach_is_said_beforehand(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(stored_ratio=0.01)
    assert "smallest shape" in str(Minitron(**SMALL).supports(task))
    assert "dense" in str(Minitron().supports(make_task()))
