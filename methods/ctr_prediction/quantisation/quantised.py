"""Control: rows of tables and layers at a few bits a weight, trained on as they are rounded."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils import parametrize

from bench.contract import Card, Method
from methods.ctr_prediction._parts import copied, every_table, layers, tables
from methods.ctr_prediction._recovery import recover
from methods.ctr_prediction.quantisation._codes import HalfTable, PackedLayer, PackedTable, Rounded, best_clip
from suites.ctr_prediction.task import ClickTask

MOST = 8


@dataclass(frozen=True)
class Quantised(Method[ClickTask]):
    """Every row of a table, and every row of a layer's matrix, has a step of 16 bits and codes of the most bits, the
    same everywhere, that the limit leaves. They are rounded to nearest, and trained on through the rounding.

    rate: of the training, the largest of the schedule.
    """

    card = Card(
        slug="quantised",
        title="Quantised tables",
        paper="Control: Guan et al., 2019. Post-Training 4-bit Quantization on Embedding Tables (its rows)",
        url="https://arxiv.org/abs/1911.02079",
        control=True,
        stochastic=True,
        speed_realised=False,
        differences=(
            "Trained on, with gradients straight through the rounding; the paper rounds a trained table.",
            "Levels lie around zero; the range is the best of seven clips, one a matrix, not searched for row by row.",
        ),
        notes="Layers of the perceptron are quantised too, first-order weights are at 16 bits. Codes are packed bit by "
        "bit; rows of tables that are asked for are unpacked.",
    )

    rate: float = 1e-2

    def supports(self, task: ClickTask) -> str | None:
        width = next(iter(tables(task.model).values())).embedding_dim
        if width % 8:
            return f"its rows are packed in whole bytes, and vectors of {width} numbers are no multiple of 8"
        return task.still_over(packed(task.model, 1, clips(task.model, 1)), "one bit a weight")

    def build(self, task: ClickTask) -> nn.Module:
        bits = most_bits(task)
        chosen = clips(task.model, bits)
        model = copied(task.model)
        for name, clip in chosen.items():
            parametrize.register_parametrization(model.get_submodule(name), "weight", Rounded(bits, clip))
        recover(task, model, self.rate)
        for name in chosen:
            parametrize.remove_parametrizations(model.get_submodule(name), "weight", leave_parametrized=False)
        return packed(model, bits, chosen)


def most_bits(task: ClickTask) -> int:
    fitting = [
        bits
        for bits in range(1, MOST + 1)
        if task.limits.met_by(task.weigh(packed(task.model, bits, dict.fromkeys(quantised(task.model), 1.0))))
    ]
    return max(fitting, default=1)


def quantised(model: nn.Module) -> dict[str, Tensor]:
    """Weights by the name of their module."""
    return {name: each.weight for name, each in {**tables(model), **layers(model)}.items()}


def clips(model: nn.Module, bits: int) -> dict[str, float]:
    return {name: best_clip(weight, bits) for name, weight in quantised(model).items()}


def packed(model: nn.Module, bits: int, chosen: Mapping[str, float]) -> nn.Module:
    """A copy that stores codes. chosen: a clip for each module."""
    found: dict[str, nn.Module] = {
        name: HalfTable(each.weight) for name, each in every_table(model).items() if name not in chosen
    }
    for name, clip in chosen.items():
        part = model.get_submodule(name)
        if isinstance(part, nn.Linear):
            found[name] = PackedLayer(part.weight, bits, clip, part.bias)
        else:
            found[name] = PackedTable(part.weight, bits, clip)
    return copied(model, found).requires_grad_(False)
