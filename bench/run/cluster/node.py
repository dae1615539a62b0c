"""What happens on a node of a cluster: it says what it is and can do, and runs a job as the machine on its own would.

Nothing stays on a node: the ceilings that its times are held against come with a job and go back with the record.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract import MissingAsset
from bench.contract.cache import CacheNotWritable
from bench.record.ceilings import Ceilings, read_ceilings, store_ceilings
from bench.record.environment import NoSuchDevice, hardware_class
from bench.record.schema import Record
from bench.registry import UnknownName, open_registry
from bench.run.cluster.revision import Revision, revision
from bench.run.plan import Job, key
from bench.run.runner import ROOT, Executor, check_ready, planned, run_one


@dataclass(frozen=True)
class Answer:
    """What a node says to a job: the class and the key that its record would have there, or why it can't run there."""

    hardware: str = ""
    key: str = ""
    refusal: str | None = None


@dataclass(frozen=True)
class Facts:
    """What a node is: its code, and its answer to each job (none where its code is another)."""

    revision: Revision
    answers: Mapping[Job, Answer]


def inspect(jobs: Sequence[Job], expected: Revision) -> Facts:
    """What this machine says to the jobs of a plan that was made with the code `expected`."""
    mine = revision(ROOT)
    if mine != expected:
        return Facts(mine, {})
    refusals: dict[tuple[str, ...], str | None] = {}
    answers = {}
    for job in jobs:
        needs = (job.suite, job.problem, job.scale, job.base, job.device)
        if needs not in refusals:
            refusals[needs] = _refusal(job)
        refusal = refusals[needs]
        answers[job] = Answer(refusal=refusal) if refusal else _answer(job)
    return Facts(mine, answers)


def run_on_node(
    job: Job, timeout: float | None, executor: Executor | None, protected: Sequence[Path], known: Ceilings | None
) -> tuple[Record, Ceilings | None]:
    """The record of a job that is run here, and the ceilings of this hardware as they stand now.

    executor: a local one where none is given. protected: folders of records, should they be here. known: the ceilings
    so far.
    """
    with tempfile.TemporaryDirectory(prefix="effbench-node-") as folder:
        results = Path(folder)
        if known is not None:
            store_ceilings(results, known)
        record = run_one(planned(open_registry(), job, *protected), results, timeout=timeout, executor=executor)
        return record, read_ceilings(results, record.hardware)


def _refusal(job: Job) -> str | None:
    try:
        check_ready(open_registry(), [job])
    except (NoSuchDevice, MissingAsset, UnknownName, CacheNotWritable) as reason:
        return str(reason)
    return None


def _answer(job: Job) -> Answer:
    try:
        return Answer(hardware_class(job.device, job.threads), key(open_registry(), job))
    except UnknownName as reason:  # a plug-in that is not installed here
        return Answer(refusal=str(reason))
