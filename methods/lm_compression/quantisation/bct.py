"""BCT (Dong et al., 2023), https://arxiv.org/abs/2304.01483."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from transformers.models.llama.modeling_llama import LlamaDecoderLayer
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

from bench.contract import Card, Claim, Method
from methods._techniques.block_linear import BlockEmbedding, BlockLinear
from methods._techniques.blockwise import BITS, BlockMatrix, blank, block_matrix, unpackable
from methods.lm_compression.quantisation._integer_modules import IntegerAttention, IntegerMLP, IntegerRMSNorm
from methods.lm_compression.quantisation._precision import LADDER, Precision, block_linears, borrowing_copy, outer_names
from suites.lm_compression.task import CausalLMTask

WIDTHS = tuple(precision for precision in LADDER if set(precision) <= set(BITS))


@dataclass(frozen=True)
class BCT(Method[CausalLMTask]):
    """Rounds every part of the model to integers of few bits, block by block, each block with a shift of its own:
    weights and biases, embeddings, what flows between operators, and softmax, SiLU and RMS norm. No data, no training.

    A weight's block is a square tile, an activation's a run of one token's channels, a head in attention. Products are
    integer within a block and shifted to one scale between blocks; the functions are tables, shifts and sums of
    integers. The shift of a weight's tile is the one with the least squared error.

    bits: of all weights, whatever the limit; None: the most that meet it, with as many for embeddings and linear layers
    as `rtn` and `gptq` give them there, 8 without a limit. block: rows and columns of a tile, channels of an
    activation's block; 64 divides the width of every common model; None: one shift a matrix, and one a token.
    nonlinear: whether attention, softmax, SiLU and norms are integer too.
    """

    card = Card(
        slug="bct",
        title="BCT",
        paper="Dong et al., 2023. Blockwise Compression of Transformer-based Models without Retraining",
        url="https://arxiv.org/abs/2304.01483",
        claims=(
            Claim(
                text="Blockwise quantisation shifts the distribution of the data less than layerwise quantisation "
                "at equal bits.",
                source="abstract: layerwise quantisation costs accuracy, the finer blocks need no retraining",
                metric="word_perplexity",
                versus="bct:per-tensor",
                variant="default",
            ),
            Claim(
                text="With every part of the model compressed and nothing retrained, the accuracy stays nearly what "
                "it was.",
                source="abstract: GLUE, against the uncompressed model",
                metric="next_sentence_accuracy",
                relation="keeps",
                share=0.991,
                variant="default",
                paper_value="less than 0.9 % lost on most GLUE tasks",
            ),
            Claim(
                text="With 4-bit weights too, at about an eighth of the size at 32 bits, the accuracy stays nearly "
                "what it was.",
                source="abstract: a case study, evaluated on GLUE",
                metric="next_sentence_accuracy",
                relation="keeps",
                share=0.991,
                variant="w4",
                paper_value="7.988 times smaller than at 32 bits; less than 0.9 % lost on most GLUE tasks",
            ),
        ),
        differences=(
            "Only the abstract could be read: the sizes of blocks, the shifts and the look-up tables are ours.",
            "The paper's models are encoders with GELU and layer norm; this one has SiLU and RMS norm.",
            (
                "In floating point are sums over blocks, the softmax's division, rotary positions, the residual "
                "stream between operators and the last norm."
            ),
            (
                "A block of activations never spans tokens, so that a token's result does not depend on what is "
                "beside it."
            ),
            (
                "Attention probabilities have 14 bits, in two 8-bit digits: 8 bits would leave nothing beside an "
                "attention sink."
            ),
            "`per-tensor` has one shift a matrix and one a token, which is finer than one shift for all tokens.",
        ),
        notes="4-bit weights with their shifts take a little more than a quarter of the bytes, so `size-25` is out "
        "of reach.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "per-tensor": {"block": None},
        "linear-only": {"nonlinear": False},
        "w4": {"bits": 4},
    }

    bits: int | None = None
    block: int | None = 64
    nonlinear: bool = True

    def supports(self, task: CausalLMTask) -> str | None:
        for name in task.limits.result:
            if name != "stored_ratio":
                return f"fewer bits change the stored bytes; they cannot meet a limit on {name}"
        if reason := self._unquantisable(task.model):
            return reason
        if not task.limits.result:
            return None
        if self.bits is not None:
            return f"has {self.bits} bits whatever the limit; the default variant meets limits"
        least = task.weigh(self._assembled(task.model, WIDTHS[-1], blank))["stored_ratio"]
        if least > task.limits.result["stored_ratio"]:
            return (
                f"stored_ratio is still {least:.4f} with {WIDTHS[-1].linears} bits; the limit is "
                f"{task.limits.result['stored_ratio']:g}"
            )
        return None

    @torch.no_grad()
    def build(self, task: CausalLMTask) -> nn.Module:
        return self._assembled(task.model, self._precision(task), block_matrix)

    def _precision(self, task: CausalLMTask) -> Precision:
        """The first of WIDTHS that meets the limits, or the fixed bits. Raises OverBudget if none meets them."""
        if self.bits is not None:
            return Precision(self.bits, self.bits)
        for precision in WIDTHS:
            figures = task.weigh(self._assembled(task.model, precision, blank)) if task.limits.result else {}
            if task.limits.met_by(figures):
                return precision
        task.limits.check_result(figures)
        raise AssertionError("unreachable: the last figures are over the limits")

    def _unquantisable(self, model: Any) -> str | None:
        layers = model.get_decoder().layers
        if not all(isinstance(layer, (LlamaDecoderLayer, Qwen2DecoderLayer)) for layer in layers):
            return "knows the blocks of Llama and Qwen2 alone"
        if model.config.hidden_act != "silu":
            return f"has a table for SiLU, and none for {model.config.hidden_act}"
        for name in [*block_linears(model), *outer_names(model)]:
            columns = model.get_submodule(name).weight.shape[1]
            if reason := unpackable(columns, self.bits or min(BITS), self.block):
                return reason
        return None

    def _assembled(self, model: Any, precision: Precision, make: Callable[..., BlockMatrix]) -> nn.Module:
        """A candidate with every weight made by make(weight, bits, block); tied matrices share what is stored."""
        candidate = borrowing_copy(model)
        done: dict[int, BlockMatrix] = {}
        outer = outer_names(model)
        for name in [*block_linears(model), *outer]:
            module = model.get_submodule(name)
            if id(module.weight) not in done:
                bits = precision.embeddings if name in outer else precision.linears
                done[id(module.weight)] = make(module.weight, bits, self.block)
            matrix = done[id(module.weight)]
            made = (
                BlockEmbedding(matrix, module.weight.dtype)
                if isinstance(module, nn.Embedding)
                else BlockLinear(matrix, None if module.bias is None else module.bias.detach())
            )
            candidate.set_submodule(name, made)
        if self.nonlinear:
            self._to_integers(candidate.get_decoder().layers)
        return candidate.eval()

    def _to_integers(self, layers: Any) -> None:
        """Norms, attention and MLP of each block; its linear layers are in place."""
        for layer in layers:
            for name in ("input_layernorm", "post_attention_layernorm"):
                norm = getattr(layer, name)
                setattr(layer, name, IntegerRMSNorm(norm.weight, norm.variance_epsilon, self.block))
            layer.self_attn = IntegerAttention(layer.self_attn, by_head=self.block is not None)
            layer.mlp = IntegerMLP(layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj)
