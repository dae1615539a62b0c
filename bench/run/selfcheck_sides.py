"""Pairs of servers that do known work, for the instrument to be tried on as in a run: two processes, pinned alike."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.contract import Limits, OperatingPoint
from bench.measure.known import known_chains
from bench.measure.selfcheck import Sides
from bench.measure.side import Side
from bench.run import artefact
from bench.run.local import variables_of
from bench.run.order import Made, Order
from bench.run.party import Starter, Warm
from bench.run.pinning import pinned
from bench.run.servers import serving


@contextmanager
def served_sides(device: str, threads: int) -> Iterator[Sides]:
    """What makes them, as long as the context lasts. Each pair is of two fresh processes."""
    warm = Warm((), variables_of(threads, offline=True))
    with TemporaryDirectory(prefix="effbench-selfcheck-") as folder, Path(os.devnull).open("wb") as log:
        try:
            yield partial(_pair, warm.starter(log.fileno()), _order(device, threads, folder), Path(folder))
        finally:
            warm.close()


@contextmanager
def _pair(starter: Starter, order: Order, folder: Path, ratio: float) -> Iterator[tuple[Side, Side]]:
    places = [folder / name / f"{ratio:g}" for name in ("candidate", "baseline")]
    for place, chain in zip(places, known_chains(ratio, order.device), strict=True):
        if not place.is_dir():
            place.mkdir(parents=True)
            artefact.write(chain, place / artefact.CANDIDATE)
    with (
        serving(order, starter, places[0], folder / "one") as candidate,
        serving(order, starter, places[1], folder / "other") as baseline,
        pinned([candidate.party.pid, baseline.party.pid], order.threads),
    ):
        yield candidate.side, baseline.side


def _order(device: str, threads: int, folder: str) -> Order:
    nobody = Made("", "", {})
    return Order(
        suite="selfcheck", problem="known", module="bench.measure.known", settings={}, method=nobody, baseline=nobody,
        baseline_key="", point=OperatingPoint("selfcheck", "", "known", Limits()), scale="tiny", base="", seed=0,
        device=device, threads=threads, scores=(), costs=(), training=(), timed=True, workloads=(), timing={},
        realised=True, folder=folder,
    )  # fmt: skip
