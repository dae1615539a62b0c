"""What the clock takes out of a time, and what belongs to warming up."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure import clock as clock_module
from bench.measure.clock import Clock, clock
from bench.measure.waiting import Account, RunQueue
from bench.measure.warm_up import warm_up


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def compute(seconds: float) -> None:
    """Until this thread has had so many seconds of a processor, however busy the machine is."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Queue:
    """Says that the calling thread and another one waited during each call."""

    def __init__(self, mine: float, other: float = 0.0, other_ran: float = 1.0) -> None:
        me = threading.get_native_id()
        self.accounts = iter(
            [
                Account({me: (0, 0), -1: (0, 0)}),
                Account({me: (0, int(mine * 1e9)), -1: (int(other_ran * 1e9), int(other * 1e9))}),
            ]
        )

    def read(self) -> Account:
        return next(self.accounts)

    def __exit__(self, *_: object) -> None:
        pass


def test_waiting_for_another_process_is_taken_out_and_sleeping_is_not() -> None:
    with Clock("cpu") as instrument:
        instrument._queue = Queue(mine=0.03)  # type: ignore[assignment]
        _, reading = instrument.time(lambda: time.sleep(0.05))
    assert reading.lost == pytest.approx(0.03, abs=1e-3)
    assert reading.seconds > 0.019
    assert reading.waited == pytest.approx(0.0, abs=1e-3)


def test_no_more_is_taken_out_than_the_call_did_not_compute() -> None:
    with Clock("cpu") as instrument:
        instrument._queue = Queue(mine=9.0)  # type: ignore[assignment]
        _, reading = instrument.time(lambda: spin(0.02))
    assert reading.seconds >= reading.thread * 0.999
    assert reading.lost < 1


def test_waiting_for_ones_own_threads_is_left_in() -> None:
    """Work hidden on a thread while the caller stands in the queue must not come for free."""

    def hidden() -> None:
        worker = threading.Thread(target=compute, args=(0.04,))
        worker.start()
        worker.join()

    with Clock("cpu") as instrument:
        instrument._queue = Queue(mine=0.02)  # type: ignore[assignment]
        _, reading = instrument.time(hidden)
    assert reading.lost < 0.01
    assert reading.waited > 0.01


def test_threads_that_worked_and_waited_disturb_a_call_and_idle_ones_do_not() -> None:
    for other_ran, disturbed in ((0.01, True), (0.0, False)):
        with Clock("cpu") as instrument:
            instrument._queue = Queue(mine=0.0, other=0.01, other_ran=other_ran)  # type: ignore[assignment]
            _, reading = instrument.time(lambda: time.sleep(0.02))
        assert (reading.waited > 0.005) == disturbed
        assert reading.lost == 0


def test_the_kernels_own_account_is_read() -> None:
    me = threading.get_native_id()
    with RunQueue(everyone=True) as queue:
        before = queue.read()
        if not before.threads:
            pytest.skip("the kernel keeps no account here")
        spin(0.02)
        after = queue.read()
        waited = after.waited_since(before, me)
        ran = (after.threads[me][0] - before.threads[me][0]) / 1e9
    assert 0 <= waited < 60
    assert 0 < ran < 1
    assert ran + waited > 0.015


def test_another_process_is_looked_at_from_outside() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            with RunQueue(everyone=True, pid=busy.pid) as queue:
                before = queue.read()
                if not before.threads:
                    pytest.skip("the kernel keeps no account here")
                deadline = time.monotonic() + 20
                while queue.read().ran_since(before) < 0.02 and time.monotonic() < deadline:
                    time.sleep(0.01)
                after = queue.read()
        finally:
            busy.kill()
    assert set(after.threads) == {busy.pid}
    assert after.ran_since(before) >= 0.02


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of the kernel's folder of this process."""
    monkeypatch.setattr(RunQueue, "folder", tmp_path / "task")
    return tmp_path / "task"


@pytest.mark.usefixtures("accounts")
def test_without_an_account_nobody_waited() -> None:
    with RunQueue(everyone=True) as queue:
        assert queue.read().threads == {}
        assert queue.read().waited_since(Account({}), 1) == 0


def test_a_thread_that_ended_is_forgotten(accounts: Path) -> None:
    (accounts / "7").mkdir(parents=True)
    (accounts / "7" / "schedstat").write_text("5 6 7\n")
    with RunQueue(everyone=True) as queue:
        assert queue.read().threads == {7: (5, 6)}
        (accounts / "7" / "schedstat").write_text("")
        assert queue.read().threads == {}


def test_later_changes_to_the_time_module_do_not_reach_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("perf_counter_ns", "perf_counter", "process_time_ns", "thread_time_ns", "time"):
        monkeypatch.setattr(time, name, lambda: 0)
    assert clock(lambda: sum(range(100_000)), "cpu") > 1e-5
    assert clock_module._now() > 0


def test_a_result_is_still_there_when_the_clock_has_stopped() -> None:
    with Clock("cpu") as instrument:
        result, reading = instrument.time(lambda: [1, 2])
    assert result == [1, 2]
    assert reading.device is None


def test_warm_up_is_found_where_it_is() -> None:
    rng = np.random.default_rng(0)
    for head in ([9.0], [3.0, 2.0, 1.5], [1.3] * 15):
        times = np.concatenate([head, np.ones(60)]) * np.exp(rng.normal(0, 0.02, len(head) + 60))
        assert abs(warm_up(times.tolist(), len(times) // 2) - len(head)) <= 1


def test_settled_times_are_hardly_ever_cut() -> None:
    rng = np.random.default_rng(1)
    cuts = []
    for n in (8, 20, 100):
        for _ in range(100):
            times = np.exp(rng.normal(0, 0.02, n)) + (rng.random(n) < 0.1) * rng.uniform(1, 3, n)
            cuts.append(warm_up(times.tolist(), n // 2) / n)
    assert np.mean(cuts) < 0.07
    assert np.median(cuts) == 0


def test_becoming_slower_is_not_warm_up() -> None:
    times = np.linspace(1, 2, 50)
    assert warm_up(times.tolist(), 25) == 0


@given(st.lists(st.floats(1e-6, 1e3), max_size=40), st.integers(0, 40))
def test_never_more_than_allowed(times: list[float], most: int) -> None:
    most = min(most, len(times) // 2)
    assert 0 <= warm_up(times, most) <= most
