"""The parts of a click model that hold its bytes, and copies in which they are others."""

import copy
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from suites.ctr_prediction.models import Tables
from suites.ctr_prediction.task import ClickTask

SMALL = 64
"""Tables of fewer rows hold next to nothing: methods leave them as they are."""


def tables(model: nn.Module) -> dict[str, nn.Embedding]:
    """Tables of vectors by name, the large ones; first-order weights, which are tables of one column, are not among
    them."""
    return {name: each for name, each in every_table(model).items() if each.embedding_dim > 1}


def every_table(model: nn.Module) -> dict[str, nn.Embedding]:
    """The large tables by name, first-order weights too."""
    return {
        name: each
        for name, each in model.named_modules()
        if isinstance(each, nn.Embedding) and len(each.weight) >= SMALL
    }


def layers(model: nn.Module) -> dict[str, nn.Linear]:
    """Linear layers of the perceptron by name, in their order; the head is not among them."""
    return {
        name: each for name, each in model.named_modules() if isinstance(each, nn.Linear) and name.startswith("mlp.")
    }


def lookups(model: nn.Module, ids: Tensor) -> dict[str, Tensor]:
    """How often rows (n, slots) look up each entry of the tables of vectors: (entries,) by the table's name. What is
    not there (0 in a bag) is not looked up."""
    found = {}
    for place, part in model.named_modules():
        if not isinstance(part, Tables):
            continue
        for field, columns in zip(part.fields, part.places, strict=True):
            counts = ids[:, columns].flatten().bincount(minlength=field.size).double()
            if field.slots > 1:
                counts[0] = 0
            found[f"{place}.by_field.{field.name}"] = counts
    return found


def copied(model: nn.Module, replaced: Mapping[str, nn.Module] | None = None) -> nn.Module:
    """A copy in eval mode all of whose weights train, with these modules at these names; what they replace is not
    copied."""
    others = replaced or {}
    found = copy.deepcopy(model, {id(model.get_submodule(name)): nn.Identity() for name in others})
    for name, module in others.items():
        found.set_submodule(name, module)
    return found.eval().requires_grad_(True)


HALVINGS = 10


def largest_share(task: ClickTask, make: Callable[[float], nn.Module]) -> float:
    """The largest share from 0 to 1 whose candidate meets the limits, to one in 2 ** HALVINGS; 0 is taken to meet them,
    and costs must not fall with the share. Candidates are weighed alone: they may hold any numbers."""
    if task.limits.met_by(task.weigh(make(1.0))):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if task.limits.met_by(task.weigh(make(middle))):
            low = middle
        else:
            high = middle
    return low
