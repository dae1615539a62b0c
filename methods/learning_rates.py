"""How the learning rates of short trainings are chosen: `python -m methods.learning_rates SLUG[:VARIANT]@POINT ...`

Builds a method at the embedded scale with each of its rates, to the end, with a seed that no record has, and adds what
that leaves to learning_rates.json: of a fine-tuning the loss over the validation examples (a part of the training
split); of a repair the share of wrong answers in the training split (`wrong_answers`); of a compressed model the loss
over training text that its recovery has not seen (`unseen_loss`). While the best rate is the first or the last that
was tried, the next one beyond it is tried too. The method's rate (in its variant, or in its `at_point` where a point
was searched by itself) is to be the best: a test holds the two against each other. Where two are close, another
`--seed` decides (`--rate` for these alone): a rate near the edge of divergence may be best with one seed and fail with
the next.
"""

import argparse
import json
import math
import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from bench.contract.registry import configured, load
from bench.run.worker import Scale
from torch import Tensor

from bench.contract import Limits
from bench.run.bfloat16 import widen_products
from methods.lm_compression._recovery import BATCH, LENGTH, next_token_loss
from suites._training.training import Learner, validation_loss
from suites.lm_compression.task import CausalLMTask
from suites.lm_finetuning.batches import collate
from suites.lm_finetuning.faults import fault
from suites.lm_finetuning.reading import answer_logits
from suites.lm_finetuning.task import FineTuningTask

SCALE, SEED = "embedded", 1000
FILE = Path(__file__).with_suffix(".json")
"""Of each method and point, what each rate left, one number a seed from SEED on: nats per token (fine-tuning: of the
answers); of a repair, the share of answers that are wrong."""
FACTOR = 3
"""From one rate to the next, where a method has one rate and no list of them."""
UNSEEN = 16_384
"""Tokens of training text that a compressed model is judged by."""
JUDGED = 64
"""Faults, and as many other examples, that a repair is judged by."""

Losses = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m methods.learning_rates", description=str(__doc__).splitlines()[0])
    parser.add_argument("what", nargs="+", metavar="SLUG[:VARIANT]@POINT")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rate", type=float, action="append", help="this alone; repeat for more")
    arguments = parser.parse_args()
    widen_products()
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
    method = configured_as(what)
    given = rate_of(method)
    rates = sorted(getattr(method, "rates", (_digit(given / FACTOR), given, _digit(given * FACTOR))))
    while missing := [rate for rate in rates if f"{rate:g}" not in losses]:
        try_one(what, missing[0], SEED, losses)
        if len(missing) > 1:
            continue
        if best(losses) == rates[-1]:
            rates.append(_digit(rates[-1] * rates[-1] / rates[-2]))
        elif best(losses) == rates[0]:
            rates.insert(0, _digit(rates[0] * rates[0] / rates[1]))


def try_one(what: str, rate: float, seed: int, losses: Losses) -> None:
    """Add one training's loss."""
    method = configured_as(what)
    found = _loss(replace(method, **{_field(method): rate}), what.partition("@")[2], seed)
    losses.setdefault(f"{rate:g}", []).append(found)
    print(f"{what} {rate:g}, seed {seed}: {found:.4f}", flush=True)


def configured_as(what: str) -> Any:
    """The method that "SLUG[:VARIANT]@POINT" names, with the variant's and the point's fields."""
    spec, _, point = what.partition("@")
    slug, _, variant = spec.partition(":")
    return configured(load().method(slug), variant or "default", point)


def rate_of(method: Any) -> float:
    """The learning rate that the method has."""
    return float(getattr(method, _field(method)))


def _field(method: Any) -> str:
    return "rate" if hasattr(method, "rate") else "learning_rate"


def _digit(rate: float) -> float:
    return float(f"{rate:.1g}")


def _loss(method: Any, point: str, seed: int) -> float:
    registry = load()
    suite = registry.suite(method.card.suite)
    at = registry.point(method.card.suite, point).at(SCALE)
    task = suite.task(scale=SCALE, base=suite.info.bases[SCALE][0], point=at, seed=seed, device="cpu")
    baseline = configured(registry.method(suite.info.baseline), "default").build(task, Limits())
    task.limits, task.weigh = at.limits, Scale(suite, task, baseline).weigh
    unseen = _held_back(task) if isinstance(task, CausalLMTask) else None
    try:
        built = method.build(task, at.limits)
    except FloatingPointError:
        return math.inf
    if unseen is not None:
        found = unseen_loss(built, unseen)
    elif task.track == "repair":
        found = wrong_answers(built.model, task)
    else:  # what is trained in parts has no curve of the whole
        found = (built.curve.validation[-1:] or [validation_loss(Learner(built.model), task.validation())])[0]
    return round(found, 4) if math.isfinite(found) else math.inf


def _held_back(task: CausalLMTask) -> Tensor:
    """Take the last UNSEEN tokens out of the training split: (windows, LENGTH)."""
    held = torch.tensor(task.training_ids[-UNSEEN:], device=task.device)
    task.training_ids = task.training_ids[:-UNSEEN]
    return held[: len(held) // LENGTH * LENGTH].view(-1, LENGTH)


@torch.no_grad()
def unseen_loss(model: Any, windows: Tensor) -> float:
    """Mean loss of the next token over windows (windows, LENGTH), in nats."""
    return fmean(next_token_loss(model, ids).item() for ids in windows.split(BATCH))


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
