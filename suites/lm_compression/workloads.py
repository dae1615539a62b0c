"""What is timed: reading a prompt, and decoding token by token with a KV cache.

Token ids are random, and the next token is given, not the model's choice: candidate and baseline then do the same
work, whatever they would have said. Lengths come from suite.toml.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contract import Step, Workload
from suites.lm_compression.task import CausalLMTask


def workloads(task: CausalLMTask, prompt: int, decoded: int) -> Sequence[Workload]:
    """prompt: tokens read before the first is decoded. decoded: steps with the cache, one token per sequence each."""
    return [_prefill(task, prompt), *(_decode(task, batch, prompt, decoded) for batch in (1, 8))]


def _prefill(task: CausalLMTask, prompt: int) -> Workload:
    """One sequence of `prompt` tokens, logits of the last position, no cache kept. Phase: latency."""

    def trial(candidate: Any, rng: np.random.Generator) -> Iterator[Step]:
        ids = _random_ids(task, rng, (1, prompt))
        yield Step("latency", lambda: _forward(candidate, ids, use_cache=False).logits, units=prompt)

    return Workload("prefill", trial, unit="token", min_trials=7)


def _decode(task: CausalLMTask, batch: int, prompt: int, decoded: int) -> Workload:
    """`batch` sequences: the prompt up to the logits of the first new token (phase ttft), then one token each a step
    (phase tpot). Both give one token per sequence and step.
    """

    def trial(candidate: Any, rng: np.random.Generator) -> Iterator[Step]:
        ids = _random_ids(task, rng, (batch, prompt + decoded))
        decoding = Decoding(candidate)
        yield Step("ttft", lambda: decoding.read(ids[:, :prompt]), units=batch)
        for position in range(prompt, prompt + decoded):
            token = ids[:, position : position + 1]
            yield Step("tpot", lambda token=token: decoding.read(token), units=batch)

    return Workload(f"decode-b{batch}", trial, unit="token")


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
