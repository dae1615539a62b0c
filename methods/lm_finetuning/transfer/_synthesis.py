"""Examples that a language model makes up after a few given ones: prompts by sampling, answers by greedy decoding."""

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.cache_utils import DynamicCache

from suites.lm_finetuning.examples import Example

ROWS = 16
"""Texts that are written side by side."""


def form_of(seeds: Sequence[Example]) -> tuple[str, str]:
    """How the prompts of a task begin (their first word, if they share it) and end (their last line, or character)."""
    beginning = _shared([seed.prompt for seed in seeds])
    ending = _shared([seed.prompt[::-1] for seed in seeds])[::-1]
    first = beginning[: beginning.index(" ")] if " " in beginning else ""
    return first, ending[ending.rindex("\n") :] if "\n" in ending else ending[-1:]


def _shared(texts: Sequence[str]) -> str:
    """What all texts begin with."""
    shared = 0
    while all(len(text) > shared and text[shared] == texts[0][shared] for text in texts):
        shared += 1
    return texts[0][:shared]


@torch.no_grad()
def write_prompts(
    model: Any, tokenizer: Any, seeds: Sequence[Example], count: int, seed: int, *, temperature: float, top_p: float
) -> list[str]:
    """Up to `count` prompts in the manner of the seeds: the model goes on after them, in an order drawn anew for every
    ROWS prompts. A text that does not come to the prompts' ending is cut after its first line and given it. Empty ones,
    the seeds' own and repetitions are left out."""
    beginning, ending = form_of(seeds)
    longest = max(len(tokenizer(each.prompt, add_special_tokens=False)["input_ids"]) for each in seeds)
    rng = random.Random(seed)
    found: dict[str, None] = {}
    for start in range(0, count, ROWS):
        shown = "\n".join(each.prompt + each.answer for each in rng.sample(list(seeds), len(seeds)))
        ids = _ids(tokenizer, f"{shown}\n{beginning}").to(model.device)
        config = GenerationConfig(
            do_sample=True,
            temperature=temperature,
            top_p=top_p,
            top_k=0,
            max_new_tokens=longest + longest // 2,
            **_ends(model, tokenizer),
        )
        cache = DynamicCache(config=model.config)
        model(input_ids=ids[:, :-1], past_key_values=cache, use_cache=True)  # what all rows share is read once
        cache.batch_repeat_interleave(rows := min(ROWS, count - start))
        ids = ids.repeat(rows, 1)
        drawn = rng.getrandbits(31)
        for text in _written(model, tokenizer, ids, torch.ones_like(ids), config, ending, drawn, past_key_values=cache):
            body = text.split(ending)[0] if ending and ending in text else text.strip("\n").split("\n")[0]
            if body.strip():
                found[beginning + body + ending] = None
    known = {each.prompt for each in seeds}
    return [prompt for prompt in found if prompt not in known]


@torch.no_grad()
def answered(model: Any, tokenizer: Any, task: str, prompts: Sequence[str], longest: int) -> list[Example]:
    """The prompts with the model's own answers: one line each, of at most `longest` tokens. Empty ones are left out."""
    order = sorted(prompts, key=len)  # of like lengths side by side
    config = GenerationConfig(do_sample=False, max_new_tokens=longest, **_ends(model, tokenizer))
    found = []
    for start in range(0, len(order), ROWS):
        part = order[start : start + ROWS]
        rows = [_ids(tokenizer, prompt)[0] for prompt in part]
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), config.pad_token_id)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        for number, row in enumerate(rows):  # on the left, so that all go on from the last column
            ids[number, width - len(row) :], mask[number, width - len(row) :] = row, 1
        ids, mask = ids.to(model.device), mask.to(model.device)
        for prompt, text in zip(part, _written(model, tokenizer, ids, mask, config, "\n", 0), strict=True):
            if line := text.split("\n")[0]:
                found.append(Example(task, prompt, f"{line}\n"))
    return found


class _Said(StoppingCriteria):
    """A text is over once it holds the ending."""

    def __init__(self, tokenizer: Any, start: int, ending: str) -> None:
        self.tokenizer, self.start, self.ending = tokenizer, start, ending

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        texts = self.tokenizer.batch_decode(input_ids[:, self.start :])
        return torch.tensor([self.ending in text for text in texts], device=input_ids.device)


def _written(
    model: Any, tokenizer: Any, ids: Tensor, mask: Tensor, config: GenerationConfig, ending: str, seed: int, **call: Any
) -> list[str]:
    """What the model adds to each row, up to the ending or the most tokens."""
    over = StoppingCriteriaList([_Said(tokenizer, ids.shape[1], ending)] if ending else [])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        whole = model.generate(ids, attention_mask=mask, generation_config=config, stopping_criteria=over, **call)
    return list(tokenizer.batch_decode(whole[:, ids.shape[1] :], skip_special_tokens=True))


def _ids(tokenizer: Any, text: str) -> Tensor:
    return torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])


def _ends(model: Any, tokenizer: Any) -> dict[str, Any]:
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return {"eos_token_id": model.config.eos_token_id, "pad_token_id": pad}
