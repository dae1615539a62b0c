"""A real Ray cluster of two nodes on this machine. One is killed midway: nothing is lost, nothing comes twice."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.record import store
from bench.record.schema import Outcome, Record
from bench.registry import Registry
from bench.run.cluster import ClusterUnusable
from bench.run.cluster.revision import Revision
from bench.run.local import LocalExecutor
from bench.run.order import Order
from bench.run.plan import Job, Selection, make_plan
from bench.run.progress import Progress
from bench.run.runner import run_plan

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

MARK = "EFFBENCH_TEST_CLUSTER"
METHODS = ["toy-raise", "toy-exit", "toy-killed", "toy-large", "toy-half:default"]


class Diary(Progress):
    """Notes what begins where, and calls `when` after that."""

    def __init__(self, when: Callable[["Diary", str], None] = lambda diary, where: None) -> None:
        super().__init__()
        self.begun: list[tuple[Job, str]] = []
        self.ended: list[Job] = []
        self._when = when

    def begin(self, job: Job, where: str = "") -> None:
        super().begin(job, where)
        self.begun.append((job, where))
        self._when(self, where)

    def end(self, job: Job, record: Record | None) -> None:
        super().end(job, record)
        self.ended.append(job)


@pytest.fixture
def cluster(toy_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes with a processor each. They inherit the environment, and with it the toy plug-in."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv(MARK, uuid.uuid4().hex)
    options = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=options)
    nodes.add_node(**{name: value for name, value in options.items() if name != "include_dashboard"})
    try:
        nodes.wait_for_nodes()
        yield nodes
    finally:
        nodes.shutdown()


def plan(registry: Registry, methods: Sequence[str]) -> list[Job]:
    return make_plan(registry, Selection("toy", methods, ["half"], scale="tiny", threads=1))


def content(records: Sequence[Record]) -> list[tuple[Any, ...]]:
    """What must not hang on where a run was made."""
    return sorted(
        (each.key, each.hardware, each.status, str(each.reason), each.quality["error"].samples if each.quality else [])
        for each in records
    )


def nothing_is_left() -> bool:
    """Whether the runs of this test's cluster have ended, with all their processes."""
    deadline = time.monotonic() + 30
    while (left := _runs()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not left


def _runs() -> list[int]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "bench.run.warm" in process.cmdline() and process.environ().get(MARK) == os.environ[MARK]:
                found.append(process.pid)
    return found


def test_a_node_is_killed_midway(cluster: Any, toy_registry: Registry, tmp_path: Path) -> None:
    from bench.run.cluster.ray import run_on_ray

    victim = cluster.list_all_nodes()[-1]
    killed: list[str] = []

    def kill_when_it_works(diary: Diary, where: str) -> None:
        if victim.node_id[:8] in where and diary.ended and not killed:
            killed.append(where)
            threading.Timer(2.0, cluster.remove_node, [victim], {"allow_graceful": False}).start()

    jobs = plan(toy_registry, METHODS)
    diary = Diary(kill_when_it_works)
    records = run_on_ray(jobs, tmp_path / "ray", address=cluster.address, progress=diary)

    stored, broken = store.read_all(tmp_path / "ray")
    assert broken == []
    assert sorted(each.id for each in stored) == sorted(each.id for each in records)
    assert sorted(diary.ended, key=jobs.index) == jobs  # each once
    begun = [job for job, _ in diary.begun]
    (lost,) = [job for job in jobs if begun.count(job) == 2]  # and no method's failure is tried again
    first, second = (where for job, where in diary.begun if job == lost)
    assert [first] == killed
    assert second != first
    assert content(records) == content(run_plan(toy_registry, jobs, tmp_path / "local"))
    assert run_on_ray(jobs, tmp_path / "ray", address=cluster.address) == []
    assert nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_driver_keeps_what_is_done_and_continues(
    cluster: Any, toy_registry: Registry, tmp_path: Path, number: signal.Signals
) -> None:
    command = [
        sys.executable, "-m", "bench.cli", "run", "--suite", "toy", "--scale", "tiny", "--point", "half",
        "--threads", "1", "--method", "toy-half:default", "--results", str(tmp_path),
        "--executor", "ray", "--ray-address", cluster.address,
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*/*/*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=90)
    before = store.read_all(tmp_path)[0]
    assert 1 <= len(before) < 3, errors
    if number != signal.SIGKILL:
        assert process.returncode == 130, errors
        assert b"continues where it stopped" in errors
    assert nothing_is_left()
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    after, broken = store.read_all(tmp_path)
    assert broken == []
    assert after[: len(before)] == before
    assert len({each.key for each in after}) == len(after) == 3


def test_a_run_that_takes_its_nodes_process_with_it_is_given_up_and_has_no_record(
    cluster: Any, toy_registry: Registry, tmp_path: Path
) -> None:
    from bench.run.cluster.ray import run_on_ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the nodes can't import a test
    good, bad = plan(toy_registry, ["toy-large", "toy-raise"])
    with pytest.raises(ClusterUnusable, match="toy-raise at half, seed 0"):
        run_on_ray([bad, good], tmp_path, address=cluster.address, executor=_DiesWithToyRaise())
    (record,) = store.read_all(tmp_path)[0]
    assert record.method == "toy-large"


def test_door_refuses_before_work(
    cluster: Any, toy_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.run.cluster import ray as module

    jobs = make_plan(toy_registry, Selection("toy", ["toy-large"], scale="tiny", threads=64))
    with pytest.raises(ClusterUnusable, match="64 are needed"):
        module.run_on_ray(jobs, tmp_path, address=cluster.address)
    monkeypatch.setattr(module, "revision", lambda root: Revision("f" * 40, "other"))
    with pytest.raises(ClusterUnusable, match=r"other code .* check out the same commit there"):
        module.run_on_ray(plan(toy_registry, ["toy-large"]), tmp_path, address=cluster.address)
    assert store.read_all(tmp_path) == ([], [])


def test_an_address_where_nobody_answers_is_said_at_once(tmp_path: Path) -> None:
    from bench.run.cluster.ray import run_on_ray

    for address in ("127.0.0.1:9", "ray://127.0.0.1:9"):
        with pytest.raises(ClusterUnusable, match=r"no Ray cluster to be had at .*Connection refused"):
            run_on_ray([], tmp_path, address=address)


class _DiesWithToyRaise(LocalExecutor):
    def execute(self, order: Order, timeout: float, preload: Sequence[str] = ()) -> tuple[Outcome, str]:
        if order.method.name == "Raises":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(order, timeout, preload)
