"""What is timed: reading a prompt, and decoding token by token with a KV cache.

Token ids are random, and the next token is given, not the model's choice: candidate and baseline then do the same
work, whatever they would have said. Lengths come from suite.toml. What a timed step answers must be what the scorer of
the evaluation finds for the same tokens: a model that is fast by saying something else is found out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contract import Step, Workload
from suites.lm_compression.task import CausalLMTask

TOLERANCE = {torch.float32: 0.02, torch.float64: 0.02}
"""Mean difference of the log-probabilities from the scorer's, over the standard deviation of the logits; half precision
0.25, as decoding with a cache rounds otherwise than a whole forward pass."""


def workloads(task: CausalLMTask, prompt: int, decoded: int, answer: tuple[int, int]) -> Sequence[Workload]:
    """prompt: tokens read before the first is decoded. decoded: steps with the cache, one token per sequence each.
    answer: (tokens read, tokens decoded) of the workload whose best batch is searched for.
    """
    return [
        _prefill(task, prompt),
        *(_decode(task, batch, prompt, decoded) for batch in (1, 8)),
        _answer(task, *answer),
    ]


def _prefill(task: CausalLMTask, prompt: int) -> Workload:
    """One sequence of `prompt` tokens, logits of the last position, no cache kept. Phase: latency."""

    def trial(candidate: Any, rng: np.random.Generator) -> Iterator[Step]:
        ids = _random_ids(task, rng, (1, prompt))

        def run(ids: Tensor) -> Tensor:
            return _forward(candidate, ids, use_cache=False).logits

        yield Step("latency", run, units=prompt, inputs=(ids,), graph=True, check=_as_scored(candidate, ids))

    return Workload("prefill", trial, unit="token", min_trials=7)


def _decode(task: CausalLMTask, batch: int, prompt: int, decoded: int) -> Workload:
    """`batch` sequences: the prompt up to the logits of the first new token (phase ttft), then one token each a step
    (phase tpot). Both give one token per sequence and step.
    """

    def trial(candidate: Any, rng: np.random.Generator) -> Iterator[Step]:
        ids = _random_ids(task, rng, (batch, prompt + decoded))
        decoding = Decoding(candidate)
        check = _as_scored(candidate, ids[:, :prompt])
        yield Step("ttft", decoding.read, units=batch, inputs=(ids[:, :prompt],), check=check)
        for position in range(prompt, prompt + decoded):
            token = ids[:, position : position + 1]
            check = _as_scored(candidate, ids[:, : position + 1])
            yield Step("tpot", decoding.read, units=batch, inputs=(token,), check=check)

    return Workload(f"decode-b{batch}", trial, unit="token")


def _answer(task: CausalLMTask, prompt: int, decoded: int, batch: int = 1) -> Workload:
    """`batch` short questions and their answers, from the first token read to the last decoded. Phase: latency."""

    def trial(candidate: Any, rng: np.random.Generator) -> Iterator[Step]:
        ids = _random_ids(task, rng, (batch, prompt + decoded))

        def run(ids: Tensor) -> Tensor:
            decoding = Decoding(candidate)
            logits = decoding.read(ids[:, :prompt])
            for position in range(prompt, prompt + decoded):
                logits = decoding.read(ids[:, position : position + 1])
            return logits

        yield Step("latency", run, units=batch * decoded, inputs=(ids,), check=_as_scored(candidate, ids))

    return Workload(
        "answer", trial, unit="token", min_trials=7, at_batch=lambda batch: _answer(task, prompt, decoded, batch)
    )


def _as_scored(candidate: Any, ids: Tensor) -> Callable[[Tensor], str | None]:
    """A check of logits (batch, 1, vocabulary) that follow ids (batch, tokens): the first sequence's are compared with
    what the evaluation's scorer says of a few next tokens, likely and unlikely ones."""

    def check(logits: Tensor) -> str | None:
        from suites._language.evaluation.scoring import Scorer

        timed = logits[0, -1].float().log_softmax(-1)
        tokens = torch.cat([timed.topk(4).indices, torch.arange(0, len(timed), len(timed) // 4, device=timed.device)])
        context = ids[0].tolist()
        scorer = Scorer(candidate, max_length=len(context) + 1)
        scored = torch.tensor([score for score, _ in scorer.score([(context, [token]) for token in tokens.tolist()])])
        difference = float((timed[tokens].cpu() - scored).abs().mean() / logits[0, -1].float().std())
        allowed = TOLERANCE.get(logits.dtype, 0.25)
        if difference <= allowed:
            return None
        return (
            f"its log-probabilities differ from the scorer's by {difference:.2g} standard deviations of the logits, "
            f"more than {allowed:g}"
        )

    return check


class Decoding:
    """A model and the cache of what it has read. The cache is the one that the model itself makes: it knows how many
    of its layers have attention, and it may hold keys and values in a form of its own.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.cache: Any = None

    def read(self, ids: Tensor) -> Tensor:
        """Append ids (batch, tokens); the logits (batch, 1, vocabulary) that follow the last of them."""
        output = _forward(self.model, ids, use_cache=True, past_key_values=self.cache)
        self.cache = output.past_key_values
        return output.logits


@torch.inference_mode()
def _forward(model: Any, ids: Tensor, **options: Any) -> Any:
    return model(input_ids=ids, logits_to_keep=1, **options)


def _random_ids(task: CausalLMTask, rng: np.random.Generator, shape: tuple[int, int]) -> Tensor:
    return torch.from_numpy(rng.integers(len(task.tokenizer), size=shape)).to(task.device)
