"""The local executor: a run's parties on this machine, forked from a warm process, with a hard timeout."""

import os
import selectors
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from bench.record.plain import one_line
from bench.record.schema import Isolation, Outcome
from bench.run.channel import Gone, Malformed
from bench.run.order import Order
from bench.run.party import NotStarted, Party, Warm, Wrap
from bench.run.tree import usage

ROOT = Path(__file__).resolve().parents[2]

LOG_BYTES = 256 << 20
LOG_TAIL = 6000
OUTCOME_BYTES = 512 << 20

_TICK = 0.3
_BUSY = 0.5
"""A run that had less than this share of its processors for itself when its time was up says nothing of the method."""

Watch = Callable[[int], Callable[[], Outcome | None]]
"""Of a process's number: what is asked now and then whether the run has to end."""


@dataclass
class LocalExecutor:
    """Runs one job at a time; used as a context. wrap: confines the warm process, and all with it. variables: its whole
    environment where `clean`. watch: ends a run that uses up too much. temporary: where runs have their folders."""

    wrap: Wrap = lambda command: command
    variables: dict[str, str] = field(default_factory=dict)
    clean: bool = False
    watch: Watch | None = None
    temporary: Path | None = None
    isolation: Isolation = "none"
    processor_seconds: float = 0.0
    _warm: Warm | None = None
    _kind: tuple[object, ...] = ()

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._warm is not None:
            self._warm.close()
            self._warm = None

    def execute(self, order: Order, timeout: float, preload: Sequence[str] = ()) -> tuple[Outcome, str]:
        """What comes of a run, and the end of its log. Whatever happens to its processes is an outcome. All of them are
        gone when this returns, also when this process is interrupted."""
        warm = self._warm_for(order, preload)
        folder = self._folder()
        log = _Log()
        judge: Party | None = None
        spent: _Spent | None = None
        try:
            judge = warm.starter(log.end).start("judge", folder)
            spent = _Spent(judge.keeper if warm.process is None else warm.process.pid)
            outcome = self._wait(judge, order, timeout, spent, log)
        except NotStarted as error:
            outcome = Outcome(status="failed", reason=str(error), disturbed=True)
        finally:
            if judge is not None:
                judge.kill()
                judge.ended()
            self.processor_seconds = 0.0 if spent is None else spent.seconds
            shutil.rmtree(folder, ignore_errors=True)
            log.close()
        stage = log.stage()
        if outcome.status == "timeout":
            outcome.reason = f"{outcome.reason} (during: {stage})"
        return outcome, log.text

    def _warm_for(self, order: Order, preload: Sequence[str]) -> Warm:
        kind = (order.threads, order.scale == "full", tuple(preload))
        if self._warm is None or kind != self._kind:
            self.close()
            variables = {**variables_of(order.threads, offline=order.scale != "full"), **self.variables}
            self._warm, self._kind = Warm(tuple(preload), variables, self.clean, self.wrap), kind
        return self._warm

    def _folder(self) -> Path:
        """A name that nobody else has; behind a sandbox's wall it is made inside."""
        folder = tempfile.mkdtemp(prefix="effbench-run-", dir=self.temporary)
        if self.isolation != "none":
            shutil.rmtree(folder)
            return Path("/tmp", Path(folder).name)
        return Path(folder)

    def _wait(self, judge: Party, order: Order, timeout: float, spent: "_Spent", log: "_Log") -> Outcome:
        """The judge's word, or why it has to be ended."""
        exceeded = self.watch(spent.root) if self.watch is not None else lambda: None
        start = time.monotonic()
        try:
            judge.channel.send(order.plain())
            with selectors.DefaultSelector() as selector:
                selector.register(judge.channel.fileno(), selectors.EVENT_READ)
                while not selector.select(_TICK):
                    wall = time.monotonic() - start
                    if wall >= timeout:
                        return _timed_out(timeout, spent.seconds, order.threads, wall)
                    if (stopped := exceeded() or log.excess()) is not None:
                        return stopped
            return Outcome.model_validate_json(judge.channel.receive())
        except (Gone, Malformed) as error:
            ended = judge.ended()
            how = f"signal {ended.signal}" if ended.signal is not None else f"exit code {ended.code}"
            reason = f"the judge's process ended with {how} before it gave an answer ({error})"
            return Outcome(status="failed", reason=reason, disturbed=ended.signal is not None)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            return Outcome(status="failed", reason=f"an outcome that is none: {where}: {first['msg']}")


class _Spent:
    """Processor seconds of a process and all below it, from now on."""

    def __init__(self, root: int) -> None:
        self.root, self._before = root, usage(root).processor_seconds

    @property
    def seconds(self) -> float:
        return usage(self.root).processor_seconds - self._before


def _timed_out(timeout: float, spent: float, threads: int, wall: float) -> Outcome:
    share = spent / (wall * threads)
    outcome = Outcome(status="timeout", reason=f"stopped after {timeout:g} s")
    if share < _BUSY:
        outcome.disturbed = True
        outcome.reason = (
            f"stopped after {timeout:g} s, of which it had {share:.0%} of its processors: the machine was busy"
        )
    return outcome


def variables_of(threads: int, *, offline: bool) -> dict[str, str]:
    """Of the environment of a run with so many threads; offline: no hub is asked."""
    count = str(threads)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": path,
        "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's thread, which nothing could be forked beside
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no pool of compiling processes beside what is measured
    }
    return variables | ({"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if offline else {})


class _Log:
    """What the parties print: the end of it is kept, and all of it is read, so that none ever waits to print."""

    def __init__(self) -> None:
        self._reading, self.end = os.pipe()
        self._kept = bytearray()
        self._stage = "start"
        self._came = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError):
            while data := os.read(self._reading, 1 << 16):
                self._came += len(data)
                self._kept += data
                for line in bytes(data).splitlines():
                    if line.startswith(b"[effbench] "):
                        self._stage = line[11:].decode(errors="replace")
                del self._kept[: -4 * LOG_TAIL]

    def excess(self) -> Outcome | None:
        if self._came <= LOG_BYTES:
            return None
        return Outcome(status="failed", reason=f"stopped: more than {LOG_BYTES >> 20} MiB of output")

    def stage(self) -> str:
        """What the run was about when it last said so."""
        return one_line(self._stage)[:60]

    @property
    def text(self) -> str:
        return bytes(self._kept).decode(errors="replace")[-LOG_TAIL:]

    def close(self) -> None:
        """All that wrote to it has ended, or is about to."""
        os.close(self.end)
        self._thread.join(timeout=5)
        os.close(self._reading)
