"""FinerCut (Zhang et al., 2024), https://arxiv.org/abs/2405.18218."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods._techniques.distances import mean_distance
from methods.lm_compression._texts import beginnings
from methods.lm_compression.layer_dropping._limits import take_until_met, unmet
from methods.lm_compression.layer_dropping._sublayers import AttentionBlock, MLPBlock, Sublayer, blocks, drop, sublayers
from suites._language.blocks import first_inputs
from suites.lm_compression.task import CausalLMTask

TOKENS_AT_ONCE = 8192
"""Tokens that go through a sub-layer in one call: bounds the memory of activations, changes no result."""


@dataclass(frozen=True)
class FinerCut(Method[CausalLMTask]):
    """Greedily drops the attention or MLP sub-layer whose removal changes the model's output least.

    Every removal is followed by scoring all remaining sub-layers again, with all earlier removals in force. The score
    is the distance of the output distribution to that of the dense model (never to the last, already cut one).

    metric: "js", the Jensen-Shannon divergence in its standard form, (KL(p | m) + KL(q | m)) / 2 with m = (p + q) / 2;
        "kl", KL(dense | cut); "norm", the Euclidean distance and "angular", the angle, of the logits.
    samples, length: calibration windows, each the beginning of another text, and tokens in each. The paper's public
        code takes 10 x 256 tokens.
    stride: the output is compared at every stride-th position, counted from the last. Neighbouring positions say
        nearly the same, and unembedding one costs as much as 16 sub-layers of a model as small as SmolLM2-135M.

    Cost per calibration token, with n of N sub-layers dropped: about (N^3 - (N - n)^3) / 6 sub-layers and
    (N^2 - (N - n)^2) / (2 stride) unembeddings. For SmolLM2-135M at half the FLOPs (38 of 60) that is 0.13 TFLOP,
    about a second of one core; hence 384 tokens there, six to nine minutes of one core. On a GPU take samples=10,
    length=256, stride=1.
    """

    card = Card(
        slug="finercut",
        title="FinerCut",
        paper="Zhang et al., 2024. FinerCut: Finer-grained Interpretable Layer Pruning for Large Language Models",
        url="https://arxiv.org/abs/2405.18218",
        claims=(
            Claim(
                text="With a quarter of the sub-layers gone, 90 % of the performance is left, without fine-tuning",
                source="abstract",
                metric="next_sentence_accuracy",
                relation="keeps",
                share=0.9,
                points=("size-75", "compute-75"),
                paper_value="Llama3-8B without 25 % of its layers: 90 % of the performance",
            ),
            Claim(
                text="Pruning attention and FFN sub-layers singly, by their effect on the output, keeps more than "
                "pruning whole blocks by the similarity of input and output",
                source="abstract (against prior work at the block level)",
                metric="word_perplexity",
                versus="attention-drop:block",
            ),
            Claim(
                text="The greedy choice matters: it keeps more than dropping sub-layers at random",
                source="implied by the abstract (it prunes the layers whose removal alters the output least)",
                metric="word_perplexity",
                versus="random-sublayer-drop",
            ),
        ),
        differences=(
            (
                "The Jensen-Shannon divergence is the standard one; the public code averages the two reversed KL "
                "divergences."
            ),
            (
                "The public code protects the first blocks for a while; the paper's algorithm does not, nor does "
                "this one."
            ),
            (
                "The calibration set is 6 x 64 tokens, compared at every eighth position; the code's is 10 x 256, "
                "at all."
            ),
        ),
    )

    metric: Literal["js", "kl", "norm", "angular"] = "js"
    samples: int = 6
    length: int = 64
    stride: int = 8

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, sublayers(task.model))

    def build(self, task: CausalLMTask) -> nn.Module:
        windows = beginnings(task, self.samples, self.length)
        order = greedy_order(task.model, windows, self.metric, self.stride)
        return drop(task.model, take_until_met(task, order))


@torch.no_grad()
def greedy_order(model: Any, windows: Tensor, metric: str = "js", stride: int = 1) -> Iterator[Sublayer]:
    """Yield the sub-layers of `model` in the order in which they go; windows: (samples, length) token ids."""
    network = _Network(model, windows)
    remaining = sublayers(model)
    dense = network.logits(network.run(remaining), stride)
    while remaining:
        variants = network.leave_one_out(remaining)
        scores = [mean_distance(metric, dense, network.logits(states, stride)) for states in variants]
        yield remaining.pop(scores.index(min(scores)))


class _Network:
    """The model as a chain of sub-layers over fixed windows, of which any may be left out."""

    def __init__(self, model: Any, windows: Tensor) -> None:
        self.embedded, self.context = first_inputs(model, windows)
        self.norm: Callable[[Tensor], Tensor] = model.get_decoder().norm
        self.unembed: Callable[[Tensor], Tensor] = model.get_output_embeddings()
        self.steps: dict[Sublayer, nn.Module] = {}
        for index, block in enumerate(blocks(model)):
            self.steps[Sublayer(index, "attention")] = AttentionBlock(block.input_layernorm, block.self_attn)
            self.steps[Sublayer(index, "mlp")] = MLPBlock(block.post_attention_layernorm, block.mlp)

    def run(self, remaining: Sequence[Sublayer]) -> Tensor:
        """Final residual stream (samples, length, hidden) with only the remaining sub-layers."""
        states = self.embedded
        for sublayer in remaining:
            states = self._step(sublayer, states)
        return states

    def leave_one_out(self, remaining: Sequence[Sublayer]) -> Tensor:
        """Final residual streams (remaining, samples, length, hidden), one for each sub-layer left out.

        All variants go through the network side by side. Up to the sub-layer that it leaves out, a variant is the
        same as the model, so it branches off there: half of the work of running each variant by itself, and every
        weight is read once for all of them.
        """
        states = self.embedded[None]  # row 0 leaves out nothing, row i + 1 leaves out remaining[i]
        for sublayer in remaining:
            branch = states[:1]
            states = torch.cat([self._step(sublayer, states.flatten(0, 1)).view_as(states), branch])
        return states[1:]

    def logits(self, states: Tensor, stride: int) -> Tensor:
        """(positions, vocabulary) at every stride-th position of (samples, length, hidden)."""
        scored = states.flip(-2)[..., ::stride, :].flatten(0, -2)
        return self.unembed(self.norm(scored))

    def _step(self, sublayer: Sublayer, states: Tensor) -> Tensor:
        rows = max(1, TOKENS_AT_ONCE // states.shape[1])
        return torch.cat([self.steps[sublayer](part, **self.context) for part in states.split(rows)])
