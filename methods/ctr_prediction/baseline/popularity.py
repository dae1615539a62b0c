"""Control that knows nothing of who asks: the click rate of each item."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from suites.ctr_prediction.fields import places
from suites.ctr_prediction.task import ClickTask


class ByItem(nn.Module):
    """A logit for each item (items,), whatever stands in the other fields. place: of the item's id in a row."""

    logits: Tensor

    def __init__(self, logits: Tensor, place: int) -> None:
        super().__init__()
        self.place = place
        self.register_buffer("logits", logits)

    def forward(self, ids: Tensor) -> Tensor:
        return self.logits[ids[:, self.place]]


@dataclass(frozen=True)
class Popularity(Method[ClickTask]):
    """The share of clicks among an item's training rows, drawn towards the share of all rows.

    field: of the item; without one of that name, the field with the most ids. prior: rows that the share of all counts
    for.
    """

    card = Card(
        slug="popularity",
        title="Popularity",
        paper="Control: the click rate of each item",
        control=True,
        trivial=True,
        notes="It sees every training row once.",
    )

    field: str = "item_id"
    prior: float = 10.0

    def build(self, task: ClickTask) -> nn.Module:
        known = {each.name: (each, place.start) for each, place in zip(task.fields, places(task.fields), strict=True)}
        largest = max(task.fields, key=lambda each: each.size).name
        item, place = known.get(self.field) or known[largest]
        shown = torch.zeros(item.size, device=task.device)
        clicked = torch.zeros(item.size, device=task.device)
        for batch in task.once():
            shown += torch.bincount(batch.ids[:, place], minlength=item.size)
            clicked += torch.bincount(batch.ids[:, place], batch.clicks, item.size)
        share = clicked.sum() / shown.sum()
        rates = (clicked + self.prior * share) / (shown + self.prior)
        return ByItem(rates.logit().float(), place)
