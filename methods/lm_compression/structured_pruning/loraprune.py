"""LoRAPrune: what LoRA learns says what can be pruned, while it learns."""

import copy
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods.lm_compression._lora import LEARNING_RATE, merge
from methods.lm_compression._recovery import next_token_loss, recovery_batches
from methods.lm_compression.structured_pruning._cut import all_kept, cut, layers, output_projections, query_channels
from methods.lm_compression.structured_pruning._importance import of_groups, of_neurons
from methods.lm_compression.structured_pruning._order import Unit, even_ranking, shortest_prefix, unmet, without
from methods.lm_compression.structured_pruning._protected import protected
from suites._language.adapters import with_lora
from suites._training.fit import fit
from suites.lm_compression.task import CausalLMTask

Criterion = Literal["lora", "magnitude", "random"]


@dataclass(frozen=True)
class LoRAPrune(Method[CausalLMTask]):
    """Structured pruning while LoRA trains, guided by LoRA alone (Zhang et al., 2024).

    Each step of the training gives gradients of the two small matrices A and B of every linear layer, and none of its
    frozen weight W. The update that they would make to the product, gB A + B gA - gB gA, stands in for the gradient of
    W; its absolute product with the weight as it is by now, W + s B A, is the importance of a weight. It is summed
    over heads (with their keys and values) and over neurons, normalised per matrix, and averaged over the steps. The
    share that is pruned grows as a cubic from 0 to what the limits ask for, and is masked; what LoRA learns meanwhile
    makes up for it. At the end LoRA is merged and what was masked is cut.

    criterion: "lora"; as controls under the same training "magnitude", |W + s B A|, and "random", drawn once. rank: of
    LoRA (8, as in the code). learning_rate: as in all recoveries by LoRA here, where the code has 1e-4: 64 steps, not
    hundreds of larger batches. decay: of the moving average. every: steps from one pruning to the next; the code's 10
    are for five times as many steps. warm_up, cool_down: shares of the steps before the first and after the last
    pruning. keep_first, keep_last: share of layers from the input, and number of layers at the end, that are not
    pruned. block: neurons leave in blocks of so many.
    """

    card = Card(
        slug="loraprune",
        title="LoRAPrune",
        paper="Zhang et al., LoRAPrune: Structured Pruning Meets Low-Rank Parameter-Efficient Fine-Tuning, "
        "ACL Findings 2024, arXiv 2305.18403",
        url="https://arxiv.org/abs/2305.18403",
        stochastic=True,
        claims=(
            Claim(
                text="Pruning guided by LoRA leaves a lower perplexity than pruning by the gradients of the "
                "weights, with the same fine-tuning.",
                source="abstract: 50 % compression of LLaMA, against LLM-Pruner",
                metric="word_perplexity",
                versus="llm-pruner-style:default",
                variant="default",
                paper_value="WikiText2 perplexity lower by 4.81, PTB by 3.46 (in the first preprint 8.0 and 16.05)",
            ),
            Claim(
                text="It takes less memory to prune, since the frozen weights need no gradients.",
                source="abstract, against LLM-Pruner",
                metric="build.peak_memory_bytes",
                versus="llm-pruner-style:default",
                variant="default",
                paper_value="52.6 % less",
            ),
            Claim(
                text="The criterion by weights and gradients of LoRA is better than weight magnitude.",
                source="section 4, ablation of the pruning criterion: LoRA-guided against magnitude",
                metric="word_perplexity",
                versus="loraprune:magnitude",
                variant="default",
            ),
        ),
        differences=(
            (
                "The unit of attention is a KV group (a key-value head with its query heads), so that the KV cache "
                "shrinks too; the paper's models have no groups."
            ),
            (
                "As in the public code every layer loses the same share but the first tenth and the last, which "
                "stay whole; the rest up to the limit is taken by score."
            ),
            "Masks act on what o_proj and down_proj read; the code masks the outputs of the other projections.",
            "LoRA has no dropout.",
            (
                "32,768 training tokens in 64 steps, pruning at every second; the paper: 20,000 sequences of 512, "
                "at every tenth."
            ),
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "magnitude": {"criterion": "magnitude"},
        "random": {"criterion": "random"},
    }

    criterion: Criterion = "lora"
    rank: int = 8
    learning_rate: float = LEARNING_RATE
    decay: float = 0.9
    every: int = 2
    warm_up: float = 0.1
    cool_down: float = 0.1
    keep_first: float = 0.1
    keep_last: int = 1
    block: int = 8

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.block, protected(task.model, self.keep_first, self.keep_last))

    def build(self, task: CausalLMTask) -> nn.Module:
        adapted = with_lora(copy.deepcopy(task.model), rank=self.rank, alpha=2 * self.rank, seed=task.seed)
        batches = list(recovery_batches(task))
        pruning = ProgressivePruning(self, task, adapted.get_base_model(), len(batches))
        fit(
            adapted,
            batches,
            lambda ids: next_token_loss(adapted, ids),
            learning_rate=self.learning_rate,
            before_update=pruning.step,
        )
        pruning.unmask()
        return cut(merge(adapted), without(task.model, pruning.gone))


class ProgressivePruning:
    """What is masked of a model under LoRA, step by step; ends at just what the limits ask for.

    model: the model with LoRA in its linear layers; hooks on it do the masking until `unmask`. gone: what is masked.
    """

    def __init__(self, settings: LoRAPrune, task: CausalLMTask, model: Any, steps: int) -> None:
        self.settings, self.task, self.model, self.steps = settings, task, model, steps
        self.gone: Sequence[Unit] = []
        kept = all_kept(task.model)
        self.groups = [torch.zeros(len(groups)) for groups, _ in kept]
        self.neurons = [torch.zeros(len(neurons)) for _, neurons in kept]
        if settings.criterion == "random":
            generator = torch.Generator().manual_seed(task.seed)
            for scores in (*self.groups, *self.neurons):
                scores.uniform_(generator=generator)
        # How much must leave is known from the shapes alone, whichever structures it will be.
        self.target = sum(unit.parameters for unit in self._prefix_to_limits())
        self._masks = [torch.ones(linear.in_features) for linear in output_projections(task.model)]
        self._hooks = [
            linear.register_forward_pre_hook(self._silence(index))
            for index, linear in enumerate(output_projections(model))
        ]

    def step(self, index: int) -> None:
        """To be called at each step of the training, when LoRA has its gradients and before they are applied."""
        if self.settings.criterion != "random":
            self._observe(lora_importance if self.settings.criterion == "lora" else magnitude)
        share = cubic(index, self.steps, self.settings.warm_up, self.settings.cool_down)
        done = len(self.gone) > 0 and sum(unit.parameters for unit in self.gone) >= self.target
        if share == 1 and not done:
            self._mask(self._prefix_to_limits())
        elif 0 < share < 1 and index % self.settings.every == 0:
            order = self._order()
            total = list(accumulate(unit.parameters for unit in order))
            self._mask(order[: bisect_right(total, share * self.target)])

    def unmask(self) -> None:
        """Take the hooks off the model."""
        for hook in self._hooks:
            hook.remove()

    @torch.no_grad()
    def _observe(self, importance: Callable[[Any], Tensor]) -> None:
        for index, layer in enumerate(layers(self.model)):
            for scores, new in (
                (self.groups[index], of_groups(layer.self_attn, importance, normalised=True)),
                (self.neurons[index], of_neurons(layer.mlp, importance, normalised=True)),
            ):
                scores.lerp_(new.float(), 1 - self.settings.decay)

    def _order(self) -> list[Unit]:
        """All that may leave; what has left already comes first, since its scores count as below all others."""
        groups, neurons = [scores.clone() for scores in self.groups], [scores.clone() for scores in self.neurons]
        for unit in self.gone:
            (groups if unit.kind == "group" else neurons)[unit.layer][list(unit.members)] = -1.0
        whole = protected(self.task.model, self.settings.keep_first, self.settings.keep_last)
        return even_ranking(self.task.model, groups, neurons, self.settings.block, whole)

    def _prefix_to_limits(self) -> Sequence[Unit]:
        dense = self.task.model
        return shortest_prefix(
            self.task, self._order(), lambda units: cut(dense, without(dense, units), share_weights=True)
        )

    def _mask(self, gone: Sequence[Unit]) -> None:
        self.gone = gone
        for mask in self._masks:
            mask.fill_(1.0)
        for unit in gone:
            members = torch.tensor(unit.members)
            if unit.kind == "group":
                members = query_channels(layers(self.task.model)[unit.layer].self_attn, members)
            self._masks[2 * unit.layer + (unit.kind == "neurons")][members] = 0.0

    def _silence(self, index: int) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
        return lambda module, inputs: (inputs[0] * self._masks[index].to(inputs[0]),)


def cubic(step: int, steps: int, warm_up: float, cool_down: float) -> float:
    """Share of the pruning that is done at a step (0, 1, ... steps - 1): 0 in the warm-up, then a cubic that is steep
    at first, 1 in the cool-down and at the last step."""
    if step >= min(steps - 1, math.floor((1 - cool_down) * steps)):
        return 1.0
    left = 1 - (step - warm_up * steps) / ((1 - warm_up - cool_down) * steps)
    return 1 - min(left, 1.0) ** 3


def lora_importance(layer: Any) -> Tensor:
    """|(gB A + B gA - gB gA) * (W + s B A)| of a linear layer under LoRA that has its gradients: float32 (out, in)."""
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return (estimated_gradient(a, b, a.grad, b.grad) * adapted_weight(layer)).abs()


def estimated_gradient(a: Tensor, b: Tensor, grad_a: Tensor, grad_b: Tensor) -> Tensor:
    """gB A + B gA - gB gA: what the product B A would lose in a step of size one. a: (rank, in), b: (out, rank)."""
    return torch.cat([grad_b, b - grad_b], 1).float() @ torch.cat([a, grad_a]).float()


def magnitude(layer: Any) -> Tensor:
    """|W + s B A|: float32 (out, in)."""
    return adapted_weight(layer).abs()


def adapted_weight(layer: Any) -> Tensor:
    """W + s B A, the weight that a layer under LoRA computes with: float32 (out, in)."""
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return torch.addmm(layer.get_base_layer().weight.float(), b.float(), a.float(), alpha=layer.scaling["default"])
