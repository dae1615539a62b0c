"""What starts where: jobs in the order of the plan, on nodes as they become free. Pure bookkeeping, no Ray.

A timed run has its node to itself: it claims every processor, so that nothing that asks for one runs beside it. Runs
that are only scored, and all runs of a fleet that shares its nodes, claim their threads; a run on CUDA claims a GPU.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from bench.run.cluster.node import Answer
from bench.run.plan import Job

ATTEMPTS = 3
"""How often a run may lose its node. Whatever takes three nodes with it will take the next."""


@dataclass(frozen=True)
class Node:
    """A node that may be used: what it has for its runs, and its answer to each job of the plan."""

    id: str
    name: str
    cpus: float
    gpus: float
    answers: Mapping[Job, Answer]

    def refusal(self, job: Job) -> str | None:
        """Why the job can never run on this node, or None."""
        if job.device.startswith("cuda:"):
            return "a cluster assigns its GPUs itself: use --device cuda"
        if job.threads > self.cpus:
            return f"it has {self.cpus:g} processors for runs, {job.threads} are needed; --threads sets how many"
        if job.device == "cuda" and self.gpus < 1:
            return "it has no GPU"
        return self.answers[job].refusal


@dataclass(frozen=True)
class Claim:
    """What a run takes of a node while it runs."""

    cpus: float
    gpus: float


class Fleet:
    """The jobs that are left, the nodes that are there, and who runs what."""

    def __init__(self, share_nodes: bool = False) -> None:
        self.share_nodes = share_nodes
        self.nodes: dict[str, Node] = {}
        self.todo: list[Job] = []
        self.running: dict[Job, tuple[Node, Claim]] = {}
        self.given_up: dict[Job, str] = {}
        self._losses: Counter[Job] = Counter()

    @property
    def busy(self) -> bool:
        """Whether anything is still to come."""
        return bool(self.todo or self.running)

    def answered(self, jobs: Iterable[Job], keys: set[str]) -> list[Job]:
        """Jobs that were recorded, under one of these keys, with the inputs that some node here would give them."""
        return [
            job
            for job in jobs
            if any(node.refusal(job) is None and node.answers[job].key in keys for node in self.nodes.values())
        ]

    def start(self) -> Iterator[tuple[Job, Node, Claim]]:
        """Start what can start now: the first job of the plan that a node has room for, until there is none."""
        for node in self.nodes.values():
            while (found := self._next(node)) is not None:
                job, claim = found
                self.todo.remove(job)
                self.running[job] = (node, claim)
                yield job, node, claim

    def done(self, job: Job) -> None:
        """The job has its record."""
        del self.running[job]

    def lost(self, job: Job, why: str) -> None:
        """The run ended without a record, through no doing of the method: it goes first, on a node that answers."""
        node, _ = self.running.pop(job)
        self.nodes.pop(node.id, None)
        self._losses[job] += 1
        if self._losses[job] < ATTEMPTS:
            self.todo.insert(0, job)
        else:
            self.given_up[job] = why

    def keep(self, alive: Callable[[str], bool]) -> None:
        """Forget the nodes that are gone. What ran there is told by `lost`."""
        self.nodes = {name: node for name, node in self.nodes.items() if alive(name)}

    def _next(self, node: Node) -> tuple[Job, Claim] | None:
        taken = [claim for other, claim in self.running.values() if other.id == node.id]
        cpus = node.cpus - sum(claim.cpus for claim in taken)
        gpus = node.gpus - sum(claim.gpus for claim in taken)
        for job in self.todo:
            claim = self._claim(job, node)
            if claim.cpus <= cpus and claim.gpus <= gpus and node.refusal(job) is None:
                return job, claim
        return None

    def _claim(self, job: Job, node: Node) -> Claim:
        alone = job.timed and not self.share_nodes
        return Claim(node.cpus if alone else job.threads, 1 if job.device.startswith("cuda") else 0)
