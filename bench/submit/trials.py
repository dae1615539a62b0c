"""Runs at tiny scale for the checks: by the parties of any run, all forked from one warm process."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.record.schema import Outcome
from bench.registry import Registry
from bench.run.local import LocalExecutor
from bench.run.plan import Job
from bench.run.runner import planned
from bench.submit.no_network import MARK

_PATIENCE = 5
"""So many times a run's time by the clock: what a trial may take is told by its processor seconds, so that a busy
machine fails nobody."""
_NO_NETWORK = "bench.submit.refuse_network"
_TRIED = re.compile(rf"^{re.escape(MARK)}(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Trial:
    """What came of a run. processor_seconds: of all its processes. connections: what it tried to reach over the
    network; the attempts were refused. log: the end of what it printed."""

    outcome: Outcome
    processor_seconds: float = 0.0
    connections: tuple[str, ...] = ()
    log: str = ""


TrialRunner = Callable[[Job], Trial]


@dataclass
class Trials:
    """Runs jobs one after the other, without network. Used as a context; all that a run started is gone at its end."""

    registry: Registry
    executor: LocalExecutor = field(default_factory=LocalExecutor)

    def __enter__(self) -> "Trials":
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.close()

    def __call__(self, job: Job) -> Trial:
        """Run a job. Whatever happens to its processes is an outcome."""
        each = planned(self.registry, job)
        modules = (*each.info.preload, _NO_NETWORK)
        outcome, log = self.executor.execute(each.order, _PATIENCE * each.info.timeout[job.scale], modules)
        return Trial(outcome, self.executor.processor_seconds, tuple(dict.fromkeys(_TRIED.findall(log))), log)
