"""Layers of the perceptron, and tables, as products of two thin ones, all at the same share of their numbers."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from methods._techniques.factored import svd
from methods.ctr_prediction._parts import copied, layers, tables


class ThinTable(nn.Module):
    """A table of few columns, and the way back to all of them: a linear layer. ids (...) -> (..., width)."""

    def __init__(self, codes: Tensor, basis: Tensor, mean: Tensor) -> None:
        """codes: (entries, rank). basis: (width, rank). mean: (width,)."""
        super().__init__()
        self.codes = nn.Embedding.from_pretrained(codes.float().contiguous(), freeze=False)
        self.back = linear(basis, mean)

    def forward(self, ids: Tensor) -> Tensor:
        vectors: Tensor = self.back(self.codes(ids))
        return vectors


class ThinLayer(nn.Module):
    """y = up between(down x); between: a ReLU, or nothing."""

    def __init__(self, down: nn.Linear, up: nn.Linear, between: bool) -> None:
        super().__init__()
        self.down, self.up = down, up
        self.between = nn.ReLU() if between else nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.up(self.between(self.down(inputs)))
        return outputs


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer that owns these: (out, in), (out,), at 32 bits."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight = nn.Parameter(weight.detach().float().contiguous())
    layer.bias = nn.Parameter(bias.detach().float().clone())
    return layer


def rank_at(weight: Tensor, share: float) -> int:
    """The rank at which the factors hold that share of the numbers; one at the least."""
    outputs, inputs = weight.shape
    return max(1, int(share * outputs * inputs / (outputs + inputs)))


def thinned_layers(model: nn.Module, whole_first: bool) -> dict[str, nn.Linear]:
    """Those of the perceptron that become thin. whole_first: without the first, which reads the vectors."""
    found = layers(model)
    return dict(list(found.items())[1 if whole_first else 0 :])


def hollow(model: nn.Module, share: float, whole_first: bool) -> nn.Module:
    """As large as the thin model, without a decomposition: for weighing."""
    thin: dict[str, nn.Module] = {}
    for name, table in tables(model).items():
        entries, width = table.weight.shape
        rank = rank_at(table.weight, share)
        thin[name] = ThinTable(torch.zeros(entries, rank), torch.zeros(width, rank), torch.zeros(width))
    return copied(model, thin | hollow_layers(model, share, whole_first))


def hollow_layers(model: nn.Module, share: float, whole_first: bool) -> Mapping[str, nn.Module]:
    return {
        name: thin_layer(each, torch.zeros(each.out_features, rank_at(each.weight, share)), None, False)
        for name, each in thinned_layers(model, whole_first).items()
    }


def thin_layer(layer: nn.Linear, basis: Tensor, mean: Tensor | None, between: bool) -> ThinLayer:
    """The layer whose outputs y become basis basis' (y - mean) + mean. basis: orthonormal columns (out, rank)."""
    weight, bias = layer.weight.detach().to(basis), layer.bias.detach().to(basis)
    middle = bias if mean is None else mean.to(basis)
    down = linear(basis.T @ weight, basis.T @ bias)
    return ThinLayer(down, linear(basis, middle - basis @ (basis.T @ middle)), between)


def truncated_layers(
    model: nn.Module, share: float, whole_first: bool, between: bool = False
) -> Mapping[str, nn.Module]:
    """By singular values of the weight, each factor with their roots: the nearest of that rank."""
    thin = {}
    for name, each in thinned_layers(model, whole_first).items():
        left, root, right = roots(each.weight, rank_at(each.weight, share))
        down = linear(root[:, None] * right, each.weight.new_zeros(len(root)))
        thin[name] = ThinLayer(down, linear(left * root, each.bias), between)
    return thin


def truncated_tables(model: nn.Module, share: float) -> Mapping[str, nn.Module]:
    """By singular values of the table, all entries alike."""
    thin = {}
    for name, each in tables(model).items():
        left, root, right = roots(each.weight, rank_at(each.weight, share))
        thin[name] = ThinTable(left * root, right.T * root, each.weight.new_zeros(each.embedding_dim))
    return thin


def roots(weight: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Left and right singular vectors, and the roots of the values between them."""
    left, values, right = svd(weight)
    return left[:, :rank], values[:rank].sqrt(), right[:rank]


def parts(model: nn.Module, kind: type) -> dict[str, nn.Module]:
    """Modules of a kind, by name."""
    return {name: each for name, each in model.named_modules() if isinstance(each, kind)}


def numbers(modules: Iterable[nn.Module]) -> int:
    return sum(each.numel() for module in modules for each in module.parameters())
