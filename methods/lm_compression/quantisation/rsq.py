"""RSQ: Rotate, Scale, then Quantize (Sung et al., 2025), https://arxiv.org/abs/2503.01820."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.quantisation import _rotation
from methods.lm_compression.quantisation._gptq import Rounding, quantise_blocks, unquantisable
from methods.lm_compression.quantisation._precision import GROUP, most_bits, round_embeddings, unmet
from suites._language.blocks import BlockOverText
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class RSQ(Method[CausalLMTask]):
    """Rotates the weights so that no channel stands out, then runs GPTQ with the important tokens counting more.

    Rotate: gains of the norms move into the matrices behind them, and a Hadamard matrix with random signs turns the
    residual stream, smaller ones the values of each head; the function stays. Scale: a token weighs as much as the
    attention that it receives in the layer, summed over heads and queries, mapped to [least_weight, 1] from the least
    to the largest of its window, and divided by the window's mean. Quantise: GPTQ, with the second moments of the
    weighted tokens.

    rotation, importance: whether the model is rotated, and whether tokens are weighed (without: QuaRot-style GPTQ).
    least_weight: of the token that receives the least attention. The paper has 0.005 for windows of 4096 tokens; the
    most that a token can receive grows with the window, so that eight times as much is the same floor for 512. bits,
    group, clip, damping, act_order: as in `gptq`. samples, length: calibration windows and their tokens; the paper has
    256 x 4096, the operating points allow 1/32 of it.
    """

    card = Card(
        slug="rsq",
        title="RSQ",
        paper="Sung et al., 2025. RSQ: Learning from Important Tokens Leads to Better Quantized LLMs",
        url="https://arxiv.org/abs/2503.01820",
        stochastic=True,
        claims=(
            Claim(
                text="Rotating and weighing tokens leaves a better quantised model than GPTQ",
                source="abstract: outperforms baseline methods, across bit widths; GPTQ is the framework it builds on",
                metric="word_perplexity",
                versus="gptq",
                variant="default",
            ),
            Claim(
                text="Weighting tokens by importance is better than weighting all alike, on the same rotated model",
                source="abstract: prioritising tokens with large attention scores gives better quantised models",
                metric="word_perplexity",
                versus="rsq:uniform-weights",
                variant="default",
            ),
            Claim(
                text="The gain shows on downstream tasks too",
                source="abstract: outperforms baselines across multiple downstream tasks and three model families",
                metric="next_sentence_accuracy",
                versus="gptq",
                variant="default",
            ),
        ),
        differences=(
            (
                "Grids have groups of 64 with a step and an offset; the paper's scripts have one symmetric step a "
                "row. Ranges are clipped, as there."
            ),
            (
                "All rotations are folded into the weights. Those that the code makes while the model runs, before "
                "o_proj and down_proj, are left out, so that the input of down_proj is not rotated."
            ),
            "Hadamard matrices for widths that are no power of two are Paley's (576 = 16 x 36).",
            "Tied embeddings stay tied: the last norm's gains become a 16-bit matrix before the head.",
            (
                "A block's layers are calibrated on the block as it was; the code calibrates o_proj on quantised q, "
                "k, v and so on."
            ),
            "Without data expansion (each window shifted to several positions).",
            "Embeddings and head are rounded to nearest; the paper leaves them at 16 bits.",
        ),
        notes="The dense model is a dequantised 4-bit one with permuted channels (see `rtn`). Kernels as in `rtn`.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "uniform-weights": {"importance": False},
        "no-rotation": {"rotation": False, "clip": False},  # gptq, but for the weights of the tokens
    }

    rotation: bool = True
    importance: bool = True
    least_weight: float = 0.04
    bits: int | None = None
    group: int = GROUP
    clip: bool = True
    damping: float = 0.01
    act_order: bool = False
    samples: int = 64
    length: int = 512

    def supports(self, task: CausalLMTask) -> str | None:
        reason = unquantisable(task.model) or (_rotation.unrotatable(task.model) if self.rotation else None)
        return reason or unmet(task, self.bits, self.group, self._shape(task.model))

    def build(self, task: CausalLMTask) -> nn.Module:
        precision = most_bits(task, self.bits, self.group, self._shape(task.model))
        how = Rounding(precision.linears, self.group, self.clip, self.damping, self.act_order)
        candidate = copy.deepcopy(task.model)
        if self.rotation:
            _rotation.rotate(candidate, task.seed)
        round_embeddings(candidate, precision.embeddings, self.group, clip=True)
        windows = calibration_batch(task, self.samples, self.length)
        quantise_blocks(candidate, windows, how, self._token_weights if self.importance else None)
        return candidate.eval()

    def _shape(self, model: Any) -> Any:
        """A model with the modules of the rotated one, for weighing."""
        if not self.rotation or not _rotation.is_tied(model):
            return model
        borrowed = {id(tensor): tensor for tensor in model.parameters()}
        shaped = copy.deepcopy(model, borrowed)
        _rotation.add_mixing(shaped)
        return shaped

    def _token_weights(self, step: BlockOverText) -> Tensor:
        return token_weights(attention_received(step), self.least_weight)


@torch.no_grad()
def attention_received(step: BlockOverText) -> Tensor:
    """How much attention each token gets in a block, summed over heads and queries: float32 (windows, length)."""
    attention, norm = step.block.self_attn, step.block.input_layernorm
    length = step.states.shape[1]
    hidden = torch.full((length, length), torch.finfo(step.states.dtype).min, device=step.states.device)
    mask = hidden.triu(1).to(step.states.dtype)[None, None]  # the fused kernel's mask may be none at all: causal
    received = []
    kept = attention.config
    attention.config = copy.copy(kept)
    attention.config._attn_implementation = "eager"  # the one that tells its probabilities
    try:
        for part in step.states.split(step.batch):
            _, probabilities = attention(norm(part), **(step.context | {"attention_mask": mask}))
            received.append(probabilities.float().sum((1, 2)))
    finally:
        attention.config = kept
    return torch.cat(received)


def token_weights(received: Tensor, least: float) -> Tensor:
    """Attention received (windows, length) mapped to [least, 1] in each window, then divided by the window's mean."""
    low, high = received.amin(1, keepdim=True), received.amax(1, keepdim=True)
    spread = (high - low).clamp_min(torch.finfo(received.dtype).tiny)
    weights = least + (1 - least) * (received - low) / spread
    return weights / weights.mean(1, keepdim=True)
