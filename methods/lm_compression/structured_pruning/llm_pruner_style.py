"""Control: pruning by the gradients of the weights themselves, once, and then LoRA, as LLM-Pruner does it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from methods.lm_compression._lora import LEARNING_RATE, lora_recovery
from methods.lm_compression._recovery import next_token_loss
from methods.lm_compression._texts import beginnings
from methods.lm_compression.structured_pruning._cut import layers
from methods.lm_compression.structured_pruning._importance import of_groups, of_neurons
from methods.lm_compression.structured_pruning._order import cut_to_limits, even_ranking, unmet
from methods.lm_compression.structured_pruning._protected import protected
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class LLMPrunerStyle(Method[CausalLMTask]):
    """Importance of a weight is |w dL/dw|, the first-order change of the loss when it goes (Ma et al., 2023), summed
    over KV groups and neurons; the least important leave at once, and LoRA heals on the recovery budget.

    What leaves of each layer, and which layers stay whole, is decided as in `loraprune`. samples, length: calibration
    windows for the gradients, LLM-Pruner's 10 of 64 tokens, each the beginning of another text. recovery: whether LoRA
    heals. rank, learning_rate: of LoRA, keep_first, keep_last, block: as in `loraprune`.
    """

    card = Card(
        slug="llm-pruner-style",
        title="LLM-Pruner style",
        paper="Control: heads and neurons by first-order Taylor scores of their weights, then LoRA (after Ma et al., "
        "2023, LLM-Pruner, arXiv 2305.11627)",
        url="https://arxiv.org/abs/2305.11627",
        control=True,
        stochastic=True,
        differences=(
            "The unit of attention is a KV group.",
            (
                "Every pruned layer loses the same share. The first three layers and the last stay whole, the "
                "defaults of its script; the published commands for 32 layers spare four and two."
            ),
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "no-recovery": {"recovery": False}}

    samples: int = 10
    length: int = 64
    recovery: bool = True
    rank: int = 8
    learning_rate: float = LEARNING_RATE
    keep_first: float = 0.1
    keep_last: int = 1
    block: int = 8

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.block, protected(task.model, self.keep_first, self.keep_last))

    def build(self, task: CausalLMTask) -> nn.Module:
        groups, neurons = taylor_scores(task.model, beginnings(task, self.samples, self.length))
        whole = protected(task.model, self.keep_first, self.keep_last)
        candidate = cut_to_limits(task, even_ranking(task.model, groups, neurons, self.block, whole))
        if not self.recovery:
            return candidate
        return lora_recovery(candidate, task, rank=self.rank, learning_rate=self.learning_rate)


def taylor_scores(model: Any, windows: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Importance of the KV groups and of the neurons of each layer, by the gradient of the loss summed over windows
    (count, length). `model` is left unchanged."""
    view = copy.deepcopy(model).requires_grad_(False)
    for layer in layers(view):
        for module in layer.modules():
            if isinstance(module, nn.Linear):
                module.requires_grad_(True)
    for window in windows:
        next_token_loss(view, window[None]).backward()
    groups = [of_groups(layer.self_attn, taylor_importance) for layer in layers(view)]
    return groups, [of_neurons(layer.mlp, taylor_importance) for layer in layers(view)]


@torch.no_grad()
def taylor_importance(linear: nn.Linear) -> Tensor:
    """|w dL/dw| of each weight, float32 (out, in)."""
    assert linear.weight.grad is not None
    return (linear.weight.float() * linear.weight.grad.float()).abs()
