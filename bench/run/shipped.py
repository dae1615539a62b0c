"""What a method made, for a user: the artefact as it was judged, the record of the run, and the line that loads it."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.contract import Score, Served, Setting
from bench.record.schema import Record
from bench.registry import Registry, open_registry
from bench.registry.registry import load_problem
from bench.run import artefact
from bench.run.order import unlimited
from bench.run.plan import Job
from bench.run.runner import Executor, Planned, planned, run_one

RECORD, README, DIGEST = "record.json", "README.md", "candidate.sha256"


class NotShipped(LookupError):
    """A folder is no artefact, or no longer the one that was judged; the message says what of it."""


def ship(registry: Registry, job: Job, folder: Path, executor: Executor | None = None) -> Record:
    """Build, judge and put what was built into the folder, if it is within its limits. The record is that of the run.

    Raises NotShipped where the folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise NotShipped(f"{folder} is not empty: name a folder that is, or a new one")
    folder.mkdir(parents=True, exist_ok=True)
    plan = planned(registry, replace(job, timed=False))
    order = replace(plan.order, keep=str(folder.resolve()))
    whole = False
    try:
        record = run_one(replace(plan, order=order), folder, timeout=None, executor=executor)
        if record.status == "ok":
            (folder / RECORD).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
            (folder / DIGEST).write_text(digest(folder) + "\n")
            (folder / README).write_text(_readme(registry, record, folder), encoding="utf-8")
            whole = True
        return record
    finally:
        if not whole:
            shutil.rmtree(folder, ignore_errors=True)


def load(folder: Path | str, device: str = "cpu") -> Served[Any]:
    """What serves the artefact, with what its problem gives every server; `.candidate` is what was built.

    Runs the method's code: load only what you trust. Raises NotShipped.
    """
    folder = Path(folder)
    record = read(folder)
    registry = open_registry()
    info = registry.suite(record.suite)
    point = registry.point(record.suite, record.point)
    problem = load_problem(info, point.problem)
    setting = Setting(record.scale, record.base, unlimited(point), record.seed, device)
    problem.prepare(setting)
    task = problem.task(setting)
    problem.outfit(task)
    return problem.serve(artefact.read(folder / artefact.CANDIDATE, device), task)


def read(folder: Path) -> Record:
    """The record of the run that made an artefact. Raises NotShipped."""
    try:
        record = Record.model_validate_json((folder / RECORD).read_bytes())
        expected = (folder / DIGEST).read_text().strip()
    except (OSError, ValueError) as error:
        raise NotShipped(f"{folder} is no artefact of `effbench build`: {error}") from error
    if not (folder / artefact.CANDIDATE).is_file() or digest(folder) != expected:
        raise NotShipped(f"{folder / artefact.CANDIDATE} is not the file that was judged: build it again")
    return record


def plan_again(registry: Registry, job: Job, folder: Path) -> Planned:
    """The plan that judges an artefact as it is."""
    plan = planned(registry, replace(job, timed=False))
    return replace(plan, order=replace(plan.order, made=str(folder.resolve())))


def digest(folder: Path) -> str:
    """Of the artefact."""
    with (folder / artefact.CANDIDATE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _readme(registry: Registry, record: Record, folder: Path) -> str:
    info, card = registry.suite(record.suite), registry.method(record.suite, record.method).card
    problem = info.problem_of(record.point)
    rows = [
        f"| {problem.metrics[name].title} | {value:.6g} | {problem.metrics[name].unit} |"
        for name, value in [*_scores(record), *record.figures.items()]
        if name in problem.metrics
    ]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record.environment.versions.items()))
    return "\n".join(
        [
            f"# {card.title} at {info.points[record.point].title}",
            "",
            f"{record.base}, made by `{record.suite}/{record.method}:{record.variant}` ({card.paper}) at the operating "
            f"point `{record.point}`, scale {record.scale}, seed {record.seed}.",
            "",
            "It is written in PyTorch's format, with pickled classes: loading it runs code of effbench "
            f"(commit {record.environment.commit or 'unknown'}), so load it with that checkout, and if you trust it.",
            "",
            "```python",
            "from bench.run.shipped import load",
            "",
            f'served = load("{folder.name}")  # the path of this folder; answers as it was judged',
            "served.candidate  # what the method built",
            "```",
            "",
            f"`effbench verify {folder.name}` judges it again. As it was judged:",
            "",
            "| | value | unit |",
            "|---|---|---|",
            *rows,
            "",
            f"Made with {versions}.",
            "",
        ]
    )


def _scores(record: Record) -> list[tuple[str, float]]:
    return [(name, Score(name, s.samples, s.weights, s.aggregate).value) for name, s in record.quality.items()]
