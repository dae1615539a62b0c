"""The local executor: a job in a fresh process and its own process group, with a hard timeout."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from bench.record.schema import Outcome
from bench.run.integrity import RuleBroken
from bench.run.integrity.processes import MARK, kill_marked
from bench.run.integrity.processes import RULE as LEFT_BEHIND
from bench.run.plan import Job

LOG_TAIL = 6000


def execute(job: Job, timeout: float, protected: Sequence[Path] = ()) -> tuple[Outcome, str]:
    """Run a job; return its outcome and the end of its log. Whatever happens to the process is an outcome.

    The whole process group, and what left it, is killed when the time is up, when the worker ends (nothing survives
    it), and when this process is interrupted. protected: folders that the method must not write to.
    """
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="effbench-run-") as folder:
        job_path, out_path, log_path = (Path(folder, name) for name in ("job.json", "outcome.json", "log.txt"))
        job_path.write_text(json.dumps({"job": asdict(job), "protected": [str(path) for path in protected]}))
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.run.worker", str(job_path), str(out_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(job, Path(folder)) | {MARK: mark},
            )
            timed_out = False
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                timed_out = True
            finally:
                _kill_group(process)
                survivors = kill_marked(mark)
        text = log_path.read_text(errors="replace")
        if out_path.exists():
            outcome = Outcome.model_validate_json(out_path.read_text())
            if outcome.status == "ok" and survivors:
                outcome.status = "failed"
                outcome.reason = str(RuleBroken(LEFT_BEHIND, f"{survivors[0]} had to be killed"))
            return outcome, text[-LOG_TAIL:]
        return _post_mortem(process.returncode, timed_out, timeout, text), text[-LOG_TAIL:]


def _environment(job: Job, folder: Path) -> dict[str, str]:
    threads = str(job.threads)
    environment = dict(os.environ) | {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": str(job.seed),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(folder),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no pool of compiling processes beside what is measured
    }
    if job.scale != "full":
        environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    return environment


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _post_mortem(returncode: int, timed_out: bool, timeout: float, log: str) -> Outcome:
    stage = next((line[11:] for line in reversed(log.splitlines()) if line.startswith("[effbench] ")), "start")
    if timed_out:
        return Outcome(status="timeout", reason=f"stopped after {timeout:g} s, during: {stage}")
    if returncode == -signal.SIGKILL:
        return Outcome(
            status="out_of_memory", reason=f"killed by the system, most likely out of memory, during: {stage}"
        )
    if returncode < 0:
        return Outcome(status="failed", reason=f"died of {signal.Signals(-returncode).name} during: {stage}")
    last = log.strip().splitlines()[-1] if log.strip() else "no output"
    return Outcome(status="failed", reason=f"the process ended with code {returncode} during: {stage}: {last}")
