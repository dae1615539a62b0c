"""WeLore (Jaiswal et al., 2024), https://arxiv.org/abs/2407.11239."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from bench.contract import Card, Claim, Method
from methods._techniques.factored import truncated, with_layers
from methods.lm_compression._lora import lora_recovery
from methods.lm_compression._recovery import next_token_loss, recovery_batches
from methods.lm_compression.low_rank._limits import unmet
from methods.lm_compression.low_rank._threshold import ranks_by_threshold
from suites._language.adapters import decoder_linears
from suites._training.fit import fit
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class WeLore(Method[CausalLMTask]):
    """Gives each matrix the rank that its own singular values ask for, and fine-tunes only what became low-rank.

    The singular values of every linear layer are normalised to 0..1 and those under one threshold, the same for the
    whole model, are dropped: matrices with a heavy tail lose most of their rank, others little. A matrix that loses
    more than half of its rank is a low-rank component: it is written as two thin factors, roots of the singular values
    in both. All others stay dense and whole. The threshold is the lowest that meets the limits. No data is needed so
    far. Then the factors alone are trained on the recovery budget; all dense matrices, embeddings and norms are frozen.

    reduction: the share of its rank that a matrix must lose to be factorised; at half a square matrix breaks even.
    tune: what is trained: "low-rank" factors (the method), "nothing", "all" linear layers of the compressed blocks,
        or a "lora" on all of them, merged afterwards.
    learning_rate: the public code takes 5e-5 for 10000 steps of 4096 tokens; the recovery budget is 64 steps of 512.
        The best at size-75 (rates.json), also where all linear layers are trained.
    """

    card = Card(
        slug="welore",
        title="WeLore",
        paper="Jaiswal et al., 2024. From GaLore to WeLore: How Low-Rank Weights Non-uniformly Emerge from Low-Rank "
        "Gradients",
        url="https://arxiv.org/abs/2407.11239",
        stochastic=True,
        claims=(
            Claim(
                text="Without training, ranks that follow each matrix's own singular values keep more than one rank "
                "for all",
                source="abstract: low-rank structure differs between layers, so ranks should be reduced non-uniformly",
                metric="word_perplexity",
                versus="svd",
                variant="no-fine-tuning",
            ),
            Claim(
                text="With LoRA fine-tuning, too, ranks that follow the singular values keep more than one rank for "
                "all",
                source="abstract: low-rank structure differs between layers, so ranks should be reduced non-uniformly",
                metric="word_perplexity",
                versus="lora-recovery:svd",
                variant="lora-fine-tuning",
            ),
            Claim(
                text="Training the low-rank components alone comes to where training the whole compressed model does",
                source="abstract: close to full fine-tuning in loss and performance, sometimes ahead of it",
                metric="word_perplexity",
                versus="welore:full-fine-tuning",
                relation="same",
                variant="default",
                out_of_reach="Training for thousands of steps (the public code: 10,000 of 4096 tokens); here there "
                "are 64 of 512.",
            ),
            Claim(
                text="Training the low-rank components alone takes less memory than training all",
                source="abstract",
                metric="build.peak_memory_bytes",
                versus="welore:full-fine-tuning",
                variant="default",
                paper_value="Llama-2-7B at half its size: about 0.6x the GPU memory",
            ),
            Claim(
                text="Training the low-rank components alone is faster than training all",
                source="abstract",
                metric="build.seconds",
                versus="welore:full-fine-tuning",
                variant="default",
                paper_value="Llama-2-7B at half its size: about 3x the throughput",
            ),
        ),
        differences=(
            (
                "The normalisation to 0..1, and that a matrix which loses more than half of its rank is factorised, "
                "are the public code's; the abstract leaves both open."
            ),
            "The threshold is the lowest that meets the limit; the paper sets it by the mean reduction of rank.",
            "Norms stay frozen; the public code trains them too.",
            "One pass over 32,768 training tokens at a larger learning rate; the public code takes 10,000 steps.",
        ),
        notes="Embeddings and head, a fifth of this model, are not factorised, as in the paper. Time and memory of "
        "a build include the decompositions, which all variants share.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "no-fine-tuning": {"tune": "nothing"},
        "full-fine-tuning": {"tune": "all"},
        "lora-fine-tuning": {"tune": "lora"},
    }

    reduction: float = 0.5
    tune: Literal["low-rank", "nothing", "all", "lora"] = "low-rank"
    learning_rate: float = 2e-4

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task)

    def build(self, task: CausalLMTask) -> nn.Module:
        dense = task.model
        ranks = ranks_by_threshold(task, self.reduction)
        layers = {name: truncated(dense.get_submodule(name), rank) for name, rank in ranks.items()}
        candidate: Any = with_layers(dense, layers)
        if self.tune == "lora":
            candidate = lora_recovery(candidate, task)
        elif self.tune != "nothing":
            names = layers if self.tune == "low-rank" else decoder_linears(candidate)
            fine_tune(candidate, [candidate.get_submodule(name) for name in names], task, self.learning_rate)
        model: nn.Module = candidate
        return model


def fine_tune(model: Any, parts: list[nn.Module], task: CausalLMTask, learning_rate: float) -> list[float]:
    """Train these parts of `model` on the recovery budget, and nothing else; returns the loss of each step."""
    for part in parts:
        part.requires_grad_(True)
    losses = fit(model, recovery_batches(task), lambda ids: next_token_loss(model, ids), learning_rate=learning_rate)
    model.requires_grad_(False)
    return losses
