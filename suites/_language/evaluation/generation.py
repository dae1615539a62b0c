"""What a candidate generates, as lm-eval's `hf` asks for them.

Greedy generation, which is what tasks ask for, has a loop of its own: the beginning that all prompts share (the
examples of a few-shot prompt) is computed once, and a text that has met its stop leaves the batch. Everything else
(sampling, beams, penalties, a candidate that the loop would not be exact for) goes through the candidate's own
`generate`, one prompt at a time if its result depends on what else is computed with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.models.utils_hf import stop_sequences_criteria
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from suites._language.evaluation.memory import is_out_of_memory
from suites._language.evaluation.scoring import Scorer, fork
from suites._language.evaluation.tree import SHORTEST_TRUNK, Tokens, common_length

DEFAULT_TOKENS = 256
BATCH_ROWS = {"cpu": 16, "cuda": 256}
"""More prompts side by side are no faster: on a CPU their keys and values no longer fit its caches."""

SAMPLING = {"do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_h"}
LIMITS = {"max_length", "max_new_tokens", "use_cache", "_from_model_config"}
NEUTRAL_AT_ONE = {"repetition_penalty", "encoder_repetition_penalty", "length_penalty", "num_beams"}
"""Settings of a generation configuration that leave greedy generation what it is, besides the ids of special tokens."""

Prompt = tuple[Sequence[int], dict[str, Any]]


def stops_and_options(tokenizer: Any, options: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Where a text stops, and the other options, as lm-eval's `hf` reads what a task asks for."""
    found: dict[str, Any] = dict(normalize_gen_kwargs(dict(options), DEFAULT_TOKENS))
    eos = tokenizer.decode(tokenizer.eos_token_id)
    return handle_stop_sequences(found.pop("until", None), eos=eos), found


@dataclass(frozen=True)
class TextOf:
    """Makes a text of what was generated. think_end: what a text holds up to and including it (token id or string) is
    dropped."""

    tokenizer: Any
    think_end: str | int | None = None

    @classmethod
    def of(cls, tokenizer: Any, think_end: str | int | None) -> "TextOf":
        digits = isinstance(think_end, str) and think_end.isdigit()
        return cls(tokenizer, int(think_end) if digits else think_end)  # type: ignore[arg-type]

    def text(self, tokens: list[int], stops: list[str]) -> str:
        think = self.think_end
        if isinstance(think, int) and think in tokens:
            tokens = tokens[len(tokens) - tokens[::-1].index(think) :]
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        text = text.lstrip() if isinstance(think, int) else text
        return str(postprocess_generated_text(text, stops, think if isinstance(think, str) else None))


class Generator:
    """Generates under a scorer's candidate. prefix_token: stands for an empty prompt. tokenizer: tells what a stop
    sequence is."""

    def __init__(self, scorer: Scorer, tokenizer: Any, prefix_token: int) -> None:
        self.scorer, self.tokenizer, self.prefix_token = scorer, tokenizer, prefix_token
        self.model: Any = scorer.candidate

    @torch.no_grad()
    def tokens(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, list[int]]]:
        """Yield (index of the prompt, generated tokens) of each (tokens, lm-eval's generation options), in any order.

        Raises ValueError where the window leaves no room for a prompt.
        """
        kinds: dict[str, list[int]] = {}
        for index, (_, options) in enumerate(prompts):
            kinds.setdefault(repr(sorted(options.items())), []).append(index)
        for indices in kinds.values():
            stops, options = stops_and_options(self.tokenizer, prompts[indices[0]][1])
            new = options.pop("max_gen_toks")
            room = self.scorer.max_length - new
            if room <= 0:
                raise ValueError(f"asked to generate {new} tokens with a window of {self.scorer.max_length}")
            rows = {index: tuple(prompts[index][0][-room:]) or (self.prefix_token,) for index in indices}
            yield from self._kind(rows, new, stops, options)

    def _kind(
        self, rows: dict[int, Tokens], new: int, stops: list[str], options: dict[str, Any]
    ) -> Iterator[tuple[int, list[int]]]:
        """(index, generated tokens) of all prompts with the same options."""
        loop = self.scorer.trunks and self._is_plain_greedy(options) and _is_plain(self.scorer.new_cache())
        trunk = self._trunk(list(rows.values())) if loop else ()
        cache = self.scorer.prefix_cache(trunk) if trunk else None
        order = sorted(rows, key=lambda index: -len(rows[index]))
        most = 1 if self.scorer.path == "plain" else self._most(len(rows[order[0]]) + new)
        while order:
            batch = [rows[index] for index in order[:most]]
            try:
                if loop:
                    found = _Loop(self, batch, trunk, cache, new, stops).run()
                else:
                    found = self._generate(batch, new, stops, options)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(batch) == 1:
                    raise
                most = len(batch) // 2
                continue
            yield from zip(order, found, strict=False)
            order = order[len(batch) :]

    def _most(self, width: int) -> int:
        """Rows side by side."""
        most = BATCH_ROWS.get(self.scorer.device.type, BATCH_ROWS["cuda"])
        by_memory = 8 * self.scorer.batch_tokens // width  # a token in the cache is smaller than one being computed
        return max(1, min(most, by_memory, self.scorer.batch_rows or most))

    def _trunk(self, rows: list[Tokens]) -> Tokens:
        """The beginning that all share, if it is worth it; each has at least one token beyond it."""
        first, last = min(rows), max(rows)  # what these two share, all share
        shared = min(common_length(first, last), min(map(len, rows)) - 1)
        return first[:shared] if len(rows) > 1 and shared >= SHORTEST_TRUNK else ()

    def _is_plain_greedy(self, options: dict[str, Any]) -> bool:
        """Whether the next token is always the most likely one: nothing in the options or in the candidate's own
        generation configuration interferes."""
        config = getattr(self.model, "generation_config", None)
        own = {} if config is None else config.to_diff_dict()
        own = {name: value for name, value in own.items() if name not in SAMPLING | LIMITS}
        interfering = [
            name
            for name, value in (own | options).items()
            if value
            and not (name in NEUTRAL_AT_ONE and value == 1)
            and not name.endswith(("token_id", "transformers_version"))
        ]
        return not interfering

    @property
    def stop_tokens(self) -> set[int]:
        """Tokens that end a text, as the candidate's `generate` knows them."""
        ids = getattr(getattr(self.model, "generation_config", None), "eos_token_id", None)
        return set() if ids is None else {ids} if isinstance(ids, int) else set(ids)

    @property
    def pad_token(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad is None else pad)

    def padded(self, rows: list[Tokens]) -> tuple[Tensor, Tensor]:
        """(ids, mask), both (rows, longest row), padded on the left."""
        width = max(map(len, rows))
        ids = torch.tensor([[self.pad_token] * (width - len(row)) + list(row) for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self.scorer.device), mask.to(self.scorer.device)

    def _generate(self, rows: list[Tokens], new: int, stops: list[str], options: dict[str, Any]) -> list[list[int]]:
        """By the candidate's own `generate`."""
        if not options.get("do_sample") and not options.get("temperature"):
            options = {**options, "do_sample": False}
            options.pop("temperature", None)
        ids, mask = self.padded(rows)
        found = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=new,
            stopping_criteria=stop_sequences_criteria(self.tokenizer, stops, ids.shape[1], len(rows)),
            pad_token_id=self.pad_token,
            use_cache=True,
            **options,
        )
        return found[:, ids.shape[1] :].tolist()


class _Loop:
    """Greedy generation for one batch of prompts, the longest first, that begin with the trunk in the cache.

    The prompts are read in parts of similar length, so that there is little padding; then they go on as one batch.
    """

    def __init__(
        self, generator: Generator, rows: list[Tokens], trunk: Tokens, cache: Any, new: int, stops: list[str]
    ) -> None:
        self.generator, self.scorer, self.new, self.stops = generator, generator.scorer, new, stops
        self.lookback = 2 + max(
            len(generator.tokenizer.encode(stop, add_special_tokens=False)) for stop in stops
        )  # of lm-eval's criterion: the same string may be written in more tokens
        self.found: list[list[int]] = [[] for _ in rows]
        self.alive = list(range(len(rows)))
        width = len(rows[0])
        best, masks = [], []
        self.cache = self.scorer.new_cache()
        for part in self.scorer.of_similar_length([row[len(trunk) :] for row in rows]):
            read = self.scorer.new_cache() if cache is None else fork(cache)
            chosen, mask = self._read(part, len(trunk), read)
            _put(read, self.cache, sum(map(len, best)), len(rows), width)
            best.append(chosen)
            masks.append(functional.pad(mask, (width - mask.shape[1], 0)))
        self.best, self.mask = torch.cat(best), torch.cat(masks)

    def _read(self, rows: list[Tokens], trunk: int, cache: DynamicCache) -> tuple[Tensor, Tensor]:
        """(most likely next tokens, mask) of prompts after the trunk, which are added to the cache."""
        ids, mask = self.generator.padded(rows)
        if trunk:
            cache.batch_repeat_interleave(len(rows))
            mask = torch.cat([mask.new_ones(len(rows), trunk), mask], dim=1)
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, trunk:]
        return self._call(ids, mask, positions, cache), mask

    def _call(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache) -> Tensor:
        """Most likely next token of each row."""
        logits = self.scorer.next_logits(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        return logits.argmax(-1)

    def run(self) -> list[list[int]]:
        """The generated tokens of each row, up to the first that meets a stop, which is the last."""
        for length in range(1, self.new + 1):
            for row, token in zip(self.alive, self.best.tolist(), strict=True):  # the only wait for the device
                self.found[row].append(token)
            going = [place for place, row in enumerate(self.alive) if not self._is_done(row)]
            if not going or length == self.new:
                break
            self._go_on(going)
        return self.found

    def _is_done(self, row: int) -> bool:
        tokens = self.found[row]
        if tokens[-1] in self.generator.stop_tokens:
            return True
        tail = self.generator.tokenizer.decode(tokens[-self.lookback :])
        return any(stop in tail for stop in self.stops)

    def _go_on(self, going: list[int]) -> None:
        """Choose one more token for the rows that go on; the others leave the batch."""
        if len(going) < len(self.alive):
            kept = torch.tensor(going, device=self.best.device)
            self.cache.batch_select_indices(kept)
            self.best, self.mask = self.best[kept], self.mask[kept]
            self.alive = [self.alive[place] for place in going]
        self.mask = functional.pad(self.mask, (0, 1), value=1)
        positions = self.mask.sum(1, keepdim=True) - 1
        self.best = self._call(self.best[:, None], self.mask, positions, self.cache)


def _is_plain(cache: DynamicCache) -> bool:
    """Whether every layer holds nothing but keys and values (rows, heads, tokens, size)."""
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def _put(part: DynamicCache, whole: DynamicCache, first: int, rows: int, width: int) -> None:
    """Copy a part's keys and values into a cache of so many rows and tokens, from row `first` on, to the right."""
    for source, target in zip(part.layers, whole.layers, strict=True):
        if not source.is_initialized:
            continue  # a block without attention
        if not target.is_initialized:
            target.lazy_initialization(source.keys, source.values)
            target.keys, target.values = (
                tensor.new_zeros(rows, tensor.shape[1], width, tensor.shape[3])
                for tensor in (source.keys, source.values)
            )
        place = slice(first, first + len(source.keys)), slice(None), slice(width - source.keys.shape[2], None)
        target.keys[place], target.values[place] = source.keys, source.values
