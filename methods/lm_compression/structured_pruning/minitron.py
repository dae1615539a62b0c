"""Minitron: trim a model to a smaller architecture by its activations, and distil the model into it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression._limits import NO_LIMIT
from methods.lm_compression._recovery import distillation_loss, next_token_loss, recovery_batches
from methods.lm_compression.structured_pruning._activations import Importance, importance
from methods.lm_compression.structured_pruning._shapes import Figures, at_the_limit, trimmed
from methods.lm_compression.structured_pruning._trim import Shape, shape_of, trim, untrimmable
from suites._training.fit import fit
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class Minitron(Method[CausalLMTask]):
    """Pruning to a smaller architecture, then distillation (Muralidharan et al., 2024).

    One pass over calibration text scores everything by its activations: heads, neurons and channels of the residual
    stream by their size (mean over a window, root of the sum of squares over windows), blocks by 1 - cosine of input
    and output. Architectures that just meet the limits are listed over depth, width of the stream, query heads to a
    KV group and neurons, each is made of the most important parts, and the best width at each depth is found by the
    calibration loss. These few are trained for some steps, since the order of architectures is known only then; the
    best is trained from its start on the whole recovery budget, towards the dense model's logits (KL divergence).

    axes: what may shrink: "all", "depth" (blocks alone) or "width" (all but blocks). retraining: "distillation"; as
    controls "next-token" and "none". scratch: as a control, the same architecture with random weights. samples, length:
    calibration windows, the paper's 1024 samples cut to 8192 tokens. depths, widths: shares of the blocks and of the
    stream's channels that are tried. step: channels and neurons come in multiples of it; in small models finer. slack:
    how far from the limit an architecture may be (5 %). judged: calibration windows whose loss tells architectures
    apart. trial_steps: steps of training before the best is chosen, the paper's 400 being more than the whole recovery
    has here. learning_rate: 3e-4 (the paper's decays from 1e-4 over 1e5 times as many tokens).
    """

    card = Card(
        slug="minitron",
        title="Minitron",
        paper="Muralidharan et al., Compact Language Models via Pruning and Knowledge Distillation, NeurIPS 2024, "
        "arXiv 2407.14679",
        url="https://arxiv.org/abs/2407.14679",
        stochastic=True,
        claims=(
            Claim(
                text="Pruned and distilled, a model is better than one of the same size trained from scratch.",
                source="abstract; table 11, a 4B model pruned and distilled against random initialisation",
                metric="next_sentence_accuracy",
                versus="minitron:from-scratch",
                variant="default",
                paper_value="up to 16 % better MMLU with up to 40 times fewer training tokens",
            ),
            Claim(
                text="Distillation from the dense model recovers more than next-token training.",
                source="section 4.1, best practices: distillation loss in place of conventional training",
                metric="word_perplexity",
                versus="minitron:fine-tuned",
                variant="default",
            ),
            Claim(
                text="After retraining, pruning width leaves more of a model than pruning depth does.",
                source="section 4.1, best practices: prefer width over depth at this scale",
                metric="word_perplexity",
                versus="minitron:depth",
                variant="width",
                out_of_reach="Retraining over billions of tokens, after which the paper compares; here there are "
                "32,768.",
            ),
            Claim(
                text="It is better than structured pruning by gradients, healed by LoRA.",
                source="table 4, against pruned models of similar size, LLM-Pruner among them",
                metric="word_perplexity",
                versus="llm-pruner-style:default",
                variant="default",
            ),
        ),
        differences=(
            (
                "Retraining takes 32,768 tokens, and the trials of the search the first of them; the paper's takes "
                "94 billion."
            ),
            "KV heads stay and query heads are pruned within their group, as in the paper's own models.",
            (
                "Where channels of the stream are pruned, the norms' weights are rescaled by the measured change of "
                "the root mean square, which the paper leaves to retraining."
            ),
            "Pruned heads are not added to those that stay, nor are they in the public code.",
            "There are no losses on hidden states, which the paper advises for deep cuts of depth alone.",
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "depth": {"axes": "depth"},
        "width": {"axes": "width"},
        "fine-tuned": {"retraining": "next-token"},
        "no-recovery": {"retraining": "none"},
        "from-scratch": {"scratch": True, "retraining": "next-token"},
    }

    axes: Literal["all", "depth", "width"] = "all"
    retraining: Literal["distillation", "next-token", "none"] = "distillation"
    scratch: bool = False
    samples: int = 64
    length: int = 128
    depths: tuple[float, ...] = (1.0, 0.9, 0.8)
    widths: tuple[float, ...] = (1.0, 0.875, 0.75, 0.5)
    step: int = 32
    slack: float = 0.05
    judged: int = 8
    trial_steps: int = 4
    learning_rate: float = 3e-4

    def supports(self, task: CausalLMTask) -> str | None:
        if not task.limits.result:
            return NO_LIMIT
        if reason := untrimmable(task.model):
            return reason
        dense = shape_of(task.model)
        starts = self._starts(dense)
        least = Shape(*(min(sizes) for sizes in zip(*starts, strict=True)))
        least = least if self.axes == "depth" else least._replace(neurons=self._step(dense.neurons))
        return task.still_over(trimmed(task, least), f"the smallest shape, {tuple(least)}")

    def build(self, task: CausalLMTask) -> nn.Module:
        windows = calibration_batch(task, self.samples, self.length)
        scores = importance(task.model, windows)
        batches = list(recovery_batches(task))
        shape = self._architecture(task, scores, windows[: self.judged], batches[: self.trial_steps])
        candidate = trim(task.model, scores.most(shape))
        if self.scratch:
            initialise(candidate, torch.Generator(task.device).manual_seed(task.seed))
        if self.retraining != "none":
            self._retrain(candidate, task.model, batches)
        return candidate

    def _starts(self, dense: Shape) -> list[Shape]:
        """Shapes to be filled with neurons; those of the depth alone are tried from the deepest on."""
        if self.axes == "depth":
            return [dense._replace(blocks=blocks) for blocks in range(dense.blocks, 0, -1)]
        step = self._step(dense.hidden)
        hidden = sorted({max(1, round(share * dense.hidden / step)) * step for share in self.widths}, reverse=True)
        depths = self.depths if self.axes == "all" else (1.0,)
        blocks = sorted({max(1, round(share * dense.blocks)) for share in depths}, reverse=True)
        heads = range(dense.heads, 0, -1)
        return [Shape(*sizes, dense.neurons) for sizes in product(blocks, hidden, heads)]

    def _step(self, size: int) -> int:
        """`step`, or a sixteenth of the dense size where that is less."""
        return max(1, min(self.step, size // 16))

    def _architecture(
        self, task: CausalLMTask, scores: Importance, windows: Tensor, batches: Sequence[Tensor]
    ) -> Shape:
        """The best shape that meets the limits; windows: for the losses, batches: for the trials."""
        figures = Figures(task)
        starts, step = self._starts(figures.dense), self._step(figures.dense.neurons)
        if self.axes == "depth":
            return met(task, next(shape for shape in starts if task.limits.met_by(figures(shape))), step)
        best: dict[int, tuple[float, Shape]] = {}
        for shape in at_the_limit(figures, task.limits, starts, step, self.slack):
            loss = calibration_loss(trim(task.model, scores.most(shape), share_weights=True), windows)
            if shape.blocks not in best or loss < best[shape.blocks][0]:
                best[shape.blocks] = (loss, shape)
        finalists = [shape for _, shape in best.values()]
        if len(finalists) > 1:
            losses = [self._trial(task, scores, shape, windows, batches) for shape in finalists]
            finalists = [finalists[losses.index(min(losses))]]
        return met(task, finalists[0], step)

    def _trial(
        self, task: CausalLMTask, scores: Importance, shape: Shape, windows: Tensor, batches: Sequence[Tensor]
    ) -> float:
        """Calibration loss of a shape after a few steps of distillation."""
        candidate = trim(task.model, scores.most(shape))
        fit(
            candidate.requires_grad_(True),
            batches,
            lambda ids: distillation_loss(candidate, task.model, ids),
            learning_rate=self.learning_rate,
        )
        return calibration_loss(candidate, windows)

    def _retrain(self, candidate: Any, teacher: Any, batches: Sequence[Tensor]) -> None:
        def loss(ids: Tensor) -> Tensor:
            if self.retraining == "next-token":
                return next_token_loss(candidate, ids)
            return distillation_loss(candidate, teacher, ids)

        fit(candidate.requires_grad_(True), batches, loss, learning_rate=self.learning_rate)
        candidate.requires_grad_(False)


def met(task: CausalLMTask, shape: Shape, step: int) -> Shape:
    """The shape, or the next smaller one that meets the limits as the runner measures them.

    Raises OverBudget if there is none.
    """
    while not task.limits.met_by(figures := task.weigh(trimmed(task, shape))):
        if shape.neurons <= step:
            task.limits.check_result(figures)
        shape = shape._replace(neurons=shape.neurons - step)
    return shape


@torch.no_grad()
def calibration_loss(model: Any, windows: Tensor) -> float:
    """Mean cross entropy of the next token over windows (count, length), nats."""
    return float(next_token_loss(model, windows))


@torch.no_grad()
def initialise(model: Any, generator: torch.Generator) -> None:
    """Random weights, as a new model of this kind would have them: normal matrices, norms of one, no biases."""
    for module in model.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(module, nn.Linear | nn.Embedding):
            module.weight.normal_(std=model.config.initializer_range, generator=generator)
        elif isinstance(weight, Tensor):
            weight.fill_(1.0)
        if isinstance(bias, Tensor):
            bias.zero_()
