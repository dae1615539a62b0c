"""Who may still run when a method has ended its work."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.run.integrity import RuleBroken
from bench.run.integrity.processes import check_alone, note_children_of_others


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_child_that_the_run_started_may_not_stay() -> None:
    note_children_of_others()
    with sleeper() as process, pytest.raises(RuleBroken, match=str(process.pid)):
        check_alone()
    check_alone()


def test_a_child_of_before_the_run_is_not_the_runs() -> None:
    with sleeper():
        note_children_of_others()
        check_alone()
        with sleeper() as own, pytest.raises(RuleBroken, match=str(own.pid)):
            check_alone()
