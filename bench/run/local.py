"""The local executor: a job in a fresh process and its own process group, with a hard timeout."""

import json
import signal
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from bench.record.schema import Outcome
from bench.run.exchange import Ended
from bench.run.integrity import RuleBroken
from bench.run.integrity.processes import RULE as LEFT_BEHIND
from bench.run.plan import Job
from bench.run.sandbox.launch import Confinement, launch


def execute(
    job: Job, timeout: float, protected: Sequence[Path] = (), confinement: Confinement | None = None
) -> tuple[Outcome, str]:
    """Run a job; return its outcome and the end of its log. Whatever happens to the process is an outcome.

    The whole process group, and what left it, is killed when the time is up, when the worker ends (nothing survives
    it), and when this process is interrupted. protected: folders that the method must not write to. confinement: what
    the run is held in, beyond that.
    """
    order = {
        "job": asdict(job),
        "protected": [str(path) for path in protected],
        "sandboxed": confinement is not None and confinement.sandbox is not None,
    }
    ended = launch(
        "bench.run.worker",
        json.dumps(order).encode(),
        timeout=timeout,
        confinement=confinement,
        variables=_variables(job),
        gpu=job.device.startswith("cuda"),
    )
    return _outcome(ended), ended.log


def _variables(job: Job) -> dict[str, str]:
    threads = str(job.threads)
    variables = {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": str(job.seed),
        "PYTHONUNBUFFERED": "1",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no pool of compiling processes beside what is measured
    }
    if job.scale != "full":
        variables |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    return variables


def _outcome(ended: Ended) -> Outcome:
    stage = next((line[11:] for line in reversed(ended.log.splitlines()) if line.startswith("[effbench] ")), "start")
    if ended.stopped is not None:
        return ended.stopped.model_copy(update={"reason": f"{ended.stopped.reason}, during: {stage}"})
    if not ended.answer:
        return _post_mortem(ended, stage)
    try:
        outcome = Outcome.model_validate_json(ended.answer)
    except ValidationError as error:
        what = error.errors(include_input=False, include_url=False)[0]["msg"]
        return Outcome(status="failed", reason=f"its outcome can't be read: {what}")
    if outcome.status == "ok" and ended.survivors:
        outcome.status = "failed"
        outcome.reason = str(RuleBroken(LEFT_BEHIND, f"{ended.survivors[0]} had to be killed"))
    return outcome


def _post_mortem(ended: Ended, stage: str) -> Outcome:
    code = ended.returncode
    if code == -signal.SIGKILL:
        return Outcome(
            status="out_of_memory", reason=f"killed by the system, most likely out of memory, during: {stage}"
        )
    if code < 0:
        return Outcome(status="failed", reason=f"died of {_signal(-code)} during: {stage}")
    last = ended.log.strip().splitlines()[-1] if ended.log.strip() else "no output"
    return Outcome(status="failed", reason=f"the process ended with code {code} during: {stage}: {last}")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
