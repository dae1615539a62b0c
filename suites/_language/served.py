"""A causal language model that answers: what the judge may ask of it, with token ids in and numbers out."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from bench.contract import Served
from suites._language.evaluation.generation import Generator, Prompt
from suites._language.evaluation.scoring import Scorer
from suites._language.figures import kv_bytes_per_token, parameters


class ServedLM(Served[Any]):
    """Serves anything with the calling convention of a transformers causal LM: `model`.

    tokenizer: the base's; only to know what a stop sequence is while a text is written.
    """

    def __init__(self, candidate: Any, model: Any, tokenizer: Any, device: str) -> None:
        super().__init__(candidate, device)
        self.model, self.tokenizer = model.eval(), tokenizer
        self._cache: Any = None

    def figures(self) -> Mapping[str, float]:
        """`parameters`, `kv_bytes_per_token`."""
        return {"parameters": float(parameters(self.model)), "kv_bytes_per_token": kv_bytes_per_token(self)}

    def resident(self) -> Any:
        return self.model

    # --- quality ---

    @cached_property
    def scorer(self) -> Scorer:
        return Scorer(self.model, max_length=self.window())

    def window(self) -> int:
        """Tokens that it can read at once."""
        from lm_eval.models.utils import resolve_max_length

        return int(resolve_max_length(getattr(self.model, "config", None), self.tokenizer))

    def score(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], greedy: bool = True
    ) -> list[tuple[Any, bool]]:
        """For each (context, continuation) of token ids the log-probability of every token of the continuation, nats,
        and whether the continuation is the greedy one; see Scorer.score."""
        return list(self.scorer.score(pairs, greedy=greedy))

    def write(self, prompts: Sequence[Prompt], prefix: int) -> list[list[int]]:
        """The tokens that it writes after each (token ids, lm-eval's generation options), with the stop at their end.
        prefix: what stands for an empty prompt."""
        found: list[list[int]] = [[] for _ in prompts]
        for index, tokens in Generator(self.scorer, self.tokenizer, prefix).tokens(prompts):
            found[index] = tokens
        return found

    def follows(self, ids: Sequence[int]) -> Tensor:
        """Logits (vocabulary,) of what follows these tokens, float32, by the model's own forward pass over them."""
        with torch.inference_mode():
            whole = self.model(input_ids=torch.tensor([list(ids)], device=self.device), use_cache=False).logits
        return whole[0, -1].float()

    # --- speed ---

    def prefill(self, ids: Tensor) -> Tensor:
        """Logits (batch, 1, vocabulary) after ids (batch, tokens); no cache is kept."""
        return self._forward(ids, use_cache=False).logits

    def begin(self, ids: Tensor) -> Tensor:
        """Read ids (batch, tokens) into a new cache, the one that the model itself makes: it knows how many of its
        layers have attention, and it may hold keys and values in a form of its own. Logits as of `prefill`."""
        self._cache = None
        return self.go_on(ids)

    def go_on(self, ids: Tensor) -> Tensor:
        """Append ids (batch, tokens) to what has been read."""
        output = self._forward(ids, use_cache=True, past_key_values=self._cache)
        self._cache = output.past_key_values
        return output.logits

    def answer(self, ids: Tensor, prompt: int) -> Tensor:
        """Read the first `prompt` tokens of ids (batch, tokens) at once, and the others one after the other, as if they
        had been chosen. Logits after the last."""
        logits = self.begin(ids[:, :prompt])
        for position in range(prompt, ids.shape[1]):
            logits = self.go_on(ids[:, position : position + 1])
        return logits

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (batch, tokens, vocabulary) of every position of ids (batch, tokens)."""
        with torch.inference_mode():
            return self.model(input_ids=ids, use_cache=False).logits

    @torch.inference_mode()
    def _forward(self, ids: Tensor, **options: Any) -> Any:
        return self.model(input_ids=ids, logits_to_keep=1, **options)

    @property
    def cache(self) -> Any:
        """Of what has been read by `begin` and `go_on`."""
        return self._cache
