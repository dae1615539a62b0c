"""Texts that a candidate generates, as lm-eval's `hf` asks for them.

Greedy generation, which is what tasks ask for, has a loop of its own: the beginning that all prompts share (the
examples of a few-shot prompt) is computed once, and a text that has met its stop leaves the batch. Everything else
(sampling, beams, penalties, a candidate that the loop would not be exact for) goes through the candidate's own
`generate`, one prompt at a time if its result depends on what else is computed with it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.models.utils_hf import stop_sequences_criteria
from torch import Tensor

from suites.lm_compression.evaluation.memory import is_out_of_memory
from suites.lm_compression.evaluation.scoring import Scorer, fork
from suites.lm_compression.evaluation.tree import SHORTEST_TRUNK, Tokens, common_length

DEFAULT_TOKENS = 256
BATCH_ROWS = {"cpu": 16, "cuda": 256}
"""More prompts side by side are no faster: on a CPU their keys and values no longer fit its caches."""

HARMLESS = {
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "max_length",
    "max_new_tokens",
    "use_cache",
}
"""Settings of a generation configuration that leave greedy generation what it is, besides ids of special tokens."""

Prompt = tuple[list[int], dict[str, Any]]


class Generator:
    """Generates under a scorer's candidate. prefix_token: stands for an empty prompt. think_end_token: what a text
    holds up to and including it (token id or string) is dropped."""

    def __init__(
        self, scorer: Scorer, tokenizer: Any, prefix_token: int, think_end_token: str | int | None = None
    ) -> None:
        self.scorer, self.tokenizer, self.prefix_token = scorer, tokenizer, prefix_token
        self.model: Any = scorer.candidate
        digits = isinstance(think_end_token, str) and think_end_token.isdigit()
        self.think_end_token = int(think_end_token) if digits else think_end_token  # type: ignore[arg-type]
        self.eos = tokenizer.decode(tokenizer.eos_token_id)

    @torch.no_grad()
    def texts(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, str]]:
        """Yield (index of the prompt, text) of each (tokens, lm-eval's generation options), in any order.

        Raises ValueError where the window leaves no room for a prompt.
        """
        kinds: dict[str, list[int]] = {}
        for index, (_, options) in enumerate(prompts):
            kinds.setdefault(repr(sorted(options.items())), []).append(index)
        for indices in kinds.values():
            options: dict[str, Any] = dict(normalize_gen_kwargs(prompts[indices[0]][1], DEFAULT_TOKENS))
            stops = handle_stop_sequences(options.pop("until", None), eos=self.eos)
            new = options.pop("max_gen_toks")
            room = self.scorer.max_length - new
            if room <= 0:
                raise ValueError(f"asked to generate {new} tokens with a window of {self.scorer.max_length}")
            rows = {index: tuple(prompts[index][0][-room:]) or (self.prefix_token,) for index in indices}
            for index, tokens in self._kind(rows, new, stops, options):
                yield index, self._text(tokens, stops)

    def _text(self, tokens: list[int], stops: list[str]) -> str:
        think = self.think_end_token
        if isinstance(think, int) and think in tokens:
            tokens = tokens[len(tokens) - tokens[::-1].index(think) :]
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        text = text.lstrip() if isinstance(think, int) else text
        return str(postprocess_generated_text(text, stops, think if isinstance(think, str) else None))

    def _kind(
        self, rows: dict[int, Tokens], new: int, stops: list[str], options: dict[str, Any]
    ) -> Iterator[tuple[int, list[int]]]:
        """(index, generated tokens) of all prompts with the same options."""
        loop = self.scorer.trunks and self._is_plain_greedy(options)
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
        asked = {name: value for name, value in options.items() if name not in ("do_sample", "temperature")}
        config = getattr(self.model, "generation_config", None)
        own = config.to_diff_dict() if config is not None else {}
        own = {name for name in own if name not in HARMLESS and not name.endswith(("token_id", "version"))}
        return not asked and not own - {"_from_model_config"} and not options.get("do_sample")

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
    """Greedy generation for one batch of prompts that begin with the trunk in the cache."""

    def __init__(
        self, generator: Generator, rows: list[Tokens], trunk: Tokens, cache: Any, new: int, stops: list[str]
    ) -> None:
        self.generator, self.scorer, self.new, self.stops = generator, generator.scorer, new, stops
        self.lookback = 2 + max(
            len(generator.tokenizer.encode(stop, add_special_tokens=False)) for stop in stops
        )  # of lm-eval's criterion: the same string may be written in more tokens
        self.found: list[list[int]] = [[] for _ in rows]
        self.alive = list(range(len(rows)))
        ids, mask = generator.padded([row[len(trunk) :] for row in rows])
        self.ids = ids
        self.mask = torch.cat([mask.new_ones(len(rows), len(trunk)), mask], dim=1)
        self.positions = (self.mask.cumsum(1) - 1).clamp(min=0)[:, len(trunk) :]
        self.cache = fork(cache) if cache is not None else self.scorer.new_cache()
        if trunk:
            self.cache.batch_repeat_interleave(len(rows))

    def run(self) -> list[list[int]]:
        """The generated tokens of each row, up to the first that meets a stop, which is the last."""
        for _ in range(self.new):
            best = self._next()
            chosen = best.tolist()  # the only wait for the device
            for row, token in zip(self.alive, chosen, strict=True):
                self.found[row].append(token)
            going = [place for place, row in enumerate(self.alive) if not self._is_done(row)]
            if not going:
                break
            self._step(best, going)
        return self.found

    def _next(self) -> Tensor:
        """Most likely next token of each row that is alive."""
        logits = self.scorer.next_logits(
            input_ids=self.ids,
            attention_mask=self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        return logits.argmax(-1)

    def _is_done(self, row: int) -> bool:
        tokens = self.found[row]
        if tokens[-1] in self.generator.stop_tokens:
            return True
        tail = self.generator.tokenizer.decode(tokens[-self.lookback :])
        return any(stop in tail for stop in self.stops)

    def _step(self, best: Tensor, going: list[int]) -> None:
        """Make the chosen tokens the next input; rows that are done leave."""
        if len(going) < len(self.alive):
            kept = torch.tensor(going, device=best.device)
            self.cache.batch_select_indices(kept)
            best, self.mask, self.positions = best[kept], self.mask[kept], self.positions[kept]
            self.alive = [self.alive[place] for place in going]
        self.ids = best[:, None]
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(going), 1)], dim=1)
        self.positions = self.positions[:, -1:] + 1
