"""What the kernel tells of a process and all below it."""

import os
import subprocess
import sys
import time

from bench.run.tree import descendants, usage

BUSY = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"


def test_the_seconds_of_a_process_that_has_ended_count_before_anybody_asks_how() -> None:
    before = usage(os.getpid()).processor_seconds
    child = subprocess.Popen([sys.executable, "-S", "-c", BUSY])
    while child.pid in descendants(os.getpid()):
        time.sleep(0.05)
    ended = usage(os.getpid())
    assert child.pid in descendants(os.getpid(), ended=True)
    assert ended.processor_seconds - before >= 0.5
    child.wait()
    assert usage(os.getpid()).processor_seconds >= ended.processor_seconds
