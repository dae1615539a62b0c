"""Pre-RMSNorm and Pre-CRMSNorm Transformers (Jiang et al., 2023), https://arxiv.org/abs/2305.14858."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods._techniques.rms import CentredHead, CRMSNorm, RMSNorm
from methods.lm_compression.equivalence._pre_ln import (
    Anatomy,
    affine,
    anatomy,
    matrix,
    pre_ln_form,
    put,
    readers,
    why_no_pre_ln_form,
    writers,
)
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class PreRMSNorm(Method[CausalLMTask]):
    """Rewrites a Pre-LN Transformer exactly into one whose norms take no mean.

    Every LayerNorm takes the mean out of what it reads, so the mean of the residual stream says nothing. It is taken
    out where it comes from, once: from the embeddings, and from the output of every matrix that writes to the stream.
    The stream then has mean zero and LayerNorm is RMSNorm. Its scale and shift move into the matrices that read it.

    compressed: whether the stream also loses its last number, which is minus the sum of the others (CRMSNorm): a matrix
        that reads keeps W[:, :-1] - W[:, -1:], one that writes loses its last row.
    """

    card = Card(
        slug="pre-rmsnorm",
        title="Pre-RMSNorm / Pre-CRMSNorm",
        paper="Jiang et al., 2023. Pre-RMSNorm and Pre-CRMSNorm Transformers: Equivalent and Efficient Pre-LN "
        "Transformers",
        url="https://arxiv.org/abs/2305.14858",
        claims=(
            Claim(
                text="The rewritten model is equivalent to the Pre-LN one",
                source="abstract",
                metric="word_perplexity",
                versus="pre-ln",
                relation="same",
            ),
            Claim(
                text="Reading a prompt takes less time",
                source="abstract",
                metric="prefill.latency.ratio",
                versus="pre-ln",
                paper_value="training and inference time 1 % to 10 % lower",
            ),
        ),
        differences=(
            (
                "Bases with RMSNorm, as the packaged one, are first written as a Pre-LN Transformer (`pre-ln`), "
                "wider and with a head of its own; the claims are about that one."
            ),
            "Computed in float64 and rounded once.",
            (
                "Tied head and embeddings stay tied: the head gets the rows' means by a term of its own, and "
                "applies the last norm's scale and shift."
            ),
        ),
        notes="For bases with LayerNorm: GPT-2, GPT-NeoX and Pythia, OPT. RMSNorm is PyTorch's; CRMSNorm runs as a "
        "few operators, and its width, one less than the model's, may suit matrix products badly.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"rmsnorm": {}, "crmsnorm": {"compressed": True}}

    compressed: bool = False

    def supports(self, task: CausalLMTask) -> str | None:
        if reason := why_no_pre_ln_form(task.model):
            return reason
        if task.limits.result:
            return "an exact rewrite: the model gets smaller by one part in its width at most"
        return None

    def build(self, task: CausalLMTask) -> nn.Module:
        model = pre_ln_form(task.model)
        found = anatomy(model)
        if isinstance(found, str):
            raise ValueError(found)
        candidate: nn.Module = copy.deepcopy(model) if model is task.model else model
        rewrite(candidate, found, compressed=self.compressed)
        return candidate


@torch.no_grad()
def rewrite(model: Any, of: Anatomy, *, compressed: bool) -> None:
    """Turn a Pre-LN model into its Pre-RMSNorm or Pre-CRMSNorm form, in place."""
    head = model.get_submodule(of.head)
    table = model.get_submodule(of.embeddings[0]).weight
    tied = head.weight is table
    means = table.detach().double().mean(-1)

    for name in of.embeddings:
        embedding = model.get_submodule(name)
        centred = _centred(embedding.weight.detach().double().T).T
        embedding.weight = nn.Parameter(_written(centred.T, compressed).T.to(table.dtype).contiguous(), False)
    for name in writers(model, of):
        linear = model.get_submodule(name)
        weight, bias = matrix(linear)
        put(linear, _written(_centred(weight), compressed), _written(_centred(bias), compressed))
    for name, linears in readers(model, of):
        norm = model.get_submodule(name)
        for linear in map(model.get_submodule, linears):
            put(linear, *_reading(matrix(linear), affine(norm, table.device), compressed))
        model.set_submodule(name, _norm(norm.eps, compressed))

    norm = model.get_submodule(of.norm)
    model.set_submodule(of.norm, _norm(norm.eps, compressed))
    if tied:
        numbers = [tensor.to(table.dtype) for tensor in (means, *affine(norm, table.device))]
        model.set_submodule(of.head, CentredHead(model.get_submodule(of.embeddings[0]).weight, *numbers))
    else:
        put(head, *_reading(matrix(head), affine(norm, table.device), compressed))


def _norm(eps: float, compressed: bool) -> RMSNorm | CRMSNorm:
    return CRMSNorm(eps) if compressed else RMSNorm(eps)


def _centred(written: Tensor) -> Tensor:
    """What is written to the stream, (hidden, ...), without its mean over the stream."""
    return written - written.mean(0, keepdim=True)


def _written(centred: Tensor, compressed: bool) -> Tensor:
    return centred[:-1] if compressed else centred


def _reading(linear: tuple[Tensor, Tensor], norm: tuple[Tensor, Tensor], compressed: bool) -> tuple[Tensor, Tensor]:
    """Weight (out, hidden) and bias of a linear that takes in the scale and the shift of the norm that it reads."""
    (weight, bias), (scale, shift) = linear, norm
    bias = bias + weight @ shift
    weight = weight * scale
    return (weight[:, :-1] - weight[:, -1:] if compressed else weight), bias
