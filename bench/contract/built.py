"""A candidate with what it was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.contract.score import Score


@dataclass(frozen=True)
class Built:
    """What a method's `build` may give in place of the bare candidate, where it trained.

    candidate: what is shipped; its bytes, scores and speed count. rig: what the training went on: with the optimizer
    and all, so that one more true step of it can be timed and weighed; never shipped. scores, figures: what only the
    training knows (its losses, the learning rate that it chose, the FLOPs that it took), by names of the suite; what
    the judge finds out itself cannot be told here.
    """

    candidate: Any
    rig: Any = None
    scores: Sequence[Score] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
