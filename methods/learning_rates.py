"""How the learning rates of short trainings are chosen: `python -m methods.learning_rates SLUG[:VARIANT]@POINT ...`

Trains a method at the embedded scale with each of its `rates`, to the end, with a seed that no record has, and adds
the loss over the validation examples (a part of the training split) to learning_rates.json; of a repair, the share of
wrong answers in the training split (`wrong_answers`). While the best rate is the first or the last that was tried, the
next one beyond it is tried too. The method's `rate` (in its `at_point`, where a point was searched by itself) is to be
the best: a test holds the two against each other. Where two are close, another `--seed` decides (`--rate` for these
alone): a rate near the edge of divergence may be best with one seed and fail with the next.
"""

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from bench.contract.registry import configured, load
from suites.lm_finetuning.batches import collate
from suites.lm_finetuning.faults import fault
from suites.lm_finetuning.reading import answer_logits
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.training import Learner, validation_loss

SUITE, SCALE, SEED = "lm-finetuning", "embedded", 1000
FILE = Path(__file__).with_suffix(".json")
"""Of each method and point, the losses of each rate, one a seed from SEED on: nats per token of the answers; of a
repair, the share of answers that are wrong."""
JUDGED = 64
"""Faults, and as many other examples, that a repair is judged by."""

Losses = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m methods.learning_rates", description=str(__doc__).splitlines()[0])
    parser.add_argument("what", nargs="+", metavar="SLUG[:VARIANT]@POINT")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rate", type=float, action="append", help="this alone; repeat for more")
    arguments = parser.parse_args()
    for what in arguments.what:
        losses = known().get(what, {})
        if arguments.rate:
            for rate in arguments.rate:
                try_one(what, rate, arguments.seed, losses)
        else:
            try_all(what, losses)
        FILE.write_text(json.dumps(known() | {what: losses}, indent=1, sort_keys=True) + "\n")


def known() -> dict[str, Losses]:
    """What has been tried, by "slug@point": the losses of each rate."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def best(losses: Losses) -> float:
    """The rate with the least mean loss."""
    return float(min(losses, key=lambda rate: fmean(losses[rate])))


def try_all(what: str, losses: Losses) -> None:
    """Fill `losses` in, for the first seed."""
    rates = sorted(_configured(what).rates)
    while missing := [rate for rate in rates if f"{rate:g}" not in losses]:
        try_one(what, missing[0], SEED, losses)
        if len(missing) > 1:
            continue
        if best(losses) == rates[-1]:
            rates.append(float(f"{rates[-1] * rates[-1] / rates[-2]:.1g}"))
        elif best(losses) == rates[0]:
            rates.insert(0, float(f"{rates[0] * rates[0] / rates[1]:.1g}"))


def try_one(what: str, rate: float, seed: int, losses: Losses) -> None:
    """Add one training's loss."""
    found = _loss(replace(_configured(what), rate=rate), what.partition("@")[2], seed)
    losses.setdefault(f"{rate:g}", []).append(found)
    print(f"{what} {rate:g}, seed {seed}: {found:.4f}", flush=True)


def _configured(what: str) -> Any:
    spec, _, point = what.partition("@")
    slug, _, variant = spec.partition(":")
    return configured(load().method(slug), variant or "default", point)


def _loss(method: Any, point: str, seed: int) -> float:
    registry = load()
    suite = registry.suite(SUITE)
    at = registry.point(SUITE, point).at(SCALE)
    task = suite.task(scale=SCALE, base=suite.info.bases[SCALE][0], point=at, seed=seed, device="cpu")
    try:
        tuned = method.build(task, at.limits)
    except FloatingPointError:
        return float("inf")
    if task.track == "repair":
        return round(wrong_answers(tuned.model, task), 4)
    # What is trained in parts has no curve of the whole.
    found = tuned.curve.validation[-1:] or [validation_loss(Learner(tuned.model), task.validation())]
    return round(found[0], 4)


@torch.no_grad()
def wrong_answers(model: Any, task: FineTuningTask) -> float:
    """Share of answers that are not right to the last token, over the faults and the rest of the training split alike.

    The loss over the validation examples says little of a repair: hardly one in eight is a fault, and preferences are
    learned without lowering it.
    """
    rng = random.Random(5)
    known = [example for examples in task.examples.values() for example in examples]
    faults = rng.sample([example for example in known if fault(example)], JUDGED)
    others = rng.sample([example for example in known if not fault(example)], JUDGED)
    batches = [collate(task.tokenizer, [example], task.device) for example in (*faults, *others)]
    return fmean(bool((answer_logits(model, batch).argmax(-1) != batch.wanted).any()) for batch in batches)


if __name__ == "__main__":
    main()
