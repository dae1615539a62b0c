"""AdamW whose moments live in a few directions of each weight's gradient (Zhao et al., 2024)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from suites._language.adapters import decoder_linears


class GaLoreAdamW(torch.optim.Optimizer):
    """AdamW without decay. In groups with a "rank" the gradient G (outputs, inputs) of each matrix is replaced by its
    coordinates in the `rank` leading singular directions of its shorter side, and the step found there is taken back.

    The directions are found anew every `gap` steps of a weight; the moments go on in the new ones as they are, as
    published. lr of a group is set from outside.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, gap: int) -> None:
        super().__init__(
            groups, {"lr": 0.0, "rank": None, "scale": 1.0, "gap": gap, "betas": (0.9, 0.999), "eps": 1e-8}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of all weights that have a gradient. closure: not used."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)

    def _move(self, weight: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        done, gradient = state.get("step", 0), weight.grad
        assert gradient is not None
        if group["rank"] is not None:
            if done % group["gap"] == 0:
                state["basis"] = leading_directions(gradient, group["rank"])
            gradient = project(gradient, state["basis"])
        if done == 0:
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        mean, square, (first, second) = state["exp_avg"], state["exp_avg_sq"], group["betas"]
        state["step"] = done + 1
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        size = (square / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        move = (mean / (1 - first ** state["step"])).div_(size)
        if group["rank"] is not None:
            move = project_back(move, state["basis"], weight.shape)
        weight.sub_(move, alpha=group["lr"])


def leading_directions(gradient: Tensor, rank: int) -> Tensor:
    """Orthonormal columns (shorter side, rank): the leading left singular vectors of the gradient, or the right ones
    where it has fewer columns than rows; fewer where that side is shorter than `rank`.

    By the eigenvectors of the gradient's Gram matrix: the same directions as an SVD's, at a third of its time.
    """
    wide = gradient if gradient.shape[0] < gradient.shape[1] else gradient.T
    return torch.linalg.eigh(wide @ wide.T).eigenvectors.flip(1)[:, :rank].contiguous()


def project(gradient: Tensor, basis: Tensor) -> Tensor:
    """Coordinates of the gradient in the basis: (rank, inputs), or (outputs, rank) where the inputs are fewer."""
    return basis.T @ gradient if gradient.shape[0] < gradient.shape[1] else gradient @ basis


def project_back(move: Tensor, basis: Tensor, shape: torch.Size) -> Tensor:
    """What `project` has made (outputs, inputs) again."""
    return basis @ move if shape[0] < shape[1] else move @ basis.T


def projected_weights(model: Any) -> list[Tensor]:
    """The matrices of which gradients are projected: linear layers of the blocks."""
    return [model.get_submodule(name).weight for name in decoder_linears(model)]


def galore_optimizer(
    model: Any, trained: Sequence[Tensor], masters: Sequence[Tensor], *, rank: int, scale: float, gap: int
) -> GaLoreAdamW:
    """For the masters of the weights that train: projected where they are matrices of the blocks, plain elsewhere."""
    matrices = set(map(id, projected_weights(model)))
    pairs = list(zip(trained, masters, strict=True))
    low = [master for weight, master in pairs if id(weight) in matrices]
    plain = [master for weight, master in pairs if id(weight) not in matrices]
    groups: list[dict[str, Any]] = [{"params": low, "rank": rank, "scale": scale}, {"params": plain}]
    return GaLoreAdamW([group for group in groups if group["params"]], gap=gap)


def galore_bytes(weight: Tensor, rank: int) -> float:
    """Bytes of a matrix's optimizer state: two moments and the basis, 32 bits."""
    short, long = sorted(weight.shape)
    rank = min(rank, short)
    return 4.0 * rank * (2 * long + short)
