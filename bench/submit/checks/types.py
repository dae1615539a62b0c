"""Check: mypy finds nothing wrong in the method's file."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bench.submit.checks.check import Check, NotChecked
from bench.submit.subject import MethodSubject

ROOT = Path(__file__).resolve().parents[3]


def problems(subject: MethodSubject) -> Iterator[str]:
    if find_spec("mypy") is None:
        raise NotChecked("mypy is not installed: pip install mypy")
    config = ROOT / "pyproject.toml"
    # What comes from a helper is Any, as helpers are checked on their own; returning it is no mistake.
    options = ["--no-warn-return-any", "--no-error-summary", "--hide-error-context", "--no-color-output", "--no-pretty"]
    if config.exists():
        options += ["--config-file", str(config)]
    command = [sys.executable, "-m", "mypy", *options, str(subject.file)]
    checked = subprocess.run(command, cwd=subject.file.parents[2], capture_output=True, text=True, check=False)
    if checked.returncode > 1:
        raise NotChecked(f"mypy could not work: {(checked.stderr or checked.stdout).strip().splitlines()[-1]}")
    yield from (line for line in checked.stdout.splitlines() if ": error: " in line)


CHECK = Check(
    "types",
    guards="the file is typed, and its types fit each other and the contract (mypy --strict)",
    mend="correct the lines that mypy names; `build` and `supports` are declared as in bench/contract/method.py",
    problems=problems,
)
