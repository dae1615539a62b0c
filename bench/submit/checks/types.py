"""Check: mypy finds nothing wrong in the method's file."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from bench.registry import Listed
from bench.submit.checks.check import Check, NotChecked
from bench.submit.subject import MethodSubject

ROOT = Path(__file__).resolve().parents[3]
NOT_OURS = ("[no-any-return]", "[no-untyped-call]", "[import-not-found]", "[import-untyped]")
"""Come from what mypy does not follow into: helpers, which are checked on their own, and libraries without types."""


def problems(subject: MethodSubject) -> Iterator[str]:
    if find_spec("mypy") is None:
        raise NotChecked("mypy is not installed: pip install mypy")
    mine = _file(subject.listed)
    for line in _complaints(tuple(sorted({mine, *map(_file, subject.together)}))):
        if line.startswith(f"{mine}:"):
            yield line


def _file(listed: Listed) -> str:
    return os.path.relpath(ROOT / listed.place, ROOT)


@cache
def _complaints(files: tuple[str, ...]) -> tuple[str, ...]:
    """One run for all files: most of it is spent on what they share."""
    options = ["--no-error-summary", "--hide-error-context", "--no-color-output", "--no-pretty"]
    if not (ROOT / "pyproject.toml").exists():  # no checkout, so there are no settings and no place for a cache
        options += ["--strict", "--ignore-missing-imports", "--cache-dir", os.devnull]
    command = [sys.executable, "-m", "mypy", *options, *files]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if checked.returncode > 1:
        raise NotChecked(f"mypy could not work: {(checked.stderr or checked.stdout).strip().splitlines()[-1]}")
    lines = checked.stdout.splitlines()
    return tuple(line for line in lines if ": error: " in line and not line.endswith(NOT_OURS))


CHECK = Check(
    "types",
    guards="the file is typed, and its types fit each other and the contract (mypy --strict)",
    mend="correct the lines that mypy names; `build` and `supports` are declared as in bench/contract/method.py",
    problems=problems,
)
