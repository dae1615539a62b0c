"""IncreLoRA: Incremental Parameter Allocation (Zhang et al., 2023), https://arxiv.org/abs/2308.12043."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract import Built, Card, Claim, Method
from methods._techniques.modules import found, replaced
from methods._techniques.orthogonality import distance_from_orthonormal
from methods.lm_finetuning._finetuning import ADAPTER_RATES, fine_tune, rates_for
from methods.lm_finetuning.adaptation._rank import (
    fitting,
    shipped_parameters,
    unmet,
    with_singular_values,
    within_memory,
)
from methods.lm_finetuning.adaptation._triplets import Triplets
from suites._training.learner import Moment
from suites.lm_finetuning.adapt import AdaptationTask
from suites.lm_finetuning.learning import AnswerLearner

RESERVED = 1e-5
"""Singular value of the ranks that are held ready: enough to let their factors learn, too little to be seen."""


@dataclass(frozen=True)
class IncreLoRA(Method[AdaptationTask]):
    """Each layer's update B diag(E) A starts with rank 1; ranks are given, round by round, to the layers that matter.

    A layer's importance is the smoothed sensitivity of its update (|update x gradient|) times the smoothed deviation of
    it. The ranks that a layer would get next are there in advance: their A and B train, their E stays at 1e-5 until
    they are given. What is new warms up for itself. A penalty keeps A and B near orthonormal.

    rank: average at the end, cut to what the limits leave. gain: ranks that a layer gets at a time (the paper's code:
    half the average). warm_up, grown, rounds: ranks are given in this many rounds between these shares of the training;
    the paper's rounds are 100 to 1000 steps apart, a training has about 40 here. restart: steps of a new weight's own
    warm-up. smoothing: of sensitivity and deviation. orthogonality: weight of the penalty. alpha_over_rank: the
    update's scale.
    """

    card = Card(
        slug="increlora",
        title="IncreLoRA",
        problems=("adapt",),
        paper="Zhang et al., 2023. IncreLoRA: Incremental Parameter Allocation Method for Parameter-Efficient "
        "Fine-tuning",
        url="https://arxiv.org/abs/2308.12043",
        stochastic=True,
        claims=(
            Claim(
                text="Better answers than LoRA at the same final number of parameters",
                source="abstract: higher parameter efficiency, above all where there is little to learn from",
                metric="accuracy",
                versus="lora:default",
            ),
            Claim(
                text="Growing ranks is better than pruning them, as AdaLoRA does",
                source="abstract: not limited by the initial number of parameters as pruning (AdaLoRA) is",
                metric="accuracy",
                versus="adalora",
            ),
        ),
        differences=(
            (
                "The budget counts parameters, no more than of a LoRA of the average rank; the paper counts ranks. "
                "A layer gets fewer ranks where the rest could not be placed any more."
            ),
            "The update's scale is constant; the authors' code divides by the layer's rank.",
            "The penalty sees all of a layer's A and B at once; the code sees each part.",
            "Where a batch goes through in parts, their sensitivities are added.",
        ),
    )

    rank: int = 8
    gain: int | None = None
    warm_up: float = 0.1
    grown: float = 0.6
    rounds: int = 10
    restart: int = 3
    smoothing: float = 0.85
    orthogonality: float = 0.1
    alpha_over_rank: float = 2.0
    rate: float = 3e-2
    rates: tuple[float, ...] = ADAPTER_RATES

    def supports(self, task: AdaptationTask) -> str | None:
        return unmet(task, self.rank, with_singular_values, least=2)

    def build(self, task: AdaptationTask) -> Built:
        fitted = fitting(task, self.rank, with_singular_values, least=2)
        assert fitted is not None
        most, targets = fitted

        def largest(rank: int) -> Growing:
            learner = self.start(task, targets, rank)
            learner.settle()
            return learner

        rank = within_memory(task, most, largest, least=2)
        rates = rates_for(task, self)
        return fine_tune(task, lambda: self.start(task, targets, rank), rates, self._finished, lambda: largest(rank))

    def start(self, task: AdaptationTask, targets: list[str], rank: int) -> "Growing":
        """A learner whose layers have rank 1 and will have this one on average."""
        gain = self.gain or max(1, rank // 2)
        generator = torch.Generator().manual_seed(task.seed)
        model = replaced(
            task.copied(), targets, lambda layer: GrowingLinear(layer, gain, self.alpha_over_rank, generator)
        )
        allowed = shipped_parameters(task, targets, rank, with_singular_values)
        return Growing(model, self, rank * len(targets), allowed)

    def _finished(self, learner: "Growing") -> Triplets:
        """The ranks that were given."""
        learner.settle()
        factors = {}
        for name, layer in learner.layers.items():
            a, e, b = (factor.detach() for factor in layer.factors())
            factors[name] = {"a": a, "e": e, "b": b}
        return Triplets(factors, self.alpha_over_rank)


class GrowingLinear(nn.Module):
    """A linear layer and B diag(E) A, whose ranks come in parts: a[i] (ranks, inputs), b[i] (outputs, ranks), e[i]
    (ranks). The last part is held ready until the layer is `settled`. sensed: sensitivity since it was last set to 0.
    """

    def __init__(self, base: nn.Linear, gain: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base, self.gain, self.scale = base, gain, scale
        self._generator = generator
        self.a, self.e, self.b = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        self.sensed = torch.zeros((), device=base.weight.device)
        self.settled = False
        self._add(1, 0.0)
        self._add(gain, RESERVED)
        self.e[-1].requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x)
        a, e, b = self.factors()
        wide = x.to(a.dtype)
        update = self.scale * (((wide @ a.T) * e) @ b.T)
        if not self.settled and update.requires_grad:
            update.register_hook(lambda gradient: self._sense(wide.detach(), gradient))
        return out + update.to(out.dtype)

    def factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """A, E and B with what is held ready."""
        return torch.cat(list(self.a)), torch.cat(list(self.e)), torch.cat(list(self.b), 1)

    @torch.no_grad()
    def update(self) -> Tensor:
        """What it adds to the weight: (outputs, inputs)."""
        a, e, b = self.factors()
        return self.scale * (b * e) @ a

    @property
    def rank(self) -> int:
        """Without what is held ready."""
        parts = list(self.e) if self.settled else list(self.e)[:-1]
        return sum(len(e) for e in parts)

    def grow(self, ranks: int) -> list[nn.Parameter]:
        """Take `ranks` of those held ready (up to `gain`) into use and hold others ready; what is new in training."""
        if ranks < self.gain:
            for part, of in (
                (self.a, self.a[-1][:ranks]),
                (self.e, self.e[-1][:ranks]),
                (self.b, self.b[-1][:, :ranks]),
            ):
                part[-1] = nn.Parameter(of.detach().clone())
        given = self.e[-1].requires_grad_(True)
        self._add(self.gain, RESERVED)
        self.e[-1].requires_grad_(False)
        return [given, self.a[-1], self.b[-1]]

    def settle(self) -> None:
        """Hold nothing ready any more."""
        if not self.settled:
            self.a, self.e, self.b = (nn.ParameterList(list(part)[:-1]) for part in (self.a, self.e, self.b))
            self.settled = True

    def _add(self, ranks: int, value: float) -> None:
        outputs, inputs = self.base.weight.shape
        device = self.base.weight.device
        self.a.append((0.02 * torch.randn(ranks, inputs, generator=self._generator)).to(device))
        self.b.append((0.02 * torch.randn(outputs, ranks, generator=self._generator)).to(device))
        self.e.append(torch.full((ranks,), value, device=device))

    @torch.no_grad()
    def _sense(self, x: Tensor, gradient: Tensor) -> None:
        """Add |update x its gradient|: the gradient of the product of the factors, which is never kept."""
        whole = gradient.flatten(0, -2).T @ x.flatten(0, -2)
        self.sensed += (self.update() * whole).abs().sum() / whole.numel() ** 0.5


class Growing(AnswerLearner):
    """Gives ranks until there are `budget` in all, with no more than `allowed` parameters."""

    def __init__(self, model: Any, method: IncreLoRA, budget: int, allowed: int) -> None:
        super().__init__(model)
        self.layers = found(model, GrowingLinear)
        self._method, self._budget, self._allowed = method, budget, allowed
        self._mean = dict.fromkeys(self.layers, 0.0)
        self._deviation = dict.fromkeys(self.layers, 0.0)
        self._born: dict[nn.Parameter, int] = {}
        self._step = 0
        self._groups: list[dict[str, Any]] = []

    @property
    def ranks(self) -> int:
        """In use, over all layers."""
        return sum(layer.rank for layer in self.layers.values())

    def optimizer(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        """Groups by the step in which their weights came."""
        groups: dict[int | None, list[Tensor]] = {}
        for parameter, weight in zip(self.trained(), weights, strict=True):
            groups.setdefault(self._born.get(parameter), []).append(weight)
        made = torch.optim.AdamW(
            [{"params": group, "born": born} for born, group in groups.items()], lr=0.0, weight_decay=0.0
        )
        self._groups = made.param_groups
        self._warm()
        return made

    def penalty(self) -> Tensor:
        factors = (layer.factors() for layer in self.layers.values())
        return self._method.orthogonality * distance_from_orthonormal((a, b) for a, _, b in factors)

    def before_step(self, moment: Moment) -> None:
        self._step = moment.step
        self._warm()

    def before_update(self, moment: Moment) -> None:
        keep = self._method.smoothing
        for name, layer in self.layers.items():
            sensed = float(layer.sensed)
            layer.sensed.zero_()
            self._mean[name] = keep * self._mean[name] + (1 - keep) * sensed
            self._deviation[name] = keep * self._deviation[name] + (1 - keep) * abs(sensed - self._mean[name])

    def after_update(self, moment: Moment) -> None:
        method, start = self._method, len(self.layers)
        over = min(1.0, max(0.0, (moment.done - method.warm_up) / (method.grown - method.warm_up)))
        due = start + round((self._budget - start) * int(over * method.rounds) / method.rounds)
        if due > self.ranks:
            self._grow(due - self.ranks)
        if self.ranks == self._budget:
            self.settle()

    def settle(self) -> None:
        """Give what is left to give, and hold nothing ready any more."""
        self._grow(self._budget - self.ranks)
        for layer in self.layers.values():
            layer.settle()

    def _grow(self, count: int) -> None:
        """Give `count` ranks: to each layer its gain, the most important first, as long as the rest can be placed."""
        by_importance = sorted(self.layers, key=lambda name: -self._mean[name] * self._deviation[name])
        cost = {n: with_singular_values(1, *each.base.weight.shape) for n, each in self.layers.items()}
        spent = sum(cost[name] * layer.rank for name, layer in self.layers.items())
        left = self._budget - self.ranks
        cheapest = min(cost.values())
        while count > 0:
            for name in by_importance:
                given = min(self.layers[name].gain, count)
                if cost[name] > cheapest:
                    given = min(given, (self._allowed - spent - left * cheapest) // (cost[name] - cheapest))
                if given:
                    self._born |= dict.fromkeys(self.layers[name].grow(given), self._step + 1)
                    count, left, spent = count - given, left - given, spent + given * cost[name]

    def _warm(self) -> None:
        for group in self._groups:
            age = self._step - group["born"] + 1 if group["born"] is not None else self._method.restart
            group["scale"] = min(1.0, age / self._method.restart)
