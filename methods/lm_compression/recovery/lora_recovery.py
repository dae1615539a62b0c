"""Control: a short LoRA training, after nothing and after compressions that use no training."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from bench.contract import Card, Method
from methods.lm_compression._lora import LEARNING_RATE, lora_recovery
from methods.lm_compression.baseline.dense import Dense
from methods.lm_compression.layer_dropping.attention_drop import AttentionDrop
from methods.lm_compression.layer_dropping.finercut import FinerCut
from methods.lm_compression.layer_dropping.layer_truncation import LayerTruncation
from methods.lm_compression.layer_dropping.random_block_drop import RandomBlockDrop
from methods.lm_compression.layer_dropping.unified_layer_skipping import UnifiedLayerSkipping
from methods.lm_compression.low_rank.svd import SVD
from methods.lm_compression.structured_pruning.flap import FLAP
from methods.lm_compression.structured_pruning.magnitude_structured import MagnitudeStructured
from methods.lm_compression.structured_pruning.optin import OPTIN
from suites.lm_compression.task import CausalLMTask

COMPRESSIONS: Mapping[str, Method[CausalLMTask]] = {
    "dense": Dense(),
    "attention-drop-block": AttentionDrop(kind="block"),
    "finercut": FinerCut(),
    "flap": FLAP(),
    "layer-truncation": LayerTruncation(),
    "magnitude-structured": MagnitudeStructured(),
    "optin": OPTIN(),
    "random-block-drop": RandomBlockDrop(),
    "svd": SVD(),
    "unified-layer-skipping": UnifiedLayerSkipping(spacing="even"),
}


@dataclass(frozen=True)
class LoRARecovery(Method[CausalLMTask]):
    """Compresses by another method, then trains a LoRA on all linear layers of the blocks and merges it.

    The training is the one that all methods with a recovery share: the same tokens, in the order of the seed, the same
    loop. Beside the method by itself this shows what the criterion gives and what the healing gives; after "dense",
    which compresses nothing, it shows what the model learns of the text's kind alone.

    after: the method that compresses, with its defaults. rank, learning_rate: of the LoRA; alpha is twice the rank.
    """

    card = Card(
        slug="lora-recovery",
        title="LoRA recovery",
        paper="Control: LoRA (Hu et al., 2021) on the recovery budget, after other methods' compression",
        control=True,
        stochastic=True,
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "dense": {"after": "dense"},
        "attention-drop-block": {"after": "attention-drop-block"},
        "finercut": {"after": "finercut"},
        "flap": {"after": "flap"},
        "layer-truncation": {"after": "layer-truncation"},
        "magnitude-structured": {"after": "magnitude-structured"},
        "optin": {"after": "optin"},
        "random-block-drop": {"after": "random-block-drop"},
        "svd": {"after": "svd"},
        "unified-layer-skipping": {"after": "unified-layer-skipping"},
    }

    after: str = "dense"
    rank: int = 8
    learning_rate: float = LEARNING_RATE

    def supports(self, task: CausalLMTask) -> str | None:
        return COMPRESSIONS[self.after].supports(task)

    def build(self, task: CausalLMTask) -> nn.Module:
        candidate = COMPRESSIONS[self.after].build(task)
        if candidate is task.model:
            candidate = copy.deepcopy(candidate)
        recovered: nn.Module = lora_recovery(candidate, task, rank=self.rank, learning_rate=self.learning_rate)
        return recovered
