"""What is timed of a language model: reading a prompt, and decoding token by token with a KV cache.

Token ids are random, and the next token is given, not the model's choice: candidate and baseline then do the same
work, whatever they would have said. Lengths come from suite.toml. What a timed step answers must be what the model says
of the same tokens when it is asked plainly: one that is fast by saying something else is found out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Step, Workload

Ids = NDArray[np.int64]

TOLERANCE = {"float32": 0.005}
"""Root mean square difference of the centred logits from those of the model's own forward pass over the whole text,
over their standard deviation; half precision 0.1. Measured with SmolLM2-135M in bfloat16: decoding with a cache differs
by 0.03, a model without one of its 30 blocks by 0.17 to 0.6."""


@dataclass(frozen=True)
class Speaking:
    """vocabulary: ids are drawn below it. dtype: of the base's weights, "float32" or a half precision."""

    vocabulary: int
    dtype: str

    def workloads(self, prompt: int, decoded: int, answer: tuple[int, int]) -> Sequence[Workload]:
        """prompt: tokens read before the first is decoded. decoded: steps with the cache, one token per sequence each.
        answer: (tokens read, tokens decoded) of the workload whose best batch is searched for.
        """
        return [
            self._prefill(prompt),
            *(self._decode(batch, prompt, decoded) for batch in (1, 8)),
            self._answer(*answer),
        ]

    def _prefill(self, prompt: int) -> Workload:
        """One sequence of `prompt` tokens, logits of the last position, no cache kept. Phase: latency."""

        def trial(rng: np.random.Generator) -> Iterator[Step]:
            ids = self._random_ids(rng, (1, prompt))
            yield Step("latency", "prefill", (ids,), units=prompt, graph=True, check=self._as_scored(ids))

        return Workload("prefill", trial, unit="token", min_trials=7)

    def _decode(self, batch: int, prompt: int, decoded: int) -> Workload:
        """`batch` sequences: the prompt up to the logits of the first new token (phase ttft), then one token each a
        step (phase tpot). Both give one token per sequence and step.
        """

        def trial(rng: np.random.Generator) -> Iterator[Step]:
            ids = self._random_ids(rng, (batch, prompt + decoded))
            read = ids[:, :prompt]
            yield Step("ttft", "begin", (read,), units=batch, check=self._as_scored(read))
            for position in range(prompt, prompt + decoded):
                known = ids[:, : position + 1]
                yield Step("tpot", "go_on", (known[:, -1:].copy(),), units=batch, check=self._as_scored(known))

        return Workload(f"decode-b{batch}", trial, unit="token")

    def _answer(self, prompt: int, decoded: int, batch: int = 1) -> Workload:
        """`batch` short questions and their answers, from the first token read to the last decoded. Phase: latency."""

        def trial(rng: np.random.Generator) -> Iterator[Step]:
            ids = self._random_ids(rng, (batch, prompt + decoded))
            yield Step("latency", "answer", (ids, prompt), units=batch * decoded, check=self._as_scored(ids))

        return Workload(
            "answer", trial, unit="token", min_trials=7, at_batch=lambda batch: self._answer(prompt, decoded, batch)
        )

    def _as_scored(self, ids: Ids) -> Callable[[Any, Any], str | None]:
        """A check of logits (batch, 1, vocabulary) that follow ids (batch, tokens): the first sequence's are compared
        with what the model says of the same text without a cache, by itself, as the exam's answers are held against it
        too."""

        def check(logits: Any, served: Any) -> str | None:
            timed, alone = (_centred(each) for each in (np.asarray(logits)[0, -1], served.follows(ids[0].tolist())))
            difference = float(np.sqrt(np.square(timed - alone).mean()) / alone.std())
            allowed = TOLERANCE.get(self.dtype, 0.1)
            if difference <= allowed:
                return None
            return (
                f"its logits differ from those of its own forward pass by {difference:.2g} of their spread, "
                f"more than {allowed:g}"
            )

        return check

    def _random_ids(self, rng: np.random.Generator, shape: tuple[int, int]) -> Ids:
        return rng.integers(self.vocabulary, size=shape)


def _centred(logits: Any) -> NDArray[np.float64]:
    """What is the same for all tokens changes no probability."""
    wide = np.asarray(logits, dtype=np.float64)
    return wide - wide.mean()
