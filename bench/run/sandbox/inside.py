"""The first process inside: sets the limits, starts the command, says what it left behind. Knows the standard library
alone and imports nothing that a submission could have written: `python -I -S inside.py LIMITS COMMAND...`.

LIMITS: JSON, name of a resource -> limit. It ends as the command does: with its code, or with 128 + the signal.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

LEFT_BEHIND = 113
"""Exit code where the command ended well but processes of its own did not; the last line of the log names one."""

_SET_DUMPABLE = 4


def main() -> None:
    limits, command = json.loads(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0)  # nobody attaches to this process
    for name, limit in {**limits, "RLIMIT_CORE": 0}.items():
        _limit(getattr(resource, name), limit)
    Path("/proc/self/oom_score_adj").write_text("1000")  # if the machine runs out, this goes first
    process = subprocess.Popen(command, close_fds=False)
    code = process.wait()
    if code == 0 and os.getppid() == 1:  # process 1 is the sandbox's own: all that is left was started by the command
        left = _left()
        if left:
            print(f"\n{left}", file=sys.stderr, flush=True)
            sys.exit(LEFT_BEHIND)
    sys.exit(code if code >= 0 else 128 - code)


def _limit(which: int, limit: int) -> None:
    hard = resource.getrlimit(which)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(which, (limit, limit))


def _left() -> str | None:
    """A process that is neither this one nor process 1; those that are just ending have a moment."""
    for _ in range(5):
        left = None
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name, _, state = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            if int(folder.name) not in (1, os.getpid()) and state.split()[0] != "Z":
                left = f"{name} ({folder.name})"
        if left is None:
            return None
        time.sleep(0.1)
    return left


if __name__ == "__main__":
    main()
