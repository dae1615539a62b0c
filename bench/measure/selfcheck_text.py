"""The report of a selfcheck for people."""

from bench.measure.selfcheck import LEAST_COVERAGE, MOST_FALSE_ALARMS, Report


def as_text(report: Report) -> str:
    """A table of the known ratios, the rates against their targets, and what troubles the machine."""
    lines = [
        f"{report.comparisons} comparisons of {report.seconds:g} s each on {report.device}, {report.threads} threads; "
        f"other processes took {report.waited:.0%} of the time",
        "",
        "true ratio  tries  median found  half-width  covered  seen apart from 1  pairs",
    ]
    lines += [
        f"{row.ratio:>10.2f}{row.tries:>7}{row.median_value:>14.4f}{_percent(row.median_half_width):>12}"
        f"{row.covered:>9.0%}{row.seen:>19.0%}{row.pairs:>7.0f}"
        for row in report.rows
    ]
    lines += [
        "",
        _target("false alarms", report.aa_false_alarm_rate, report.aa_false_alarm_interval)
        + f"at most {MOST_FALSE_ALARMS:.0%}",
        _target("coverage", report.coverage, report.coverage_interval) + f"at least {LEAST_COVERAGE:.0%}",
        f"{'detectable':<14}{_percent(report.detectable_difference):>6}  difference, in four of five measurements of "
        f"{report.seconds:g} s",
        "",
        "targets met" if report.targets_met else "TARGETS NOT MET: do not trust times of this machine as it is",
    ]
    lines += [f"warning: {trouble.what}\n         {trouble.remedy}" for trouble in report.troubles]
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _target(name: str, rate: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{name:<14}{_percent(rate):>6}  (95% interval {low:.1%} to {high:.1%}), target: "
