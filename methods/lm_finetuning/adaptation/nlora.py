"""NLoRA: Nyström-Initiated Low-Rank Adaptation (Guo et al., 2025), https://arxiv.org/abs/2502.14482."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Built, Card, Claim, Method
from methods._techniques.modules import found, replaced
from methods.lm_finetuning._finetuning import fine_tune, rates_for
from methods.lm_finetuning.adaptation._rank import fitting, unmet, within_memory
from suites._language.adapters import decoder_linears
from suites.lm_finetuning.adapt import AdaptationTask
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.lora import merged
from suites.lm_finetuning.patches import Patch


@dataclass(frozen=True)
class NLoRA(Method[AdaptationTask]):
    """LoRA with a third matrix in the middle, B N A, that starts as the Nyström approximation of the weight: A is its
    first rows, B its first columns, N the pseudo-inverse of the block that they share.

    nystrom: that start; without it A and N are random and B is zero (the paper's SLoRA). middle: N alone trains (the
    paper's IntTune). inverse: whether N is the pseudo-inverse, or the block itself as in the authors' code. rank: the
    largest, cut to what the limits leave and to a layer's smaller side; the paper's 128 are of 4096. rate, rates:
    for all linears at `rank`, and in inverse proportion for fewer layers or a smaller rank, whose steps move the
    model less. Small where A and B start at the weight's scale with the inverse between them (the authors' scripts
    have 2e-4 and the block); LoRA's otherwise.
    """

    card = Card(
        slug="nlora",
        title="NLoRA",
        problems=("adapt",),
        paper="Guo et al., 2025. NLoRA: Nyström-Initiated Low-Rank Adaptation for Large Language Models",
        url="https://arxiv.org/abs/2502.14482",
        stochastic=True,
        claims=(
            Claim(
                text="Better answers than LoRA for a small matrix more in each layer",
                source="abstract: GSM8K 57.70 %, 36.41 % above LoRA (relative)",
                metric="accuracy",
                versus="lora:default",
                variant="default",
                paper_value="57.70 % of GSM8K (LLaMA-2-7B, rank 128)",
            ),
            Claim(
                text="Better answers than LoRA with the start of the public code, too, without the inverse",
                source="code: N is left as the block itself",
                metric="accuracy",
                versus="lora:default",
                variant="no-inverse",
            ),
            Claim(
                text="Training the middle matrix alone is better than LoRA, with a fraction of its parameters",
                source="abstract: IntTune against LoRA, mean of the generation tasks",
                metric="accuracy",
                versus="lora:default",
                variant="inttune",
                paper_value="7.45 % above LoRA (relative), 1.25 % of its parameters",
            ),
            Claim(
                text="The Nyström start is better than a random one of the same three matrices",
                source="abstract: GSM8K 57.70 % against SLoRA's 56.48 %",
                metric="accuracy",
                versus="nlora:slora",
                variant="default",
                paper_value="57.70 % against 56.48 %",
            ),
            Claim(
                text="It starts without the decompositions that PiSSA needs, and so sooner",
                source="abstract: initialisation by singular values is expensive, the Nyström method mitigates that",
                metric="build.seconds",
                versus="pissa",
                variant="default",
            ),
        ),
        differences=(
            (
                "The start's product is subtracted again, so that the first step is the base: the paper leaves open "
                "how, the authors' code adds its (small) product to the base."
            ),
            (
                "A layer computes W x + (B N A - B0 N0 A0) x in 32 bits: with the inverse the product is too large "
                "for a remainder of 16 bits."
            ),
            "`no-inverse` has the code's N, which is not Nyström's.",
            (
                "The scale is 1 (alpha = rank). `inttune` trains and ships N alone, of rank 64: A and B follow from "
                "the base."
            ),
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "inttune": {"middle": True, "rank": 64, "rate": 3e-3, "rates": (1e-3, 3e-3, 1e-2)},
        "slora": {"nystrom": False, "rate": 1e-2, "rates": (1e-3, 3e-3, 1e-2)},
        "no-inverse": {"inverse": False, "rate": 3e-3, "rates": (1e-3, 3e-3, 1e-2)},
    }

    nystrom: bool = True
    middle: bool = False
    inverse: bool = True
    rank: int = 8
    rate: float = 2e-5
    rates: tuple[float, ...] = (6e-6, 2e-5, 6e-5, 2e-4)

    def supports(self, task: AdaptationTask) -> str | None:
        return unmet(task, self.rank, self._shipped)

    def build(self, task: AdaptationTask) -> Built:
        fitted = fitting(task, self.rank, self._shipped)
        assert fitted is not None
        most, targets = fitted

        def start(rank: int) -> AnswerLearner:
            generator = torch.Generator().manual_seed(task.seed)
            return AnswerLearner(replaced(task.copied(), targets, lambda layer: self.around(layer, rank, generator)))

        def finish(learner: AnswerLearner) -> Patch:
            layers = found(learner.model, ThreeFactors)
            trained = {name: {part: w.detach() for part, w in each.trained.items()} for name, each in layers.items()}
            return NystromUpdates(self, rank, trained)

        rank = within_memory(task, most, start)
        share = rank * len(targets) / (self.rank * len(decoder_linears(task.model)))
        return fine_tune(task, lambda: start(rank), [rate / share for rate in rates_for(task, self)], finish)

    def around(self, layer: nn.Linear, rank: int, generator: torch.Generator) -> "ThreeFactors":
        """The layer with its update at the start."""
        rank = min(rank, *layer.weight.shape)
        weight = layer.weight.detach().float()
        if not self.nystrom:
            a = _uniform((rank, weight.shape[1]), generator)
            n = _uniform((rank, rank), generator)
            b = torch.zeros(weight.shape[0], rank)
            return ThreeFactors(layer, n.to(weight), a.to(weight), b.to(weight))
        block = weight[:rank, :rank]
        n = torch.linalg.pinv(block) if self.inverse else block.clone()
        if self.middle:
            return ThreeFactors(layer, n)
        return ThreeFactors(layer, n, weight[:rank].clone(), weight[:, :rank].clone())

    def _shipped(self, rank: int, outputs: int, inputs: int) -> int:
        rank = min(rank, outputs, inputs)
        return rank * rank + (0 if self.middle else rank * (outputs + inputs))


@dataclass(frozen=True)
class NystromUpdates(Patch):
    """What the layers add to their weights. method, rank: with which they start again from the base. factors: those
    that trained, by the layer's name."""

    method: NLoRA
    rank: int
    factors: Mapping[str, Mapping[str, Tensor]]

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return {f"{name}.{part}": tensor for name, own in self.factors.items() for part, tensor in own.items()}

    def applied(self, base: Any) -> Any:
        return merged(base, {name: self._update(base.get_submodule(name), own) for name, own in self.factors.items()})

    @torch.no_grad()
    def _update(self, linear: nn.Linear, own: Mapping[str, Tensor]) -> Tensor:
        layer = self.method.around(linear, self.rank, torch.Generator())
        for part, tensor in own.items():
            layer.trained[part].copy_(tensor)
        return layer.update()


class ThreeFactors(nn.Module):
    """A linear layer and B N A less what that is at the start.

    n: (rank, rank). a: (rank, inputs) and b: (outputs, rank); without them A and B stay the first rows and columns of
    the weight.
    """

    n_start: Tensor

    def __init__(self, base: nn.Linear, n: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> None:
        super().__init__()
        self.base, self._rank = base, len(n)
        given = {"n": n, "a": a, "b": b}
        self.trained = nn.ParameterDict({part: nn.Parameter(w) for part, w in given.items() if w is not None})
        self._nystrom = b is None or bool(b.any())
        self.register_buffer("n_start", n.clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x)
        wide = x.to(self.trained["n"].dtype)
        update = wide @ self._a.T @ self.trained["n"].T @ self._b.T
        if self._nystrom:
            rows, columns = self._rows_and_columns()
            update = update - wide @ rows.T @ self.n_start.T @ columns.T
        return out + update.to(out.dtype)

    @torch.no_grad()
    def update(self) -> Tensor:
        """What it adds to the weight: (outputs, inputs), 32 bits."""
        added = self._b @ self.trained["n"] @ self._a
        if self._nystrom:
            rows, columns = self._rows_and_columns()
            added = added - columns @ self.n_start @ rows
        return added

    @property
    def _a(self) -> Tensor:
        return self.trained["a"] if "a" in self.trained else self._rows_and_columns()[0]

    @property
    def _b(self) -> Tensor:
        return self.trained["b"] if "b" in self.trained else self._rows_and_columns()[1]

    def _rows_and_columns(self) -> tuple[Tensor, Tensor]:
        weight, dtype = self.base.weight, self.trained["n"].dtype
        return weight[: self._rank].to(dtype), weight[:, : self._rank].to(dtype)


def _uniform(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """As linear layers start: uniform within 1 / sqrt(inputs)."""
    bound = 1 / math.sqrt(shape[1])
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
