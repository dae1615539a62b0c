"""`effbench run --executor ray`: a plan on a Ray cluster, or on one that is started here and stopped again.

The driver, this process, decides what runs where (see fleet.py), pins each run to its node, and writes the records. Ray
is told to retry nothing: it can't tell a lost node from a failed method. A run whose process ended without an answer
lost its node and is run again elsewhere; a method that fails, hangs or dies does so in a process of its own on the
node, and that is its record.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from bench.record.ceilings import read_ceilings, store_ceilings
from bench.record.environment import usable_cores
from bench.record.schema import Isolation, Outcome, Record
from bench.run.cluster import ClusterUnusable
from bench.run.cluster.fleet import Claim, Fleet, Node
from bench.run.cluster.node import inspect, run_on_node
from bench.run.cluster.revision import revision
from bench.run.order import Order
from bench.run.plan import Job
from bench.run.progress import Progress
from bench.run.runner import ROOT, Executor, known_records, store_each

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported
try:
    import ray
    from ray.exceptions import OutOfMemoryError, RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ModuleNotFoundError as missing:
    raise ClusterUnusable(
        "the ray executor needs Ray, which is not installed: pip install -c constraints.txt -e '.[ray]'"
    ) from missing

PATIENCE = 300.0
"""Seconds without any node of use after which the plan is stopped."""

_TURN = 1.0
_STOPPING = 20.0
_OBJECT_STORE = 128 << 20  # records are small


def run_on_ray(
    jobs: Sequence[Job],
    results: Path,
    *,
    address: str | None = None,
    share_nodes: bool = False,
    again: bool = False,
    timeout: float | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> list[Record]:
    """As bench.run.runner.run_plan, on the Ray cluster at `address`, else RAY_ADDRESS, else one of its own.

    A job is answered if it is recorded with the inputs (hardware class, versions) of any node that could run it.
    share_nodes: timed runs get no node for themselves. executor: runs the job on its node, in place of a local one;
    goes there pickled.
    Raises ClusterUnusable: no cluster there, other code on a node, a job that no node can run, no node left, or runs
    that lost their node too often; all other records are stored then.
    """
    known = known_records(results)
    with _Cluster(address, results, timeout, executor, share_nodes) as cluster:
        cluster.meet(jobs)
        keys = set() if again else {record.key for record in known if not record.disturbed}
        answered = set(cluster.fleet.answered(jobs, keys))
        todo = [job for job in jobs if job not in answered]
        return store_each(
            partial(cluster.run, todo), todo, results, skipped=len(answered), known=known, progress=progress
        )


@dataclass(frozen=True)
class _Probe:
    """A node that was asked what it is."""

    node: dict[str, Any]


class _Cluster:
    """The connection to a cluster, what is asked of it and has not been answered."""

    def __init__(
        self, address: str | None, results: Path, timeout: float | None, executor: Executor | None, share_nodes: bool
    ) -> None:
        self.fleet = Fleet(share_nodes)
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._results, self._timeout, self._executor = results, timeout, executor
        self._code = revision(ROOT)
        self._pending: dict[Any, _Probe | Job] = {}
        self._plan: Sequence[Job] = ()
        self._unfit: dict[str, str] = {}
        self._settled: dict[Job, Outcome] = {}

    def __enter__(self) -> Self:
        own: dict[str, Any] = {}
        if self._address == "local":
            own = {
                "num_cpus": usable_cores(),
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE,
            }
        handler = signal.getsignal(signal.SIGTERM)  # Ray sets its own, which ends the process
        try:
            _knock(self._address)
            ray.init(address=self._address, log_to_driver=False, logging_level="ERROR", **own)
        except (OSError, RuntimeError, ValueError, RayError) as error:
            raise ClusterUnusable(f"no Ray cluster to be had at {self._address}: {error}") from error
        finally:
            signal.signal(signal.SIGTERM, handler)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what still runs, first as Ctrl-C would, so that a job can kill what it started; then for good."""
        try:
            for forced in (False, True):
                for task in self._pending:
                    ray.cancel(task, force=forced)
                if self._pending and not forced:
                    done, _ = ray.wait(list(self._pending), num_returns=len(self._pending), timeout=_STOPPING)
                    self._pending = {task: of for task, of in self._pending.items() if task not in done}
        finally:
            ray.shutdown()

    def meet(self, jobs: Sequence[Job]) -> None:
        """Ask every node of the cluster, and see that each job could run on one of them."""
        self._plan = jobs
        self._ask_new_nodes()
        deadline = time.monotonic() + PATIENCE
        while self._pending and time.monotonic() < deadline:
            self._hear(self._unfit.__setitem__)
        if self._unfit:
            raise ClusterUnusable("; ".join(f"node {name}: {why}" for name, why in self._unfit.items()))
        if not self.fleet.nodes:
            raise ClusterUnusable(f"the Ray cluster at {self._address} has no node that answers")
        for job in jobs:
            reasons = {node.name: node.refusal(job) for node in self.fleet.nodes.values()}
            if all(reasons.values()):
                why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
                raise ClusterUnusable(f"no node can run {job.label} ({why})")

    def run(self, todo: Sequence[Job], progress: Progress) -> Iterator[tuple[Job, Record]]:
        """A record for each job, as they come."""
        self.fleet.todo = list(todo)
        last_of_use = time.monotonic()
        while self.fleet.busy:
            self._ask_new_nodes()
            for job, node, claim in self.fleet.start():
                self._submit(job, node, claim)
                progress.side_by_side = len(self.fleet.running)
                progress.begin(job, where=node.name)
            if self.fleet.running:
                last_of_use = time.monotonic()
            elif time.monotonic() - last_of_use > PATIENCE:
                raise ClusterUnusable(f"no node of use for {PATIENCE:g} s; the same command continues where it stopped")
            yield from self._hear(lambda name, why: progress.say(f"node {name}: {why}"))
        if self.fleet.given_up:
            lost = "; ".join(f"{job.label} ({why})" for job, why in self.fleet.given_up.items())
            raise ClusterUnusable(f"{len(self.fleet.given_up)} runs lost their node again and again: {lost}")

    def _ask_new_nodes(self) -> None:
        """Nodes come and go while a plan runs."""
        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        self.fleet.keep(alive.__contains__)
        asked = {of.node["NodeID"] for of in self._pending.values() if isinstance(of, _Probe)}
        cuda = any(job.device.startswith("cuda") for job in self._plan)
        for identity, node in alive.items():
            has = node["Resources"]
            if identity in asked or identity in self.fleet.nodes or _name(node) in self._unfit or not has.get("CPU"):
                continue
            gpus = 1 if cuda and has.get("GPU", 0) >= 1 else 0  # a class of hardware is read off the device
            task = _on(identity, inspect, cpus=0, gpus=gpus).remote(self._plan, self._code)
            self._pending[task] = _Probe(node)

    def _submit(self, job: Job, node: Node, claim: Claim) -> None:
        executor = self._executor
        if job in self._settled:
            executor = _Settled(self._settled[job])
        protected = [self._results.resolve()]
        known = read_ceilings(self._results, node.answers[job].hardware)
        run = _on(node.id, run_on_node, cpus=claim.cpus, gpus=claim.gpus)
        self._pending[run.remote(job, self._timeout, executor, protected, known)] = job

    def _hear(self, unfit: Callable[[str, str], None]) -> list[tuple[Job, Record]]:
        """What came within a turn. unfit: told of a node that can't be used, and why."""
        if not self._pending:
            time.sleep(_TURN)
            return []
        (done, _), records = ray.wait(list(self._pending), timeout=_TURN), []
        for task in done:
            of = self._pending.pop(task)
            try:
                answer = ray.get(task)
            except RayTaskError as error:
                if not isinstance(of, _Probe):
                    raise error.as_instanceof_cause() from None
                unfit(_name(of.node), f"it can't say what it is: {error.cause}")
                self._unfit[_name(of.node)] = str(error.cause)
            except RayError as error:
                if isinstance(of, _Probe):
                    time.sleep(_TURN)  # it is dying; asked again as long as the cluster counts it as alive
                else:
                    self._lose(of, error)
            else:
                if isinstance(of, _Probe):
                    self._welcome(of.node, answer, unfit)
                else:
                    records.append((of, self._take(of, *answer)))
        return records

    def _lose(self, job: Job, error: Exception) -> None:
        if isinstance(error, OutOfMemoryError):  # Ray killed it before the system could: that is a result
            self._settled[job] = Outcome(status="out_of_memory", reason="killed by Ray's memory monitor")
        self.fleet.lost(job, f"{type(error).__name__}: {str(error).splitlines()[0]}")

    def _take(self, job: Job, record: Record, ceilings: Any) -> Record:
        self.fleet.done(job)
        if ceilings is not None:
            store_ceilings(self._results, ceilings)
        return record

    def _welcome(self, node: dict[str, Any], facts: Any, unfit: Callable[[str, str], None]) -> None:
        name, has = _name(node), node["Resources"]
        if facts.revision != self._code:
            reason = f"it has other code ({facts.revision}) than here ({self._code}); check out the same commit there"
            self._unfit[name] = reason
            unfit(name, reason)
        else:
            self.fleet.nodes[node["NodeID"]] = Node(node["NodeID"], name, has["CPU"], has.get("GPU", 0), facts.answers)


def _knock(address: str) -> None:
    """Raise OSError if nobody answers at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _on(node: str, function: Callable[..., Any], *, cpus: float, gpus: float) -> Any:
    """The function as a task of a node, there or nowhere, that Ray does not repeat."""
    return ray.remote(function).options(
        num_cpus=cpus,
        num_gpus=gpus,
        max_retries=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
    )


@dataclass
class _Settled:
    """An executor for a job whose outcome is known: on the node, for the rest of its record."""

    outcome: Outcome
    isolation: Isolation = "none"

    def execute(self, order: Order, timeout: float, preload: Sequence[str] = ()) -> tuple[Outcome, str]:
        return self.outcome, ""


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"
