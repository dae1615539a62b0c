"""The baseline of a problem: built once for each base and scale, under a meter of its own, and kept by its content."""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract import Problem
from bench.contract.cache import made_once
from bench.run import artefact
from bench.run.building import build
from bench.run.figures import figures_of
from bench.run.order import Order
from bench.run.party import Starter
from bench.run.servers import Served, Stopped, serving

_FIGURES = "figures.json"


@dataclass(frozen=True)
class Baseline:
    """folder: of its artefact. figures: what ratios are to."""

    folder: Path
    figures: dict[str, float]

    @property
    def has_rig(self) -> bool:
        return (self.folder / artefact.RIG).is_file()

    def serving(
        self, order: Order, starter: Starter, folder: Path, *, rig: bool = False
    ) -> AbstractContextManager[Served]:
        return serving(order, starter, self.folder, folder, rig=rig, baseline=True)


def kept_baseline(order: Order, problem: Problem[Any, Any], starter: Starter, folder: Path) -> Baseline:
    """From the cache, made where it is not there. Raises Stopped, and RuntimeError where it can't be built."""

    def make(draft: Path) -> None:
        building = build(order, problem, starter, folder, {}, baseline=True, into=draft)
        if building.unsupported is not None:
            raise RuntimeError(f"the baseline {order.baseline.name} can't be built: {building.unsupported}")
        building.raise_if_stopped()
        (draft / _FIGURES).write_text(json.dumps(_weighed(order, problem, starter, draft, folder)))

    kept = made_once("baselines", order.baseline_key, make)
    return Baseline(kept, json.loads((kept / _FIGURES).read_text()))


def _weighed(order: Order, problem: Problem[Any, Any], starter: Starter, made: Path, folder: Path) -> dict[str, float]:
    missing: dict[str, str] = {}
    with serving(order, starter, made, folder / "server", baseline=True) as served:
        stored = (made / artefact.CANDIDATE).stat().st_size
        figures = figures_of(served, stored, order, problem, None, missing)
    if missing:
        raise Stopped("failed", f"the baseline can't be weighed: {'; '.join(missing.values())}")
    if (made / artefact.RIG).is_file():
        with serving(order, starter, made, folder / "rig", rig=True, baseline=True) as rig:
            figures |= {name: float(value) for name, value in dict(rig.remote.figures()).items()}
    return figures
