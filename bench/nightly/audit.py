"""Draw records at random, run them again, and say how far the figures of the board spread."""

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scipy import stats

from bench.analyse.rows import current, make_rows
from bench.contract import MissingAsset
from bench.nightly.series import configuration_of
from bench.nightly.verify import ERROR_RATE, Check, NotVerifiable, Verification, verify
from bench.publish.format import percent
from bench.publish.markdown import code, escaped, table
from bench.record.environment import NoSuchDevice
from bench.record.schema import Record
from bench.registry import Registry, UnknownName
from bench.run.runner import Executor, Ready, check_ready

BEYOND_CHANCE = 0.01
"""An audit fails if so many records are not reproduced as would be seen this seldom by chance."""


def draw(records: Sequence[Record], count: int, seed: int, hardware: str | None = None) -> list[Record]:
    """Records to verify: the newest of `count` configurations that the board shows, drawn by the seed.

    Every configuration has the same chance, however often it was run; the same records and seed give the same draw.
    """
    shown = [record for row in current(make_rows(records)) for record in row.records]
    shown = [record for record in shown if hardware in (None, record.hardware)]
    shown.sort(key=lambda record: (configuration_of(record), record.id))
    return random.Random(seed).sample(shown, min(count, len(shown)))


def audit(
    registry: Registry,
    records: Sequence[Record],
    results: Path,
    *,
    count: int,
    seed: int,
    hardware: str | None = None,
    executor: Executor | None = None,
    ready: Ready = check_ready,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[list[Verification], list[tuple[Record, str]]]:
    """Draw and verify; what was verified, and what could not be run again with the reason."""
    done, refused = [], []
    for record in draw(records, count, seed, hardware):
        tell(f"{record.id}: {configuration_of(record).name}")
        try:
            done.append(verify(registry, record, records, results, executor=executor, ready=ready))
            tell(f"{record.id}: {done[-1].outcome}")
        except (NotVerifiable, UnknownName, NoSuchDevice, MissingAsset) as reason:
            refused.append((record, str(reason)))
            tell(f"{record.id}: {reason}")
    return done, refused


def passes(verifications: Sequence[Verification]) -> bool:
    """Whether no more records failed to be reproduced than chance explains."""
    compared = [v for v in verifications if v.outcome != "not comparable"]
    failed = sum(v.outcome == "not reproduced" for v in compared)
    certain = any(check.kind != "speed" and check.outcome == "not reproduced" for v in compared for check in v.checks)
    return not certain and float(stats.binom.sf(failed - 1, len(compared), ERROR_RATE)) >= BEYOND_CHANCE


def as_json(verifications: Sequence[Verification], refused: Sequence[tuple[Record, str]], seed: int) -> dict[str, Any]:
    """The audit for programs: every check of every record, and the spread."""
    return {
        "seed": seed,
        "passes": passes(verifications),
        "records": [
            {
                "id": v.record.id,
                "command": v.record.command,
                "outcome": v.outcome,
                "checks": [asdict(check) for check in v.checks],
            }
            for v in verifications
        ],
        "refused": [{"id": record.id, "reason": reason} for record, reason in refused],
        "spread": spread(verifications),
    }


def spread(verifications: Sequence[Verification]) -> list[dict[str, Any]]:
    """By kind of figure: how many were compared and reproduced, and the median and largest relative difference."""
    kinds: dict[str, list[Check]] = defaultdict(list)
    for verification in verifications:
        for check in verification.checks:
            if check.outcome != "not comparable":
                kinds[check.kind].append(check)
    found = []
    for kind, checks in sorted(kinds.items()):
        sizes = [abs(check.change) for check in checks if check.change is not None]
        found.append(
            {
                "kind": kind,
                "compared": len(checks),
                "reproduced": sum(check.outcome == "reproduced" for check in checks),
                "median": statistics.median(sizes) if sizes else None,
                "largest": max(sizes, default=None),
            }
        )
    return found


def as_markdown(verifications: Sequence[Verification], refused: Sequence[tuple[Record, str]], seed: int) -> str:
    """The audit for people."""
    compared = [v for v in verifications if v.outcome != "not comparable"]
    good = sum(v.outcome == "reproduced" for v in compared)
    rows = [
        [s["kind"], f"{s['reproduced']} of {s['compared']}", _percent(s["median"]), _percent(s["largest"])]
        for s in spread(verifications)
    ]
    parts = [
        f"# Audit: {'passed' if passes(verifications) else 'FAILED'}",
        f"{good} of {len(compared)} records reproduced; drawn with seed {seed}.",
        table(["figures", "reproduced", "median difference", "largest"], rows),
        *(markdown_of(v) for v in verifications),
    ]
    if refused:
        lines = [f"- {code(record.id)} {escaped(record.method)}: {escaped(reason)}" for record, reason in refused]
        parts += ["## Could not be run again", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def markdown_of(verification: Verification) -> str:
    """One record: what was not reproduced or not comparable line by line, what was in one."""
    record = verification.record
    lines = [f"## {escaped(configuration_of(record).name)}: {verification.outcome}", code(record.id), ""]
    failed = [check for check in verification.checks if check.outcome == "not reproduced"]
    lines += [f"- **{escaped(check.figure)}** not reproduced: {told(check)}" for check in failed]
    for check in verification.checks:
        if check.outcome == "reproduced" and check.kind != "exact":
            lines.append(f"- {escaped(check.figure)}: {told(check)}")
    exact = [check for check in verification.checks if check.kind == "exact" and check.outcome == "reproduced"]
    lines += [f"- {len(exact)} counted or weighed figures are equal"] if exact else []
    silent = [check for check in verification.checks if check.outcome == "not comparable"]
    if silent:
        figures = ", ".join(escaped(check.figure) for check in silent)
        lines.append(f"- not comparable: {figures} ({escaped(silent[0].reason)})")
    return "\n".join(lines)


def told(check: Check) -> str:
    """Old and new value, the difference, and what chance allows."""
    if check.old is None or check.new is None:
        return escaped(check.reason)
    said = f"{check.old:.5g} → {check.new:.5g}"
    if check.change is not None:
        said += f" ({percent(check.change)}"
        said += f", chance allows ±{100 * check.allowed:.1f} %)" if check.kind == "speed" and check.allowed else ")"
    return said + (f"; {escaped(check.reason)}" if check.reason else "")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2g} %"
