"""What is timed of a click model: a request's rows at once, and as many as go through it fastest.

Rows are new: in each, every field is another row's of the exam, so that ids come as often as they do in the log, and no
such row has been seen before.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Step, Workload
from suites.ctr_prediction.exam import TOLERANCE, difference
from suites.ctr_prediction.fields import Field, Rows, places

REQUEST = 128
"""Rows of a request: things among which the best are looked for."""

_CHECKED = 64


def predict(asked: Rows, fields: Sequence[Field], batch: int = REQUEST) -> Workload:
    """`batch` rows at once. Phase: latency."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        ids = mixed(asked, fields, batch, rng)
        yield Step("latency", "predict", (ids,), units=batch, graph=True, check=_as_scored(ids))

    return Workload(
        "predict", trial, unit="row", min_trials=7, at_batch=lambda batch: predict(asked, fields, batch)
    )  # fmt: skip


def mixed(asked: Rows, fields: Sequence[Field], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(count, slots): each field of a row is drawn by itself."""
    parts = [asked.ids[rng.integers(len(asked), size=count), place] for place in places(fields)]
    return np.concatenate(parts, 1).astype(np.int64)


def _as_scored(ids: NDArray[np.int64]) -> Callable[[Any, Any], str | None]:
    """A check of logits: those of the first rows are compared with what the model says of them by themselves."""

    def check(logits: Any, served: Any) -> str | None:
        given, plain = np.asarray(logits), np.asarray(served.logits(ids[:_CHECKED]))
        apart = difference(given[:_CHECKED], plain, max(float(plain.std()), 1e-2))
        return None if apart <= TOLERANCE else f"its logits differ from those of the scored model by {apart:.2g}"

    return check
