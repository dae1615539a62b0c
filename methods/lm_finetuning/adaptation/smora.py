"""SMoRA: Single-Ranked Mixture of Experts LoRA (Zhao et al., 2025), https://arxiv.org/abs/2501.15103."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Built, Card, Claim, Method
from methods._techniques.modules import found, replaced
from methods._techniques.selected_ranks import selected_update
from methods.lm_finetuning._finetuning import ADAPTER_RATES, fine_tune, rates_for
from methods.lm_finetuning.adaptation._rank import fitting, over_memory, unmet, within_memory
from suites._language.adapters import decoder_linears
from suites._training.learner import Moment
from suites.lm_finetuning.adapt import AdaptationTask
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.patches import Patch


@dataclass(frozen=True)
class SMoRA(Method[AdaptationTask]):
    """One LoRA whose single ranks are experts: a router in each layer takes a few of them for each token.

    A gate is the sigmoid of the router's output plus a bias; the ranks with the largest gates are taken, their gates
    divided by their mean. The bias of a rank that is taken more often than the average falls by `balance` after each
    step, that of others rises, so that no loss is needed to keep the load even.

    rank: experts, cut to what the limits leave. active: taken for a token, cut in proportion. partition: ranks that
    are taken together, one gate for all (a mixture of LoRAs of this rank). alpha_over_active: the update's scale (the
    paper's 16 / 8). balance: the authors' code has 1e-5, for thousands of steps; here a training has about 40.
    """

    card = Card(
        slug="smora",
        title="SMoRA",
        problems=("adapt",),
        paper="Zhao et al., 2025. Each Rank Could be an Expert: Single-Ranked Mixture of Experts LoRA for Multi-Task "
        "Learning",
        url="https://arxiv.org/abs/2501.15103",
        stochastic=True,
        claims=(
            Claim(
                text="Better answers over several tasks than a LoRA of as many ranks as a token takes",
                source="abstract: fewer activated parameters and yet better performance in multi-task scenarios",
                metric="accuracy",
                versus="lora:default",
            ),
            Claim(
                text="Better answers over several tasks than a LoRA of all its ranks",
                source="abstract: fewer activated parameters and yet better performance in multi-task scenarios",
                metric="accuracy",
                versus="lora:rank-64",
            ),
            Claim(
                text="Single ranks as experts are better than whole LoRAs, with as many in total and as many active",
                source="abstract: finer partitions do better at the same total and activated parameters",
                metric="accuracy",
                versus="smora:multi-lora",
            ),
        ),
        differences=(
            "Balancing moves the biases once a step; in the authors' code with every forward pass.",
            "Only balancing moves the biases; in the code they also come to be trained, it seems by accident.",
            (
                "Only the taken ranks are computed, forward and for the gradient of the input; the gradient of the "
                "factors is one product with zeros at the others."
            ),
            "It can't be merged, so the adapted model keeps its routers.",
        ),
        notes="Where shipped parameters are limited a router costs about half a LoRA. `multi-lora`: LoRAs of rank "
        "4, as many ranks in total and active.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "multi-lora": {"partition": 4}}
    at_point: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "params-1pct": {"rate": 3e-3},
        "params-0.1pct": {"rate": 1e-2},
    }

    rank: int = 64
    active: int = 8
    partition: int = 1
    alpha_over_active: float = 2.0
    balance: float = 1e-3
    rate: float = 1e-3
    rates: tuple[float, ...] = ADAPTER_RATES

    def supports(self, task: AdaptationTask) -> str | None:
        reason = unmet(task, self.rank, self._shipped, self._least)
        return reason or over_memory(task, lambda: self._start(task, decoder_linears(task.model), self._least))

    def build(self, task: AdaptationTask) -> Built:
        fitted = fitting(task, self.rank, self._shipped, self._least)
        assert fitted is not None
        most, targets = fitted
        rank = within_memory(task, most, lambda rank: self._start(task, targets, rank), self._least)

        def finish(learner: Balanced) -> Patch:
            return Experts(self, rank, {n: layer.learned() for n, layer in found(learner.model, RankMixture).items()})

        return fine_tune(task, lambda: self._start(task, targets, rank), rates_for(task, self), finish)

    def _start(self, task: AdaptationTask, targets: list[str], rank: int) -> "Balanced":
        generator = torch.Generator().manual_seed(task.seed)
        model = replaced(task.copied(), targets, lambda layer: self.around(layer, rank, generator))
        return Balanced(model, self.balance)

    def around(self, layer: nn.Linear, rank: int, generator: torch.Generator) -> "RankMixture":
        """The layer with its experts at the start: whole groups of ranks, of which the same share as wanted is active,
        at least one."""
        groups = rank // self.partition
        taken = max(1, groups * self.active // self.rank)
        return RankMixture(layer, groups, taken, self.partition, self.alpha_over_active, generator)

    @property
    def _least(self) -> int:
        """Ranks of two experts: with fewer there is nothing to choose."""
        return 2 * self.partition

    def _shipped(self, rank: int, outputs: int, inputs: int) -> int:
        groups = rank // self.partition
        return groups * self.partition * (outputs + inputs) + groups * (inputs + 1)


@dataclass(frozen=True)
class Experts(Patch):
    """Layers with experts in the place of the base's. method, rank: with which they are made. states: what trained, by
    the layer's name."""

    method: SMoRA
    rank: int
    states: Mapping[str, Mapping[str, Tensor]]

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return {f"{name}.{part}": tensor for name, own in self.states.items() for part, tensor in own.items()}

    def applied(self, base: Any) -> Any:
        start = partial(self.method.around, rank=self.rank, generator=torch.Generator())
        model = replaced(copy.deepcopy(base), list(self.states), start)
        for name, state in self.states.items():
            model.get_submodule(name).restore(state)
        return model.eval().requires_grad_(False)


class RankMixture(nn.Module):
    """A linear layer and the ranks of B A that its router takes for each token.

    a: (ranks, inputs), b: (ranks, outputs), router: (groups, inputs), bias: (groups); `load` counts since the last
    step how many tokens took a group.
    """

    bias: Tensor
    load: Tensor

    def __init__(
        self, base: nn.Linear, groups: int, taken: int, partition: int, scale: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.base, self.taken, self.partition, self.scale = base, taken, partition, scale
        outputs, inputs = base.weight.shape
        device = base.weight.device
        bound = 1 / math.sqrt(inputs)  # as linear layers start

        def uniform(rows: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(rows, inputs).uniform_(-bound, bound, generator=generator).to(device))

        self.a, self.router = uniform(groups * partition), uniform(groups)
        self.b = nn.Parameter(torch.zeros(groups * partition, outputs, device=device))
        self.register_buffer("bias", torch.zeros(groups, device=device))
        self.register_buffer("load", torch.zeros(groups, device=device), persistent=False)

    def learned(self) -> Mapping[str, Tensor]:
        """What trained, and the biases."""
        return {part: getattr(self, part).detach() for part in ("a", "b", "router", "bias")}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what another has learned."""
        for part, tensor in state.items():
            getattr(self, part).copy_(tensor)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x)
        tokens = x.reshape(-1, x.shape[-1]).to(self.a.dtype)
        ranks, weights = self.route(tokens)
        update = self.scale * selected_update(tokens, self.a, self.b, ranks, weights)
        return out + update.reshape(out.shape).to(out.dtype)

    def route(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The ranks that each token takes and their weights, whose mean is 1: (tokens, active) both."""
        gates, groups = (torch.sigmoid(tokens @ self.router.T) + self.bias).topk(self.taken)
        if self.training:
            self.load += torch.bincount(groups.flatten(), minlength=len(self.load))
        within = torch.arange(self.partition, device=groups.device)
        ranks = (groups[:, :, None] * self.partition + within).flatten(1)
        weights = gates / gates.mean(1, keepdim=True)
        return ranks, weights.repeat_interleave(self.partition, 1)


class Balanced(AnswerLearner):
    """Evens the experts' load by their biases."""

    def __init__(self, model: Any, balance: float) -> None:
        super().__init__(model)
        self._balance = balance

    def before_step(self, moment: Moment) -> None:
        for layer in found(self.model, RankMixture).values():
            layer.load.zero_()

    def after_update(self, moment: Moment) -> None:
        for layer in found(self.model, RankMixture).values():
            layer.bias += self._balance * (layer.load.mean() - layer.load).sign()
