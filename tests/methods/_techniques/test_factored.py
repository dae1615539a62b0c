"""A layer as two thin ones: the error is what was dropped, the bytes are what is written."""

import copy

import pytest
import torch
from torch import nn

from methods._techniques.factored import FactoredLinear, highest_saving_rank, hollow, truncated, with_layers
from suites._language.toy import toy_model


def random_layer(out: int, inner: int, bias: bool = False) -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(inner, out, bias=bias).double()


@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (9, 9)])
def test_the_error_is_the_sum_of_squares_of_the_dropped_singular_values(shape: tuple[int, int]) -> None:
    layer = random_layer(*shape)
    values = torch.linalg.svdvals(layer.weight)
    for rank in (1, 4, 8):
        thin = truncated(layer, rank)
        error = (layer.weight - thin.up.weight @ thin.down.weight).square().sum()
        torch.testing.assert_close(error, values[rank:].square().sum())
        torch.testing.assert_close(thin.up.weight.norm(dim=0), thin.down.weight.norm(dim=1))  # balanced


def test_full_rank_is_the_dense_layer_with_its_bias() -> None:
    layer = random_layer(10, 14, bias=True)
    x = torch.randn(5, 14, dtype=torch.float64)
    torch.testing.assert_close(truncated(layer, 10)(x), layer(x))
    assert truncated(layer, 3).up.bias is not layer.bias


@pytest.mark.parametrize("shape", [(12, 20), (64, 64), (3, 2), (1, 1), (576, 1536)])
def test_the_highest_saving_rank_saves_and_the_next_does_not(shape: tuple[int, int]) -> None:
    rank = highest_saving_rank(shape)
    held = shape[0] * shape[1]
    assert rank * sum(shape) < held <= (rank + 1) * sum(shape)


def test_a_copy_shares_weights_for_weighing_and_owns_them_otherwise() -> None:
    model = toy_model()
    before = copy.deepcopy(model.state_dict())
    name = "model.layers.2.mlp.up_proj"
    layer = model.get_submodule(name)
    light = with_layers(model, {name: hollow(layer, 5)}, share_weights=True)
    own = with_layers(model, {name: truncated(layer, 5)})
    pointers = {tensor.data_ptr() for tensor in model.state_dict().values()}
    assert all(tensor.data_ptr() in pointers for key, tensor in light.state_dict().items() if not key.startswith(name))
    assert not any(tensor.data_ptr() in pointers for tensor in own.state_dict().values())
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in own.parameters())
    assert isinstance(own.get_submodule(name), FactoredLinear)
    assert own.lm_head.weight is own.model.embed_tokens.weight  # still tied
    assert light.get_submodule(name).up.weight.shape == own.get_submodule(name).up.weight.shape == (192, 5)
