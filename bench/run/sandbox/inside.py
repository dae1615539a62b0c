"""The first process inside: sets the limits and becomes the command. Knows the standard library alone, and imports
nothing that a submission could have written: `python -I -S inside.py LIMITS COMMAND...`.

LIMITS: JSON, name of a resource -> limit.
"""

import json
import os
import resource
import sys
from pathlib import Path


def main() -> None:
    limits, command = json.loads(sys.argv[1]), sys.argv[2:]
    for name, limit in {**limits, "RLIMIT_CORE": 0}.items():
        _limit(getattr(resource, name), limit)
    Path("/proc/self/oom_score_adj").write_text("1000")  # if the machine runs out, this goes first
    os.execvp(command[0], command)


def _limit(which: int, limit: int) -> None:
    hard = resource.getrlimit(which)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(which, (limit, limit))


if __name__ == "__main__":
    main()
