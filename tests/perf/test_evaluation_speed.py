"""How much faster our lm-eval model is than lm-eval's `hf`, on the forms of task that matter, both in turns.

Run on demand: `pytest -m slow -s tests/perf/test_evaluation_speed.py` (packaged weights, minutes), or as a script
with options: `python tests/perf/test_evaluation_speed.py --rounds 5 --threads 1 --peak`.

`hf` runs with its logits cache on, at the best of several batch sizes. ratio: geometric mean over the rounds, in each
of which both run once, with its 95 % interval; of wall times, or with `--threads 1` on a CPU of processor times, which
other work on the machine disturbs less. ceiling: what counting tokens allows, the tokens that `hf` puts through the
model (without padding) over the different ones among them. peak: how far the high-water mark of the process (on a GPU:
what torch allocated at most) rises above the loaded model, each evaluator alone in a fresh process. Decides no test.
"""

import argparse
import contextlib
import io
import json
import logging
import math
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from scipy import stats

from suites._language.base import SMOLLM2, TOY, load_base, missing
from suites._language.evaluation.evaluator import EffbenchLM
from suites._language.evaluation.files import task_folder
from suites._language.text import documents

BATCHES = (1, 2, 4, 8, 16)
TUNED_ON = 64
"""Requests that a batch size is tried on."""

Arguments = list[tuple[Any, ...]]


class Form(NamedTuple):
    """A form of task: its name, the type of its requests, their arguments, and the ratio that we want on SmolLM2."""

    name: str
    kind: str
    arguments: Arguments
    target: float = 1.0


def forms(scale: str, items: int) -> list[Form]:
    """All forms, made from evaluation text and from the suite's own items; `items` scales how many."""
    texts = [document.text for document in documents(scale, "evaluation")]
    words = _drawer(texts if scale != "tiny" else [" ".join(texts)])
    return [
        _choices(words, items),
        _choices_25_shots(words, max(items // 2, 3)),
        _letters_5_shots(words, 5 * items),
        Form("perplexity, 140 words", "loglikelihood_rolling", [(words(140),) for _ in range(2 * items)], 1.1),
        *(form for form, _ in suite_questions(scale, items)),
        _suite_perplexity(scale, 2 * items),
        _generation_5_shots(words, 2 * items),
        Form(
            "generate 32 tokens, no shots",
            "generate_until",
            [
                (words(length), {"until": [], "max_gen_toks": 32})
                for length in np.linspace(40, 140, 2 * items, dtype=int)
            ],
        ),
    ]


def _drawer(texts: Sequence[str]) -> Callable[[int], str]:
    rng = random.Random(0)
    split = [text.split() for text in texts]

    def words(count: int) -> str:
        text = rng.choice([text for text in split if len(text) > count + 1])
        start = rng.randrange(len(text) - count)
        return " ".join(text[start : start + count])

    return words


def _choices(words: Callable[[int], str], items: int) -> Form:
    """Contexts of about 100 to 500 tokens."""
    contexts = [words(int(length)) for length in np.linspace(75, 350, items)]
    return Form(
        "4 choices, 100-500 tokens", "loglikelihood", [(c, " " + words(14)) for c in contexts for _ in range(4)], 2.5
    )


def _choices_25_shots(words: Callable[[int], str], items: int) -> Form:
    shots = "\n\n".join(f"Question: {words(14)}?\nAnswer: {words(4)}" for _ in range(25))
    questions = [f"{shots}\n\nQuestion: {words(14)}?\nAnswer:" for _ in range(items)]
    return Form("4 choices, 25 shots", "loglikelihood", [(q, " " + words(4)) for q in questions for _ in range(4)], 3.5)


def _letters_5_shots(words: Callable[[int], str], items: int) -> Form:
    """As MMLU: the same shots for all questions of a subject, the answer is one letter."""
    choices = "A. {}\nB. {}\nC. {}\nD. {}\nAnswer:"
    cards = [f"{words(20)}\n" + choices.format(*(words(5) for _ in range(4))) for _ in range(items + 5)]
    shots = "\n\n".join(f"{card} {letter}" for card, letter in zip(cards[:5], "BDACA", strict=True))
    return Form(
        "letters, 5 shots (MMLU)",
        "loglikelihood",
        [(f"{shots}\n\n{card}", " " + letter) for card in cards[5:] for letter in "ABCD"],
        5.0,
    )


def suite_questions(scale: str, items: int) -> Iterator[tuple[Form, list[int]]]:
    """The suite's tasks with right answers, as lm-eval asks for them, and the answers (none: to be greedy is right)."""
    rows = _suite_rows(scale, "cloze")[: 3 * items]
    yield Form("suite: cloze", "loglikelihood", [(row["context"], " " + row["target"]) for row in rows]), []
    for task in ("names", "next_sentence"):
        rows = _suite_rows(scale, task)[:items]
        asked = [(row["context"], f" {choice}") for row in rows for choice in row["choices"]]
        yield Form(f"suite: {task}", "loglikelihood", asked), [row["answer"] for row in rows]


def _suite_rows(scale: str, task: str) -> list[dict[str, Any]]:
    text = (task_folder(scale) / f"{task}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _suite_perplexity(scale: str, items: int) -> Form:
    texts = [(row["text"],) for row in _suite_rows(scale, "perplexity")[:items]]
    return Form("suite: perplexity", "loglikelihood_rolling", texts)


def _generation_5_shots(words: Callable[[int], str], items: int) -> Form:
    shots = "\n\n".join(f"Question: {words(14)}?\nAnswer: {words(8)}" for _ in range(5))
    return Form(
        "generate a line, 5 shots",
        "generate_until",
        [(f"{shots}\n\nQuestion: {words(14)}?\nAnswer:", {"until": ["\n"], "max_gen_toks": 32}) for _ in range(items)],
    )


def run(lm: Any, form: Form, most: int | None = None) -> tuple[float, list[Any]]:
    """(seconds, results) of one pass over the form's first requests."""
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    clock = time.process_time if alone else time.perf_counter
    made = [Instance(form.kind, {}, args, index) for index, args in enumerate(form.arguments[:most])]
    with contextlib.redirect_stderr(io.StringIO()):
        start = clock()
        found = getattr(lm, form.kind)(made)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return clock() - start, found


def token_counts(lm: EffbenchLM, form: Form, results: Sequence[Any]) -> tuple[int, int]:
    """(tokens that `hf` needs without padding, different tokens: the size of the token tree)."""
    generated = 0
    if form.kind == "loglikelihood":
        pairs = [lm._encode_pair(*args) for args in form.arguments]
        inputs = [[*context, *continuation][:-1] for context, continuation in pairs]
    elif form.kind == "loglikelihood_rolling":
        inputs = [[lm.prefix_token_id, *lm.tok_encode(*args)][:-1] for args in form.arguments]
    else:
        inputs = [lm.tok_encode(args[0]) for args in form.arguments]
        generated = sum(len(lm.tok_encode(text)) for text in results)
    alone = {tuple(ids) for ids in inputs}  # its cache computes equal inputs once
    nodes = {hash(ids[:depth]) for ids in alone for depth in range(1, len(ids) + 1)}
    return sum(map(len, alone)) + generated, len(nodes) + generated


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """(geometric mean, low, high) with the 95 % interval of Student's t on the logarithms."""
    logs = np.log(ratios)
    middle = float(logs.mean())
    half = float(stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs)) if len(logs) > 1 else math.inf
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


@lru_cache(maxsize=1)
def loaded(scale: str, device: str, dtype: str) -> tuple[Any, Any]:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    model, tokenizer = load_base(scale, SMOLLM2 if scale == "embedded" else TOY, device)
    return model.to(getattr(torch, dtype)), tokenizer


def table(options: argparse.Namespace) -> Iterator[str]:
    """One line per form."""
    model, tokenizer = loaded(options.scale, options.device, options.dtype)
    ours = EffbenchLM(model, tokenizer)
    for form in forms(options.scale, options.items):
        if options.only not in form.name:
            continue
        results = run(ours, form)[1]
        hfs = {size: HFLM(pretrained=model, tokenizer=tokenizer, batch_size=size) for size in BATCHES}
        tried = {size: run(lm, form, TUNED_ON)[0] for size, lm in hfs.items()}
        batch = min(tried, key=tried.__getitem__)
        seconds: dict[str, list[float]] = {"ours": [], "hf": []}
        sides = [("ours", ours), ("hf", hfs[batch])]
        for turn in range(options.rounds):
            for name, lm in sides if turn % 2 else sides[::-1]:
                seconds[name].append(run(lm, form)[0])
        ratio, low, high = interval([hf / mine for mine, hf in zip(seconds["ours"], seconds["hf"], strict=True)])
        needed, different = token_counts(ours, form, results)
        line = (
            f"{form.name:29} {ratio:6.2f}x [{low:.2f}, {high:.2f}], target {form.target}x, "
            f"ceiling {needed / different:5.2f}x, reached {100 * ratio * different / needed:3.0f} %; "
            f"ours {np.median(seconds['ours']):.2f} s, hf {np.median(seconds['hf']):.2f} s at batch {batch}"
        )
        if options.peak:
            mine, theirs = (peak_of_fresh_process(options, form, size) for size in (0, batch))
            line += f"; peak ours {mine / 2**20:.0f} MiB, hf {theirs / 2**20:.0f} MiB"
        yield line


# Peak memory: this file once more as a process of its own, for one evaluator and one form.


def peak_of_fresh_process(options: argparse.Namespace, form: Form, batch: int) -> int:
    """Bytes above the loaded model; batch 0 is ours, others are batch sizes of `hf`."""
    same = ("scale", "device", "dtype", "items", "threads")
    arguments = [f"--{name}={getattr(options, name)}" for name in same if getattr(options, name) is not None]
    command = [sys.executable, __file__, *arguments, f"--only={form.name}", f"--peak-of={batch}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def peak(options: argparse.Namespace) -> int:
    """Bytes that one pass needs above the loaded model."""
    model, tokenizer = loaded(options.scale, options.device, options.dtype)
    (form,) = (form for form in forms(options.scale, options.items) if form.name == options.only)
    if options.device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    else:
        model(torch.tensor([[1, 2, 3]]))  # what the first call of a library keeps is nobody's
        Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark back to what is used now
        before = _high_water_mark()
    batch = options.peak_of
    lm: Any = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch) if batch else EffbenchLM(model, tokenizer)
    run(lm, form)
    return (torch.cuda.max_memory_allocated() if options.device == "cuda" else _high_water_mark()) - before


def _high_water_mark() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--scale", default="embedded", choices=["tiny", "embedded"])
    made.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    made.add_argument("--dtype", default="bfloat16")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--items", type=int, default=6, help="how large the forms are")
    made.add_argument("--threads", type=int, help="of torch; on a busy machine use 1")
    made.add_argument("--only", default="", help="forms whose name contains this")
    made.add_argument("--peak", action="store_true", help="measure peak memory, too")
    made.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    return made


def set_threads(options: argparse.Namespace) -> None:
    if options.threads:
        torch.set_num_threads(options.threads)


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.skipif(missing("embedded", SMOLLM2) is not None, reason="the packaged weights are not installed")
def test_speed() -> None:
    for line in table(parser().parse_args(["--items", "3"])):
        print(line, flush=True)


if __name__ == "__main__":
    chosen = parser().parse_args()
    set_threads(chosen)
    if chosen.peak_of is not None:
        print(peak(chosen))
    else:
        for line in table(chosen):
            print(line, flush=True)
