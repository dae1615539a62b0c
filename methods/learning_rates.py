"""How the learning rates of short trainings are chosen: `python -m methods.learning_rates SLUG[:VARIANT]@POINT ...`

Trains a method at the embedded scale once with each of its `rates`, to the end, with a seed that no record has, and
writes the loss over the validation examples (a part of the training split) to learning_rates.json. While the best rate
is the first or the last that was tried, the next one beyond it is tried too. The method's `rate` is to be the best: a
test holds the two against each other.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.contract.registry import configured, load

SUITE, SCALE, SEED = "lm-finetuning", "embedded", 1000
FILE = Path(__file__).with_suffix(".json")
"""Of each method and point, the loss of each rate: nats per token of the answers, the mean over the batches."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m methods.learning_rates", description=str(__doc__).splitlines()[0])
    parser.add_argument("what", nargs="+", metavar="SLUG[:VARIANT]@POINT")
    for what in parser.parse_args().what:
        losses = known().get(what, {})
        try_all(what, losses)
        FILE.write_text(json.dumps(known() | {what: losses}, indent=1, sort_keys=True) + "\n")


def known() -> dict[str, dict[str, float]]:
    """What has been tried, by "slug@point": the loss of each rate."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def best(losses: Mapping[str, float]) -> float:
    """The rate with the least loss."""
    return float(min(losses, key=losses.__getitem__))


def try_all(what: str, losses: dict[str, float]) -> None:
    """Fill `losses` in, by rate."""
    name, _, point = what.partition("@")
    slug, _, variant = name.partition(":")
    registry = load()
    method = configured(registry.method(slug), variant or "default")
    rates = sorted(method.rates)
    while missing := [rate for rate in rates if f"{rate:g}" not in losses]:
        losses[f"{missing[0]:g}"] = _loss(registry, replace(method, rate=missing[0]), point)
        print(f"{what} {missing[0]:g}: {losses[f'{missing[0]:g}']:.4f}", flush=True)
        if len(missing) > 1:
            continue
        if best(losses) == rates[-1]:
            rates.append(float(f"{rates[-1] * rates[-1] / rates[-2]:.1g}"))
        elif best(losses) == rates[0]:
            rates.insert(0, float(f"{rates[0] * rates[0] / rates[1]:.1g}"))


def _loss(registry: Any, method: Any, point: str) -> float:
    suite = registry.suite(SUITE)
    at = registry.point(SUITE, point).at(SCALE)
    task = suite.task(scale=SCALE, base=suite.info.bases[SCALE][0], point=at, seed=SEED, device="cpu")
    try:
        return round(float(method.build(task, at.limits).curve.validation[-1]), 4)
    except FloatingPointError:
        return float("inf")


if __name__ == "__main__":
    main()
