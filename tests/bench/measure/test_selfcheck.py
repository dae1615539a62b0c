"""The selfcheck: rates from known tries, and warnings from what the machine says."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from bench.measure import selfcheck as module
from bench.measure.known import RATIOS
from bench.measure.selfcheck import Report, selfcheck, sides_here
from bench.measure.selfcheck_text import as_text
from bench.measure.statistics import Estimate
from bench.measure.troubles import Machine, troubles


def report_of(monkeypatch: pytest.MonkeyPatch, estimates: Mapping[float, list[Estimate]]) -> Report:
    """The report of tries that end with these estimates, by ratio, one after the other."""
    left = {ratio: iter(given) for ratio, given in estimates.items()}

    def tried(ratio: float, *_: object) -> module.Try:
        return module.Try(ratio, next(left[ratio]), waited=0.0)

    monkeypatch.setattr(module, "_try", tried)
    return selfcheck(sides_here, seconds=1, repeats=len(estimates[1.0]))


def around(ratio: float, half: float = 0.01, shift: float = 0.0) -> Estimate:
    value = ratio * math.exp(shift)
    return Estimate(value, value * math.exp(-half), value * math.exp(half), None, 20)


def test_rates_are_counted_from_the_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms = [around(1.0, shift=0.02), around(1.0, shift=-0.02)]
    others = {ratio: [around(ratio)] * 10 for ratio in RATIOS if ratio != 1.0}
    others[2.0] = [around(2.0)] * 9 + [around(2.0, shift=0.05)]
    report = report_of(monkeypatch, {1.0: [around(1.0)] * 38 + alarms, **others})
    assert report.comparisons == 80
    assert report.aa_false_alarm_rate == pytest.approx(2 / 40)
    assert report.coverage == pytest.approx(77 / 80)
    assert report.aa_false_alarm_interval[0] < 0.05 < report.aa_false_alarm_interval[1]
    assert report.targets_met
    assert report.rows[1].seen == 1.0
    assert report.rows[4].covered == pytest.approx(0.9)
    # intervals of +-1 % without error find 1 % and more
    assert report.detectable_difference == pytest.approx(math.expm1(0.01), rel=1e-6)


def test_missed_targets_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {ratio: [around(ratio)] * 5 for ratio in RATIOS if ratio != 1.0}
    alarming = report_of(monkeypatch, {1.0: [around(1.0)] * 17 + [around(1.0, shift=0.1)] * 3, **others})
    assert not alarming.targets_met
    assert "TARGETS NOT MET" in as_text(alarming)
    nothing = Estimate(1.0, 0.0, math.inf, None, 3)
    empty = report_of(monkeypatch, {ratio: [nothing] * 20 for ratio in RATIOS})
    assert empty.aa_false_alarm_rate == 0
    assert not empty.targets_met  # never wrong, since it says nothing


def test_the_report_is_json_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    report = report_of(monkeypatch, {ratio: [around(ratio)] * 4 for ratio in RATIOS})
    report = replace(report, troubles=tuple(troubles(calm(), calm(governor="powersave"), threads=1)))
    stored = json.loads(json.dumps(report.as_json()))
    assert {"aa_false_alarm_rate", "coverage", "detectable_difference", "targets_met"} <= set(stored)
    text = as_text(report)
    assert "targets met" in text
    assert "cpupower" in text
    for ratio in RATIOS:
        assert f"{ratio:.2f}" in text


def test_it_runs_on_this_machine() -> None:
    seen: list[tuple[int, int]] = []
    report = selfcheck(sides_here, seconds=0.01, repeats=2, progress=lambda done, of: seen.append((done, of)))
    assert report.comparisons == 6
    assert [row.ratio for row in report.rows] == list(RATIOS)
    assert seen[-1] == (6, 6)
    assert report.rows[-1].median_value == pytest.approx(2.0, rel=0.3)


def calm(free: int = 2**33, resolution: float = 5e-8, seconds: float = 10.0, **facts: str) -> Machine:
    return Machine(facts, cores=4, free_memory=free, seconds=seconds, resolution=resolution)


def test_a_calm_machine_has_no_troubles() -> None:
    assert list(troubles(calm(seconds=0), calm(governor="performance", load_1min="0.5"), threads=4)) == []


@pytest.mark.parametrize(
    ("after", "options", "word"),
    [
        (calm(thermal_events="3"), {}, "throttled"),
        (calm(), {"throttled": 2}, "throttled"),
        (calm(throttled_periods="9", cpu_quota="4"), {}, "quota"),
        (calm(cpu_quota="1.5"), {"threads": 2}, "2 threads under a quota of 1.5"),
        (calm(), {"threads": 8}, "8 threads on 4"),
        (calm(load_1min="7.1"), {"waited": 0.6}, "load 7.1"),
        (calm(steal_seconds="9"), {}, "hypervisor"),
        (calm(governor="powersave"), {}, "governor powersave"),
        (calm(gpu_other_processes="2"), {}, "GPU"),
        (calm(free=2**28), {}, "256 MiB"),
        (calm(resolution=1e-3), {}, "clock"),
    ],
)
def test_each_trouble_is_named_with_a_remedy(after: Machine, options: dict[str, float], word: str) -> None:
    before = calm(seconds=0, thermal_events="1", throttled_periods="2", steal_seconds="0")
    before = replace(before, facts={k: v for k, v in before.facts.items() if k in after.facts})
    settings: dict[str, float] = {"threads": 1} | options
    found = list(troubles(before, after, **settings))  # type: ignore[arg-type]
    assert len(found) == 1
    assert word in found[0].what
    assert found[0].remedy


def test_the_machine_can_be_looked_at() -> None:
    machine = Machine.now("cpu")
    assert machine.cores >= 1
    assert machine.free_memory > 0
    assert 0 <= machine.resolution < 1e-3
