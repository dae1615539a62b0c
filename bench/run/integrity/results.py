"""Rules on what a timed step gives: it is done when the step returns, it is right, and it was not kept from before."""

import dataclasses
import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from bench.contract import Step, Workload
from bench.measure.flops import count_flops
from bench.measure.paired import PairedTimes, clock
from bench.run.integrity import RuleBroken
from bench.run.integrity.seal import Seal

UNFINISHED = "work not done when the step returned"
WRONG = "timed result is not the scored one"
COUNTED = "counted work is not the timed work"
REMEMBERED = "outputs remembered"
TOO_MANY_CORES = "more processors than the run has"

_KEPT = 3
_SETTLE_SECONDS = 0.05
_STREAM_SECONDS = 2e-4
"""To find a device idle takes some microseconds."""
_REPLAY_SHARE = 1 / 3
_REPLAY_TRIES = 3
_PLAIN = (int, float, complex, bool, str, bytes, type(None), np.generic)


class Inspector:
    """Looks at the candidate's results as they are timed; give `look` to the instrument and call `finish` after.

    Every result must be plain. A few steps of each phase, drawn so that each is equally likely (reservoir sampling),
    are watched for late writes and kept for `finish`, which lets the suite check them.
    """

    def __init__(self, rng: np.random.Generator, seal: Seal, device: str) -> None:
        self._rng, self._seal, self._device = rng, seal, device
        self._seen: dict[str, int] = {}
        self._kept: dict[str, list[tuple[Step, Any]]] = {}

    def look(self, step: Step, result: Any) -> None:
        """Raise RuleBroken if the result is not plain, or changes after the step has returned."""
        leaves = list(_leaves(result, step.phase))
        seen = self._seen[step.phase] = self._seen.get(step.phase, 0) + 1
        place = int(self._rng.integers(seen))
        if place >= _KEPT:
            return
        self._seal.check()
        before = _digest(leaves)
        time.sleep(_SETTLE_SECONDS)
        if self._device.startswith("cuda"):
            torch.cuda.synchronize(self._device)
        if _digest(leaves) != before:
            raise RuleBroken(UNFINISHED, f"the result of {step.phase!r} was still being written")
        kept = self._kept.setdefault(step.phase, [])
        kept[place : place + 1] = [(step, result)]

    def finish(self) -> None:
        """Raise RuleBroken if the suite finds two of a phase's kept results wrong; one may be rounding gone astray."""
        for phase, kept in self._kept.items():
            wrong: list[str] = []
            for step, result in kept:
                found = None if step.check is None else step.check(result)
                if found is None and not wrong:
                    break
                wrong += [found] if found is not None else []
            if wrong and len(wrong) >= min(2, len(kept)):
                raise RuleBroken(WRONG, f"{phase!r}: {wrong[0]}")
        self._kept.clear()


def check_counted(step: Step | None) -> None:
    """Raise RuleBroken if a step answers otherwise while its operators are counted than when nobody counts."""
    if step is None:
        return
    counted: list[Any] = []
    count_flops(lambda: counted.append(step.run(*step.inputs)))
    for a, b in zip(_leaves(counted[0], step.phase), _leaves(step.run(*step.inputs), step.phase), strict=True):
        if isinstance(a, torch.Tensor) and not _close(a.double(), b.double()):
            raise RuleBroken(COUNTED, f"{step.phase!r} gives another result while its operators are counted")


def check_cores(times: Mapping[str, PairedTimes], threads: int) -> None:
    """Raise RuleBroken if the candidate used more processors than the run's threads."""
    for phase, series in times.items():
        if series.cores is not None and series.cores > threads + 0.5:
            raise RuleBroken(
                TOO_MANY_CORES, f"{series.cores:.1f} processors were busy during {phase!r}, the run has {threads}"
            )


def check_streams(times: Mapping[str, PairedTimes]) -> None:
    """Raise RuleBroken if the device worked on after the stream that the step ran on was done. Whoever waits for that
    stream alone, as CUDA events do, reads unfinished results."""
    for phase, series in times.items():
        if series.unfinished is not None and series.unfinished > _STREAM_SECONDS:
            raise RuleBroken(UNFINISHED, f"{phase!r} left other streams working for {series.unfinished:.2g} s")


def check_replay(
    workload: Workload,
    candidate: Any,
    times: Mapping[str, PairedTimes],
    seed: int,
    rng: np.random.Generator,
    device: str,
) -> None:
    """Raise RuleBroken if inputs that the candidate has seen are answered much faster than fresh ones.

    seed: of a trial that the candidate went through before. A suspicion is held against fresh inputs at the same
    moment, three times over: the machine may have been slower when the others were timed.
    """
    for phase, series in times.items():
        fresh = float(np.median(series.candidate)) if series.candidate else 0.0
        for _ in range(_REPLAY_TRIES):
            again = _first_time(workload, candidate, phase, seed, device)
            if again >= fresh * _REPLAY_SHARE:
                break
            fresh = _first_time(workload, candidate, phase, int(rng.integers(2**62)), device)
        else:
            raise RuleBroken(
                REMEMBERED, f"{phase!r} takes {again:.2g} s on inputs seen before, {fresh:.2g} s on fresh ones"
            )


def _first_time(workload: Workload, candidate: Any, phase: str, seed: int, device: str) -> float:
    """Seconds of the first step of a phase in the trial with this seed; infinity if the trial has none."""
    for step in workload.trial(candidate, np.random.default_rng(seed)):
        seconds = clock(partial(step.run, *step.inputs), device)
        if step.phase == phase:
            return seconds
    return math.inf


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether the typical difference is one of rounding."""
    return bool((a - b).abs().median() <= 0.05 * b.std() + 1e-9) if a.numel() > 1 else bool(torch.allclose(a, b))


def _leaves(result: Any, phase: str) -> Iterator[Any]:
    """Tensors, arrays and numbers of a result. Raises RuleBroken for anything whose value could be computed later."""
    if type(result) in (torch.Tensor, torch.nn.Parameter, np.ndarray) or isinstance(result, _PLAIN):
        yield result
    elif isinstance(result, dict):
        for value in result.values():
            yield from _leaves(value, phase)
    elif type(result) in (list, tuple) or (isinstance(result, tuple) and hasattr(result, "_fields")):
        for value in result:
            yield from _leaves(value, phase)
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        for field in dataclasses.fields(result):
            yield from _leaves(getattr(result, field.name), phase)
    else:
        raise RuleBroken(
            UNFINISHED,
            f"the result of {phase!r} is a {type(result).__module__}.{type(result).__qualname__}: a step returns plain "
            "tensors, arrays or numbers, so that nothing is left to compute",
        )


def _digest(leaves: list[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for leaf in leaves:
        if isinstance(leaf, torch.Tensor):
            digest.update(leaf.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(leaf.tobytes() if isinstance(leaf, np.ndarray) else repr(leaf).encode())
    return digest.hexdigest()
