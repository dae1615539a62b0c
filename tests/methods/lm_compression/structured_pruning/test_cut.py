"""A cut model computes what the dense model computes with the same channels silenced."""

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from methods.lm_compression.structured_pruning._cut import (
    InputMeans,
    Kept,
    all_kept,
    cut,
    layers,
    query_channels,
    uncuttable,
)
from tests.methods.lm_compression.structured_pruning.conftest import VOCABULARY, parameters
from tests.methods.lm_compression.structured_pruning.conftest import random_model as two_group_model

KEPT = [
    Kept(torch.tensor([0]), torch.arange(64)),
    Kept(torch.tensor([0, 2]), torch.arange(0, 64, 2)),
    Kept(torch.tensor([1]), torch.tensor([3, 5, 7])),
    Kept(torch.tensor([0, 1, 2]), torch.arange(64)),
]
IDS = torch.randint(1, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(1))


def random_model(kind: str = "llama", **changes: Any) -> PreTrainedModel:
    """Three groups, so that two can stay with a gap between them."""
    return two_group_model(kind, num_key_value_heads=3, **changes)


def silenced(model: nn.Module, stand_in: list[InputMeans] | None = None) -> list[torch.utils.hooks.RemovableHandle]:
    """Replace what KEPT drops at the inputs of o_proj and down_proj by zero, or by its stand-in value."""

    def hook(kept: Tensor, values: Tensor | None):
        def silence(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            gone = torch.ones(inputs[0].shape[-1], dtype=torch.bool)
            gone[kept] = False
            return (torch.where(gone, values if values is not None else torch.zeros(()).double(), inputs[0]),)

        return silence

    handles = []
    for index, layer in enumerate(layers(model)):
        mean = stand_in[index] if stand_in else InputMeans(None, None)  # type: ignore[arg-type]
        channels = query_channels(layer.self_attn, KEPT[index].groups)
        handles.append(layer.self_attn.o_proj.register_forward_pre_hook(hook(channels, mean.attention)))
        handles.append(layer.mlp.down_proj.register_forward_pre_hook(hook(KEPT[index].neurons, mean.mlp)))
    return handles


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(IDS).logits


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("kind", "changes"), [("llama", {}), ("llama", {"attention_bias": True, "mlp_bias": True}), ("qwen2", {})]
)
@pytest.mark.parametrize("with_means", [False, True])
def test_cutting_equals_silencing(kind: str, changes: dict, attention: str, with_means: bool) -> None:
    dense = random_model(kind, attn_implementation=attention, **changes)
    generator = torch.Generator().manual_seed(5)
    means = [InputMeans(*(torch.randn(n, generator=generator).double() for n in (48, 64))) for _ in KEPT]
    small = cut(dense, KEPT, means if with_means else None)
    silenced(dense, means if with_means else None)
    torch.testing.assert_close(logits(small), logits(dense))


def test_what_is_kept_whole_is_equal_and_owns_its_weights() -> None:
    dense = random_model()
    copy = cut(dense, all_kept(dense))
    assert torch.equal(logits(copy), logits(dense))
    assert parameters(copy) == parameters(dense)
    pointers = {parameter.data_ptr() for parameter in dense.parameters()}
    assert pointers.isdisjoint(parameter.data_ptr() for parameter in copy.parameters())


def test_the_dense_model_is_left_unchanged() -> None:
    dense = random_model()
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    small = cut(dense, KEPT)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    after = dense.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_generation_is_the_same_with_and_without_cache(kind: str) -> None:
    small = cut(random_model(kind), KEPT)
    settings = {"max_new_tokens": 10, "do_sample": False}
    cached = small.generate(IDS, use_cache=True, **settings)
    assert cached.shape == (2, 22)
    assert torch.equal(cached, small.generate(IDS, use_cache=False, **settings))


def test_the_cache_holds_the_kept_heads_alone() -> None:
    with torch.no_grad():
        cache = cut(random_model(), KEPT)(IDS, use_cache=True).past_key_values
    assert [layer.keys.shape[1] for layer in cache.layers] == [1, 2, 1, 3]


@pytest.mark.parametrize("share_weights", [False, True])
def test_it_is_written_in_as_many_bytes_as_its_parameters_need(share_weights: bool) -> None:
    def written(model: nn.Module) -> int:
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        return buffer.tell()

    dense = random_model()
    small = cut(dense, KEPT, share_weights=share_weights)
    saved = 8 * (parameters(dense) - parameters(small))
    assert saved > 0.3 * 8 * parameters(dense)
    assert written(dense) - written(small) == pytest.approx(saved, rel=0.02)


def test_weighing_copy_shares_the_weights_that_stay() -> None:
    dense = random_model()
    small = cut(dense, KEPT, share_weights=True)
    assert layers(small)[3].mlp.up_proj.weight.data_ptr() == layers(dense)[3].mlp.up_proj.weight.data_ptr()
    assert small.lm_head.weight is dense.lm_head.weight


def test_a_model_of_another_make_is_refused_with_the_reason() -> None:
    model = random_model()
    assert uncuttable(model) is None
    layers(model)[2].mlp.gate_proj = nn.Identity()
    assert uncuttable(model) == "layer 2 has no linear gate_proj in mlp: only Llama-like layers can be cut"
