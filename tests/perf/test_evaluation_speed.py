"""How much faster our lm-eval model is than lm-eval's `hf`, on the forms of task that matter, both in turns.

Run on demand: `pytest -m slow -s tests/perf/test_evaluation_speed.py` (packaged weights, minutes), or as a
script with options: `python tests/perf/test_evaluation_speed.py --scale embedded --rounds 3 --items 8`.

`hf` runs with its logits cache on and at the best of several batch sizes. The ceiling is what counting tokens allows:
the tokens that `hf` puts through the model over the different ones among them. Times decide no test.
"""

import argparse
import contextlib
import io
import logging
import random
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from suites.lm_compression.base import SMOLLM2, load_base, missing
from suites.lm_compression.evaluation.evaluator import EffbenchLM
from suites.lm_compression.text import documents

BATCHES = (1, 4, 8, 16)
Arguments = list[tuple[str, ...]]


def _words(rng: random.Random, texts: list[str], count: int) -> str:
    text = rng.choice([text for text in texts if len(text.split()) > count + 1]).split()
    start = rng.randrange(len(text) - count)
    return " ".join(text[start : start + count])


def forms(texts: list[str], items: int) -> Iterator[tuple[str, str, Arguments]]:
    """(name, type of request, arguments of each request)."""
    rng = random.Random(0)

    def words(count: int) -> str:
        return _words(rng, texts, count)

    for length in (75, 350):
        contexts = [words(length) for _ in range(items)]
        yield f"4 choices, {length} words", "loglikelihood", [(c, " " + words(14)) for c in contexts for _ in range(4)]
    shots = "\n\n".join(f"Question: {words(14)}?\nAnswer: {words(4)}" for _ in range(25))
    questions = [f"{shots}\n\nQuestion: {words(14)}?\nAnswer:" for _ in range(items)]
    yield "25 shots, 4 choices", "loglikelihood", [(q, " " + words(4)) for q in questions for _ in range(4)]
    choices = "A. {}\nB. {}\nC. {}\nD. {}\nAnswer:"
    cards = [f"{words(20)}\n" + choices.format(*(words(5) for _ in range(4))) for _ in range(items + 5)]
    shots = "\n\n".join(f"{card} {rng.choice('ABCD')}" for card in cards[:5])
    yield (
        "5 shots, letters (MMLU)",
        "loglikelihood",
        [(f"{shots}\n\n{card}", " " + letter) for card in cards[5:] for letter in "ABCD"],
    )
    yield "perplexity", "loglikelihood_rolling", [(words(140),) for _ in range(items)]


def run(lm: Any, kind: str, arguments: Arguments) -> tuple[float, list[Any]]:
    """(seconds, results) of one pass."""
    made = [Instance(kind, {}, args, index) for index, args in enumerate(arguments)]
    with contextlib.redirect_stderr(io.StringIO()):
        start = time.perf_counter()
        found = getattr(lm, kind)(made)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - start, found


def token_counts(lm: EffbenchLM, kind: str, arguments: Arguments) -> tuple[int, int]:
    """(tokens that `hf` needs without padding, different tokens: the size of the token tree)."""
    if kind == "loglikelihood":
        pairs = [lm._encode_pair(*args) for args in arguments]
        inputs = [[*context, *continuation][:-1] for context, continuation in pairs]
    else:
        inputs = [[lm.prefix_token_id, *lm.tok_encode(*args)][:-1] for args in arguments]
    alone = {tuple(ids) for ids in inputs}  # its cache computes equal inputs once
    nodes = {ids[:depth] for ids in alone for depth in range(1, len(ids) + 1)}
    return sum(map(len, alone)), len(nodes)


def table(scale: str, device: str, dtype: str, rounds: int, items: int, wanted: str = "") -> Iterator[str]:
    """One line per form: ratio of medians over the rounds, ceiling, and tokens computed."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    model, tokenizer = load_base(scale, SMOLLM2 if scale == "embedded" else "random-llama", device)
    model = model.to(getattr(torch, dtype))
    ours = EffbenchLM(model, tokenizer)
    texts = [document.text for document in documents(scale, "evaluation")]
    if scale == "tiny":
        texts = [" ".join(texts)]
    for name, kind, arguments in forms(texts, items):
        if wanted not in name:
            continue
        theirs = [HFLM(pretrained=model, tokenizer=tokenizer, batch_size=size) for size in BATCHES]
        run(ours, kind, arguments[:2])
        times = [run(lm, kind, arguments)[0] for lm in theirs]
        best = theirs[min(range(len(times)), key=times.__getitem__)]
        ours.scorer.forwarded = 0
        pairs = []
        for turn in range(rounds):
            turns = (ours, best) if turn % 2 else (best, ours)
            seconds = {lm: run(lm, kind, arguments)[0] for lm in turns}
            pairs.append((seconds[ours], seconds[best]))
        ratios = [hf / mine for mine, hf in pairs]
        needed, different = token_counts(ours, kind, arguments)
        yield (
            f"{name:26} {statistics.median(ratios):5.2f}x (from {min(ratios):.2f} to {max(ratios):.2f}), "
            f"ceiling by tokens {needed / different:.2f}x; ours {min(mine for mine, _ in pairs):.2f} s and "
            f"{ours.scorer.forwarded // rounds} tokens, "
            f"hf {min(hf for _, hf in pairs):.2f} s at batch {best.batch_size}"
        )


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.skipif(missing("embedded", SMOLLM2) is not None, reason="the packaged weights are not installed")
def test_speed() -> None:
    for line in table("embedded", "cuda" if torch.cuda.is_available() else "cpu", "bfloat16", rounds=3, items=6):
        print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="embedded", choices=["tiny", "embedded"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, default=8)
    parser.add_argument("--only", default="", help="forms whose name contains this")
    options = parser.parse_args()
    for line in table(options.scale, options.device, options.dtype, options.rounds, options.items, options.only):
        print(line, flush=True)
