"""FoldGPT (Liu et al., 2024), https://arxiv.org/abs/2407.00928."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.contract import Card, Claim, Method
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression._limits import NO_LIMIT, first_met
from methods.lm_compression._recovery import recovery_batches
from methods.lm_compression.layer_dropping._sublayers import blocks, undroppable
from methods.lm_compression.weight_sharing._folding import Fold, fold, folds
from methods.lm_compression.weight_sharing._gates import learn_gates
from suites._training.fit import fit
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class FoldGPT(Method[CausalLMTask]):
    """Removes the blocks that learned gates find least important, lets others share weights, and heals what is left.

    Every block gets a gate on its residual update. All gates are learned together on calibration text, under a penalty
    on the compute that they leave, while the weights stay: so a block's importance counts what the other blocks can
    take over. The least important blocks are removed. Of the rest, the next in the ranking use the weights of their
    group, a run of neighbours, and keep norms of their own. A short fine-tuning of the blocks follows, with the next
    token's loss and the distance of the last block's output from the dense model's (tail-layer distillation): what the
    blocks in between give is left free, as they no longer correspond to the dense ones.

    removal: share of what is saved that goes by removing blocks; the rest goes by sharing. A limit on FLOPs is met by
        removal alone, because sharing saves none. group: most blocks in a group.
    gate_tokens, length: calibration tokens that gates are learned on, in windows of so many, one at a step.
    penalty, gate_rate: weight of the compute penalty, and learning rate of the gates.
    recovery: whether the fine-tuning is done. learning_rate: its, the best at size-75 (rates.json).
    tail: weight of the tail-layer distillation, whose distance is relative to the dense output's square.
    """

    card = Card(
        slug="foldgpt",
        title="FoldGPT",
        paper="Liu et al., 2024. FoldGPT: Simple and Effective Large Language Model Compression Scheme",
        url="https://arxiv.org/abs/2407.00928",
        claims=(
            Claim(
                text="Removal with sharing keeps more than pruning blocks in earlier ways, at equal size, both "
                "trained on as many tokens",
                source="abstract: better than the previous state of the art in efficient compression",
                metric="word_perplexity",
                versus="minitron:depth",
                variant="default",
            ),
            Claim(
                text="Sharing weights keeps more than removing as many stored bytes by blocks alone",
                source="implied by the abstract (removal and parameter sharing are combined)",
                metric="word_perplexity",
                versus="foldgpt:removal-alone",
            ),
            Claim(
                text="A minor amount of fine-tuning cures the mismatch that sharing brings",
                source="abstract",
                metric="word_perplexity",
                versus="foldgpt:no-recovery",
            ),
        ),
        stochastic=True,
        differences=(
            "There is no public code and only the abstract and summaries could be read: the details below are ours.",
            (
                "The gate is theta^2 / (theta^2 + epsilon) with a falling epsilon; the compute constraint is a "
                "hinge on the mean gate."
            ),
            "Half of the savings come from block removal, half from sharing.",
            (
                "A group is a run of neighbours, led by its first; the gates' order says which blocks share. Norms "
                "are not shared."
            ),
            "Tail-layer distillation is the squared error of the last hidden states.",
            "All block weights are fine-tuned on the suite's recovery budget; embeddings stay.",
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "removal-alone": {"removal": 1.0},
        "no-recovery": {"recovery": False},
    }

    removal: float = 0.5
    group: int = 4
    gate_tokens: int = 16_384
    length: int = 128
    penalty: float = 8.0
    gate_rate: float = 0.02
    recovery: bool = True
    learning_rate: float = 3e-4
    tail: float = 1.0

    def supports(self, task: CausalLMTask) -> str | None:
        if not task.limits.result:
            return NO_LIMIT
        if reason := undroppable(task.model):
            return reason
        hardest = self._folds(task, [0.0] * len(blocks(task.model)))[-1]
        left = len(blocks(task.model)) - len(hardest.gone) - len(hardest.sharing)
        return task.still_over(fold(task.model, hardest, share_weights=True), f"the weights of {left} blocks")

    def build(self, task: CausalLMTask) -> nn.Module:
        count = len(blocks(task.model))
        # How many block weights must go does not hang on which: blocks weigh the same.
        saved = self._fewest(task, self._folds(task, [float(index) for index in range(count)]))
        windows = calibration_batch(task, self.gate_tokens // self.length, self.length)
        model = fold(task.model, Fold(frozenset(), frozenset()), share_weights=True)
        importance = learn_gates(
            model,
            windows.split(1),
            kept=1 - saved / count,
            penalty=self.penalty,
            learning_rate=self.gate_rate,
        )
        ranked = self._folds(task, importance)
        candidate = fold(task.model, ranked[self._fewest(task, ranked)])
        if self.recovery:
            recover(candidate, task, learning_rate=self.learning_rate, tail=self.tail)
        return candidate

    def _folds(self, task: CausalLMTask, importance: Sequence[float]) -> list[Fold]:
        return folds(importance, self.removal if "stored_ratio" in task.limits.result else 1.0, self.group)

    def _fewest(self, task: CausalLMTask, ranked: Sequence[Fold]) -> int:
        """Index of the mildest fold that meets the limits. Raises OverBudget if none does."""
        costs = [1] * (len(ranked) - 1)
        return first_met(task, costs, lambda index: fold(task.model, ranked[index], share_weights=True))


def recover(candidate: Any, task: CausalLMTask, *, learning_rate: float, tail: float) -> list[float]:
    """Fine-tune the blocks of `candidate` on the recovery budget; returns the loss of each step."""
    candidate.requires_grad_(False)
    for block in blocks(candidate):
        block.requires_grad_(True)
    losses = fit(
        candidate,
        recovery_batches(task),
        lambda ids: tail_distillation_loss(candidate, task.model, ids, tail),
        learning_rate=learning_rate,
    )
    candidate.requires_grad_(False)
    return losses


def tail_distillation_loss(model: Any, teacher: Any, ids: Tensor, tail: float) -> Tensor:
    """Mean cross entropy of the next token, nats, plus `tail` times the squared distance of the last hidden states from
    the teacher's over their square; ids: (batch, length)."""
    with torch.no_grad():
        wanted = teacher.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state.float()
    states = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    logits = model.get_output_embeddings()(states)[:, :-1].float()
    distance = (states.float() - wanted).square().mean() / wanted.square().mean()
    return cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()) + tail * distance
