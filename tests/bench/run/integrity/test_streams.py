"""Work on a stream that nobody waits for is found by what the device still does, not by how slow the host is."""

import pytest

from bench.measure.paired import PairedTimes
from bench.run.integrity import RuleBroken
from bench.run.integrity.results import check_streams


def times(unfinished: float | None) -> dict[str, PairedTimes]:
    slow_host = {"candidate": [3e-3] * 20, "device_candidate": [5e-4] * 20}
    return {"latency": PairedTimes(1.0, "token", **slow_host, unfinished=unfinished)}


def test_a_slow_host_is_no_hidden_work() -> None:
    check_streams(times(2e-5))
    check_streams(times(None))  # a CPU has no streams


def test_work_that_goes_on_after_the_steps_own_stream_is_refused() -> None:
    with pytest.raises(RuleBroken, match=r"work not done when the step returned: .*other streams working"):
        check_streams(times(3e-3))
