"""The warm process and its keepers: whoever ends, nothing of a run is left."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.run.party import NotStarted, Party, Starter, Warm
from bench.run.tree import descendants


@pytest.fixture
def warm() -> Iterator[Warm]:
    warm = Warm((), {"OMP_NUM_THREADS": "1"})
    yield warm
    warm.close()


@pytest.fixture
def starter(warm: Warm) -> Starter:
    return warm.starter(sys.stderr.fileno())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def eventually(what: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return False


def waiting(starter: Starter, folder: Path) -> Party:
    """A party that waits for its first message."""
    party = starter.start("builder", folder)
    assert alive(party.pid)
    assert descendants(party.keeper) == [party.pid]
    return party


def test_a_party_ends_with_an_exit_code(starter: Starter, tmp_path: Path) -> None:
    party = waiting(starter, tmp_path / "its")
    party.channel.send({"no": "order"})
    ended = party.ended()
    assert (ended.code, ended.signal, ended.survivors) == (1, None, ())
    assert (tmp_path / "its").is_dir()


def test_a_party_is_killed_by_whoever_started_it(starter: Starter, tmp_path: Path) -> None:
    party = waiting(starter, tmp_path)
    party.kill()
    assert party.ended().signal == signal.SIGKILL
    assert not alive(party.pid)


def test_a_party_goes_with_its_keeper(starter: Starter, tmp_path: Path) -> None:
    party = waiting(starter, tmp_path)
    os.kill(party.keeper, signal.SIGKILL)
    assert eventually(lambda: not alive(party.pid))
    assert party.ended().signal == signal.SIGKILL
    assert waiting(starter, tmp_path).pid != party.pid  # the others go on


def test_all_parties_go_with_the_warm_process(warm: Warm, starter: Starter, tmp_path: Path) -> None:
    parties = [waiting(starter, tmp_path / str(index)) for index in range(2)]
    assert warm.process is not None
    warm.process.kill()
    warm.process.wait()
    assert eventually(lambda: not any(alive(party.keeper) or alive(party.pid) for party in parties))
    with pytest.raises(NotStarted):
        starter.start("builder", tmp_path / "more")
    assert alive(waiting(warm.starter(sys.stderr.fileno()), tmp_path / "new").pid)  # begun anew


def test_the_warm_process_goes_with_whoever_started_it(warm: Warm, starter: Starter, tmp_path: Path) -> None:
    party = waiting(starter, tmp_path)
    assert warm.control is not None
    assert warm.process is not None
    warm.control.close()
    assert warm.process.wait(timeout=20) == 0
    assert not alive(party.pid)


def test_the_folder_of_a_run_goes_with_its_judge(starter: Starter, tmp_path: Path) -> None:
    judge = starter.start("judge", tmp_path / "run")
    assert eventually((tmp_path / "run").is_dir)
    (tmp_path / "run" / "artefact").write_bytes(bytes(1000))
    os.kill(judge.keeper, signal.SIGKILL)
    assert eventually(lambda: not (tmp_path / "run").exists())


def test_a_module_that_starts_a_thread_is_not_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "starts_a_thread.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    warm = Warm(("json", "starts_a_thread", "this_is_not_there"), {"OMP_NUM_THREADS": "1", "PYTHONPATH": path})
    try:
        assert alive(waiting(warm.starter(sys.stderr.fileno()), tmp_path / "its").pid)
        assert warm.process is not None
        assert len(os.listdir(f"/proc/{warm.process.pid}/task")) == 1
        assert "starts_a_thread starts a thread" in capfd.readouterr().err
    finally:
        warm.close()
