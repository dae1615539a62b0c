"""What a person sees while a plan runs: what runs, what is left, and an estimate of how long."""

import statistics
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from bench.record.plain import one_line, terminal
from bench.record.schema import Record
from bench.run.plan import Job


class Progress:
    """A progress bar on a terminal; elsewhere (logs, CI) a line when a run begins and one when it ends."""

    side_by_side: int
    """How many runs go on at a time, for the estimate."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=terminal(sys.stderr))

    def start(self, todo: Sequence[Job], skipped: int, history: Sequence[Record]) -> None:
        self._left = list(todo)
        self.side_by_side = 1
        self._known: dict[str, list[float]] = {}
        self._took: list[tuple[str, float]] = []
        alike = {(job.suite, job.scale) for job in todo}
        for record in history:
            if (record.suite, record.scale) in alike and record.status == "ok":
                self._known.setdefault(record.method, []).append(record.seconds)
        if skipped:
            self.console.print(f"{skipped} of {len(todo) + skipped} runs are already recorded; --again repeats them")
        threads = " or ".join(map(str, sorted({job.threads for job in todo})))
        on = f" on {threads} thread{'s' * (threads != '1')} each" if todo else ""
        self.console.print(f"{len(todo)} runs to do{on}, {self._estimate()}")
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[estimate]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=len(todo), estimate="")
        self._bar.start()

    def begin(self, job: Job, where: str = "") -> None:
        if not self.console.is_terminal:
            self.say(f"running {job.label}{where and f' on {where}'}")
        self._bar.update(self._task, description=one_line(job.label), estimate=self._estimate())

    def end(self, job: Job, record: Record | None) -> None:
        """record: None where another runner does the job, or has done it."""
        self._left.remove(job)
        if record is None:
            self._bar.advance(self._task)
            return
        self._took.append((job.method, record.seconds))
        reason = f" ({record.reason})" if record.reason else ""
        done = f"{job.label}: {record.status}{reason}, {record.seconds:.0f} s"
        self.say(f"{done}; {len(self._left)} left, {self._estimate()}")
        self._bar.advance(self._task)

    def say(self, line: str) -> None:
        """A line of its own."""
        self.console.print(one_line(line), markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        self._bar.stop()

    def _estimate(self) -> str:
        """From the median time of earlier runs of the same method, else of all, and from how much longer than that the
        runs of now have taken: the machine may be another, or busy."""
        known = {method: statistics.median(seconds) for method, seconds in self._known.items()}
        usual = statistics.median(known.values() or [seconds for _, seconds in self._took] or [0.0])
        if not usual:
            return "no estimate yet"
        expected = sum(known.get(method, usual) for method, _ in self._took)
        slower = sum(seconds for _, seconds in self._took) / expected if self._took else 1.0
        seconds = slower * sum(known.get(job.method, usual) for job in self._left) / self.side_by_side
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"
