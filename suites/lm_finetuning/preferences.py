"""What a repair learns from: right answers to what the model says wrongly, and examples where all is well."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

from suites.lm_finetuning.batches import Batch


@dataclass(frozen=True)
class Preferences(Batch):
    """A batch of right answers. Beside each, where it was asked for: rejected, the same prompt with the wrong answer
    that the faulty model was taught; general, an example of another task."""

    rejected: Batch | None = None
    general: Batch | None = None

    def split(self, rows: int) -> Iterator[Batch]:
        beside = [repeat(None) if part is None else part.split(rows) for part in (self.rejected, self.general)]
        for own, rejected, general in zip(super().split(rows), *beside, strict=False):
            yield joined(own, rejected, general)


def joined(chosen: Batch, rejected: Batch | None, general: Batch | None) -> Preferences:
    """Right answers with what stands beside them."""
    return Preferences(
        chosen.input_ids, chosen.attention_mask, chosen.labels, chosen.tasks, chosen.tokens, rejected, general
    )
