"""A decoder whose feed-forward networks (FFNs) run for some tokens and not for others.

Attention runs for every token in every block, so the KV cache is that of a dense model: whole. An FFN that is skipped
leaves the token's residual stream as it is; the tokens that run are gathered, so that the others cost nothing.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from methods.lm_compression.layer_dropping._sublayers import blocks, drop, undroppable
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class Region:
    """Where skipping is allowed.

    first, last: the first and the last block whose FFN may be skipped; before and after lie the cold regions.
    warm_up: tokens at positions below it run in full. Positions count within the sequence, so that a token has the same
        fate whether it is read with the prompt or decoded with the cache.
    """

    first: int
    last: int
    warm_up: int

    @classmethod
    def between(cls, blocks: int, cold: float, warm_up: int) -> "Region":
        """All but this share of the blocks, rounded up, at either end."""
        ends = math.ceil(blocks * cold)
        return cls(ends, blocks - 1 - ends, warm_up)

    def __contains__(self, block: int) -> bool:
        return self.first <= block <= self.last


class SkipPolicy(Protocol):
    """Who runs which FFN. One object serves all blocks of a model, which ask in the order in which they run."""

    region: Region

    def runs(self, block: int, positions: Tensor) -> Tensor:
        """Which tokens, at positions (tokens,), run the FFN of this block of the region: bool (tokens,)."""
        ...

    def ran(self, block: int, rows: Tensor, before: Tensor, after: Tensor) -> None:
        """Is told what an FFN of the region did to the tokens `rows` (ran,): their residual stream (ran, hidden)."""
        ...


class SkippingBlock(GradientCheckpointingLayer):
    """A Llama-like block whose FFN runs for the tokens that the policy names; parameter names stay as they were."""

    def __init__(self, dense: Any, index: int, policy: SkipPolicy) -> None:
        super().__init__()
        self.input_layernorm, self.self_attn = dense.input_layernorm, dense.self_attn
        self.post_attention_layernorm, self.mlp = dense.post_attention_layernorm, dense.mlp
        self.index, self.policy = index, policy
        self.training = dense.training

    def forward(self, hidden_states: Tensor, position_ids: Tensor, **context: Any) -> Tensor:
        """hidden_states: (batch, length, hidden), the same shape out; position_ids: (batch or 1, length)."""
        attended, _ = self.self_attn(
            hidden_states=self.input_layernorm(hidden_states), position_ids=position_ids, **context
        )
        stream = (hidden_states + attended).flatten(0, 1)
        positions = position_ids.expand(hidden_states.shape[:2]).flatten()
        if self.index not in self.policy.region:
            return self._updated(stream).view_as(hidden_states)
        run = self.policy.runs(self.index, positions) | (positions < self.policy.region.warm_up)
        rows = run.nonzero().squeeze(1)
        if len(rows) == 0:
            return stream.view_as(hidden_states)
        everyone = len(rows) == len(stream)
        before = stream if everyone else stream[rows]
        after = self._updated(before)
        self.policy.ran(self.index, rows, before, after)
        return (after if everyone else stream.index_copy(0, rows, after)).view_as(hidden_states)

    def _updated(self, stream: Tensor) -> Tensor:
        """The residual stream (tokens, hidden) after the FFN."""
        after: Tensor = stream + self.mlp(self.post_attention_layernorm(stream))
        return after


def skipping(model: Any, policy: SkipPolicy, *, share_weights: bool = False) -> Any:
    """A copy of `model` that asks the policy; `model` is left unchanged. share_weights: as in `drop`, for weighing.

    It declares that scoring must run each sequence by itself: next to others, rounding may tip a decision.
    """
    candidate = drop(model, [], share_weights=share_weights)
    layers = blocks(candidate)
    for index, block in enumerate(layers):
        layers[index] = SkippingBlock(block, index, policy)
    candidate.effbench_exact_path = "plain"
    return candidate


@torch.no_grad()
def skipped_share(candidate: Any, windows: Tensor) -> float:
    """Share of all FFN executions that are skipped over windows of token ids (count, length)."""
    ran = 0

    def count(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal ran
        ran += inputs[0].shape[:-1].numel()

    handles = [block.mlp.register_forward_pre_hook(count) for block in blocks(candidate)]
    try:
        for window in windows:
            candidate.get_decoder()(input_ids=window[None], use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return 1 - ran / (windows.numel() * len(handles))


def least_skipping(
    task: CausalLMTask,
    windows: Tensor,
    share: float,
    settings: Sequence[float],
    policy: Callable[[float], SkipPolicy],
) -> SkipPolicy:
    """The policy of the first of `settings`, ordered from no skipping to the most, that is enough.

    Enough is what meets the limits by the runner's own scale; without a limit, what skips this share of the FFN
    executions over `windows`. Found by bisection: a dozen forward passes. Raises OverBudget if the last setting does
    not meet the limits.
    """

    def enough(setting: float) -> bool:
        view = skipping(task.model, policy(setting), share_weights=True)
        return task.limits.met_by(task.weigh(view)) if task.limits.result else skipped_share(view, windows) >= share

    found = bisect_left(settings, True, key=enough)
    if found == len(settings):
        task.limits.check_result(task.weigh(skipping(task.model, policy(settings[-1]), share_weights=True)))
    return policy(settings[min(found, len(settings) - 1)])


def unmet(task: CausalLMTask, most: SkipPolicy) -> str | None:
    """Why the limits can't be met by skipping FFNs, or None. most: the policy that skips as much as it ever may."""
    for name in task.limits.result:
        if name != "flops_ratio":
            return f"skipping changes what is computed, not what is stored: it can't meet a limit on {name}"
    if most.region.last < most.region.first:
        return f"all {len(blocks(task.model))} blocks are in the cold regions"
    if reason := undroppable(task.model):
        return reason
    return task.still_over(skipping(task.model, most, share_weights=True), "all that it may skip skipped")
