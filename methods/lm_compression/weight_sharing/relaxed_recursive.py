"""Relaxed Recursive Transformers (Bae et al., 2024), https://arxiv.org/abs/2410.20672."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from torch import nn

from bench.contract import Card, Claim, Method
from methods._techniques.fewest import fewest
from methods.lm_compression._recovery import distillation_loss, next_token_loss, recovery_batches
from methods.lm_compression.layer_dropping._sublayers import blocks
from methods.lm_compression.weight_sharing._looped import (
    Initialisation,
    hollow_adapter,
    linears,
    looped,
    mean_block,
    residual_adapter,
    tied_to,
    unloopable,
)
from suites._training.fit import fit
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class RelaxedRecursive(Method[CausalLMTask]):
    """Replaces the L blocks of a decoder by K blocks that run L/K times in a loop, each depth with a small update.

    Block l of the dense model becomes block l mod K of the loop. The looped blocks start as the mean of the blocks that
    they stand for, or as some of them. What a depth then lacks of its dense block is given back, layer by layer, as a
    low-rank update (LoRA), the truncated singular value decomposition of the difference; its rank is the same
    everywhere. Norms, which weigh next to nothing, stay each depth's own. All weights, looped ones, updates and
    embeddings, are then trained for a short time. The depth, the FLOPs and the KV cache stay those of the dense model:
    what shrinks is what is stored.

    The number of looped blocks is the largest divisor of L, below L, that meets the limit with updates of rank 1; the
    rank is then the largest that does.

    initialisation: of the looped blocks: "average", "stepwise" (evenly spaced blocks with the first and the last) or
        "lower" (the first K). adapters: without, the model is the plain Recursive Transformer.
    training: "next-token" loss, "distillation" (KL divergence from the dense model's next-token distribution, costs
        its forward pass too) or "none".
    learning_rate: of the one pass over the recovery budget; the paper trains on billions of tokens. Of 1e-4, 2e-4 and
        5e-4 the one with the least loss over other training text; without updates, of 2e-4, 5e-4, 1e-3 and 2e-3. Run
        by hand, before `effbench tune` took methods of this suite.
    """

    card = Card(
        slug="relaxed-recursive",
        title="Relaxed Recursive Transformer",
        paper="Bae et al., 2024. Relaxed Recursive Transformers: Effective Parameter Sharing with Layer-wise LoRA",
        url="https://arxiv.org/abs/2410.20672",
        stochastic=True,
        claims=(
            Claim(
                text="Low-rank updates at each depth keep more than blocks that are strictly tied",
                source="abstract; perplexity of Gemma-2B with two loops",
                metric="word_perplexity",
                versus="relaxed-recursive:recursive",
                variant="default",
                paper_value="Gemma-2B, 2 loops, 15B tokens: 11.83 with rank 512, 12.85 at best without (dense 10.76)",
                out_of_reach="Uptraining over 15 to 60 billion tokens; here there are 32,768.",
            ),
            Claim(
                text="A looped model keeps more than an ordinary one of its size",
                source="abstract: outperforms similar-sized vanilla pretrained models and knowledge distillation "
                "baselines",
                metric="word_perplexity",
                versus="minitron:depth",
                variant="default",
                out_of_reach="Uptraining over 15 to 60 billion tokens; here there are 32,768.",
            ),
            Claim(
                text="Most of the full-size model's performance is recovered",
                source="abstract; perplexity of Gemma-2B with two loops",
                metric="word_perplexity",
                relation="keeps",
                share=0.9,
                variant="default",
                paper_value="Gemma-2B, 2 loops, 15B tokens: 11.83 with rank 512, dense 10.76",
                out_of_reach="Uptraining over 15 to 60 billion tokens; here there are 32,768.",
            ),
        ),
        differences=(
            "One pass over 32,768 training tokens; the paper trains on 15 to 60 billion.",
            "Norms and biases stay each depth's own beside the updates: at full rank the model is the dense one.",
            "Ranks follow from the operating point.",
            "Distillation is by the KL divergence alone.",
            "Depth-wise batching, which the paper estimates in theory, is left out.",
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "stepwise": {"initialisation": "stepwise"},
        "lower": {"initialisation": "lower"},
        "recursive": {"initialisation": "stepwise", "adapters": False, "learning_rate": 1e-3},
        "distilled": {"training": "distillation"},
        "untrained": {"training": "none"},
    }

    initialisation: Initialisation = "average"
    adapters: bool = True
    training: str = "next-token"
    learning_rate: float = 2e-4

    def supports(self, task: CausalLMTask) -> str | None:
        if "stored_ratio" not in task.limits.result:
            return "looping blocks saves stored bytes alone, no FLOPs: it needs a limit on the bytes"
        if other := sorted(set(task.limits.result) - {"stored_ratio"}):
            return f"looping blocks saves stored bytes alone; it cannot meet a limit on {other[0]}"
        if reason := unloopable(task.model):
            return reason
        if len(blocks(task.model)) < 2:
            return "there is one block only: nothing can be tied"
        least = self._weigh(task, 1, int(self.adapters))["stored_ratio"]
        if least > task.limits.result["stored_ratio"]:
            return f"one looped block still comes to {least:.3f}; the limit is {task.limits.result['stored_ratio']:g}"
        return None

    def build(self, task: CausalLMTask) -> nn.Module:
        unique, rank = self._shape(task)
        dense = blocks(task.model)
        sources = tied_to(self.initialisation, len(dense), unique)
        starts = [mean_block([dense[index] for index in tied]) for tied in sources]
        candidate: Any = looped(task.model, starts, residual_adapter(task.model, rank) if rank else None)
        model: nn.Module = copy.deepcopy(candidate).eval()  # embeddings and head are still the task's
        self._train(model, task)
        return model.requires_grad_(False)

    def _train(self, model: nn.Module, task: CausalLMTask) -> list[float]:
        """Train everything on the recovery budget; returns the loss of each step."""
        if self.training == "none":
            return []
        model.requires_grad_(True)
        teacher = task.model if self.training == "distillation" else None
        return fit(
            model,
            recovery_batches(task),
            lambda ids: distillation_loss(model, teacher, ids) if teacher else next_token_loss(model, ids),
            learning_rate=self.learning_rate,
        )

    def _shape(self, task: CausalLMTask) -> tuple[int, int]:
        """(looped blocks, rank of the updates). Raises OverBudget if not even one block with the least rank will do."""
        count = len(blocks(task.model))
        least = int(self.adapters)
        divisors = [unique for unique in range(count - 1, 0, -1) if count % unique == 0]
        unique = next((k for k in divisors if task.limits.met_by(self._weigh(task, k, least))), None)
        if unique is None:
            task.limits.check_result(self._weigh(task, 1, least))
            raise AssertionError("the limits are met and not met")
        return unique, self._highest_rank(task, unique) if self.adapters else 0

    def _highest_rank(self, task: CausalLMTask, unique: int) -> int:
        block = blocks(task.model)[0]
        matrices = [block.get_submodule(name).weight.shape for name in linears(block)]
        highest = max(min(shape) for shape in matrices)
        # Parameters that go with each rank, from the highest down to the second.
        costs = [sum(sum(shape) for shape in matrices if min(shape) >= rank) for rank in range(highest, 1, -1)]

        @cache
        def excess(lowered: int) -> float:
            figures = self._weigh(task, unique, highest - lowered)
            return max(figures[name] / allowed - 1 for name, allowed in task.limits.result.items())

        return highest - fewest(costs, excess)

    def _weigh(self, task: CausalLMTask, unique: int, rank: int) -> Mapping[str, float]:
        """Figures of a loop of so many blocks with updates of this rank."""
        return task.weigh(looped(task.model, blocks(task.model)[:unique], hollow_adapter(rank) if rank else None))
