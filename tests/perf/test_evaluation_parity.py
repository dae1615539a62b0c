"""How near our lm-eval model comes to lm-eval's `hf`, and `hf` to itself at another batch size, on the same requests.

Run on demand: `pytest -m slow -s tests/perf/test_evaluation_parity.py`, or as a script with options:
`python tests/perf/test_evaluation_parity.py --threads 1`.

float32: largest difference per token in nats, and how many items differ in being the greedy continuation (generation:
in their text); we stay within 1e-4 and differ in none. bfloat16: accuracy on the suite's tasks, where rounding turns
close calls; ours differs from `hf` at batch 1 by no more than `hf` does at its other batch sizes, or by one item.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lm_eval.models.huggingface import HFLM

sys.path.insert(0, str(Path(__file__).parent))
import test_evaluation_speed as speed

from suites._language.base import SMOLLM2, missing
from suites._language.evaluation.evaluator import EffbenchLM

PER_TOKEN = 1e-4
OTHER_BATCHES = (4, 16)


def per_token(lm: EffbenchLM, form: speed.Form, found: Sequence[Any], expected: Sequence[Any]) -> tuple[float, int]:
    """(largest difference per scored token, items that differ in greediness or text)."""
    if form.kind == "generate_until":  # lm-eval asks for no log-likelihoods here
        return 0.0, sum(a != b for a, b in zip(found, expected, strict=True))
    if form.kind == "loglikelihood_rolling":
        lengths = [len(lm.tok_encode(*args)) for args in form.arguments]
        found, expected = [(value, False) for value in found], [(value, False) for value in expected]
    else:
        lengths = [len(lm._encode_pair(*args)[1]) for args in form.arguments]
    differences = [abs(a[0] - b[0]) / n for a, b, n in zip(found, expected, lengths, strict=True)]
    return max(differences), sum(a[1] != b[1] for a, b in zip(found, expected, strict=True))


def float32_table(options: argparse.Namespace) -> Iterator[tuple[str, float, int]]:
    """(line, largest difference per token, items that differ) per form of task."""
    model, tokenizer = speed.loaded(options.scale, options.device, "float32")
    ours = EffbenchLM(model, tokenizer)
    alone, together = (HFLM(pretrained=model, tokenizer=tokenizer, batch_size=size) for size in (1, 8))
    for form in speed.forms(options.scale, options.items):
        if "25 shots" in form.name or options.only not in form.name:
            continue
        found, expected, again = (speed.run(lm, form)[1] for lm in (ours, alone, together))
        difference, turned = per_token(ours, form, found, expected)
        own, own_turned = per_token(ours, form, again, expected)
        what = "texts differ" if form.kind == "generate_until" else "differ in greediness"
        if form.kind == "loglikelihood_rolling":
            what = "(greediness is not asked)"
        line = (
            f"{form.name:29} {len(form.arguments):4} requests: ours {difference:.1e} per token, {turned} {what}; "
            f"hf at batch 8 {own:.1e}, {own_turned}"
        )
        yield line, difference, turned


def correct(form: speed.Form, results: Sequence[tuple[float, bool]], answers: Sequence[int]) -> list[bool]:
    """Which items of a suite task are answered right, by the task's own metric."""
    if not answers:
        return [greedy for _, greedy in results]
    sums = np.array([score for score, _ in results])
    if "next_sentence" in form.name:
        sums /= [len(choice.encode()) for _, choice in form.arguments]
    return list(sums.reshape(-1, 4).argmax(1) == np.array(answers))


def bfloat16_table(options: argparse.Namespace) -> Iterator[tuple[str, float, float]]:
    """(line, our difference of accuracy to `hf` at batch 1, its own largest at other batch sizes) per task."""
    model, tokenizer = speed.loaded(options.scale, options.device, "bfloat16")
    ours = EffbenchLM(model, tokenizer)
    for form, answers in speed.suite_questions(options.scale, options.items * 8):
        if options.only not in form.name:
            continue
        hfs = [HFLM(pretrained=model, tokenizer=tokenizer, batch_size=size) for size in (1, *OTHER_BATCHES)]
        found = [correct(form, speed.run(lm, form)[1], answers) for lm in (ours, *hfs)]
        mine, alone, *others = (float(np.mean(right)) for right in found)
        jitter = max(abs(other - alone) for other in others)
        at = ", ".join(f"batch {size} {other:.3f}" for size, other in zip(OTHER_BATCHES, others, strict=True))
        line = (
            f"{form.name:29} {len(found[0]):4} items: accuracy ours {mine:.3f}, hf batch 1 {alone:.3f}, {at}; "
            f"ours {abs(mine - alone):.3f} away, hf {jitter:.3f}"
        )
        yield line, abs(mine - alone) - 1 / len(found[0]), jitter


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.skipif(missing("embedded", SMOLLM2) is not None, reason="the packaged weights are not installed")
def test_parity() -> None:
    options = speed.parser().parse_args(["--items", "2"])
    for line, difference, turned in float32_table(options):
        print(line, flush=True)
        assert difference <= PER_TOKEN
        assert turned == 0
    for line, difference, jitter in bfloat16_table(options):
        print(line, flush=True)
        assert difference <= jitter + 1e-9


if __name__ == "__main__":
    chosen = speed.parser().parse_args()
    speed.set_threads(chosen)
    print("float32, against hf at batch 1")
    for line, *_ in float32_table(chosen):
        print(line, flush=True)
    print("bfloat16")
    for line, *_ in bfloat16_table(chosen):
        print(line, flush=True)
