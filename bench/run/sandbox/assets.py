"""Is everything installed that the runs of a plan need? A suite's own code says so, in the sandbox.

`python -m bench.run.sandbox.assets QUESTIONS` is the part inside; what it prints is read up to a limit.
"""

import importlib
import json
import subprocess
import sys
import threading
from collections.abc import Sequence

from bench.contract import MissingAsset
from bench.record.plain import one_line
from bench.registry.registry import ready
from bench.run.order import Order
from bench.run.sandbox.bubblewrap import environment
from bench.run.sandbox.confinement import Confinement

_LONGEST = 2000
_SECONDS = 120.0


def check_assets(confinement: Confinement, orders: Sequence[Order]) -> None:
    """Raise MissingAsset, in the words of the suite. What can't be asked is found out by the run."""
    questions = {json.dumps([o.module, o.problem, dict(o.settings), o.scale, o.base]): None for o in orders}
    command = [sys.executable, "-P", "-m", "bench.run.sandbox.assets", json.dumps(list(map(json.loads, questions)))]
    with subprocess.Popen(
        confinement.command(command), env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        timer = threading.Timer(_SECONDS, process.kill)
        timer.start()
        assert process.stdout is not None
        answer = process.stdout.read(_LONGEST)
        timer.cancel()
        process.kill()
    if answer:
        raise MissingAsset(one_line(answer.decode(errors="replace")))


def main() -> None:
    """Inside: print what is missing first."""
    for module, problem, settings, scale, base in json.loads(sys.argv[1]):
        missing = ready(importlib.import_module(module), problem, settings).missing(scale, base)
        if missing is not None:
            print(missing, end="")
            return


if __name__ == "__main__":
    main()
