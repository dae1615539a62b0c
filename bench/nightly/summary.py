"""The night in Markdown: what is worse first, each with its size, its interval, and why."""

import math
from collections import Counter
from datetime import timedelta

from bench.analyse.regressions import Change
from bench.nightly.night import Finding, Night
from bench.publish.format import percent
from bench.publish.markdown import command, escaped

_MOST = 30  # lines of one list


def summary(night: Night) -> str:
    """The summary; its first line says whether anything is confirmed worse."""
    regressions = night.regressions
    machine = [finding for finding in night.findings if finding.worse and not finding.regression]
    better = [finding for finding in night.findings if not finding.worse]
    verdict = f"{len(regressions)} confirmed regressions" if regressions else "no confirmed regression"
    parts = [f"# Night: {verdict}", _what_ran(night)]
    parts += _section("Regressions", [_line(finding) for finding in regressions])
    parts += _section("Worse because of the machine", [_line(finding) for finding in machine])
    parts += _section("Better", [_line(finding) for finding in better])
    shifts = [f"{escaped(name)}: {percent(shift)}" for name, shift in sorted(night.shifts.items())]
    parts += _section("The baseline's own times moved", shifts)
    still = [
        f"{escaped(series.configuration.name)}, {escaped(series.figure)}: {verdict}{_size(change)}"
        for series, change, verdict in night.open
    ]
    parts += _section("Not settled: measured again tomorrow", still)
    left = Counter(item.reason for item in night.left)
    if left:
        parts.append("Not run, no time left: " + ", ".join(f"{n} {reason}" for reason, n in left.items()) + ".")
    return "\n\n".join(parts) + "\n"


def _what_ran(night: Night) -> str:
    took = timedelta(seconds=round(night.seconds))
    reasons = ", ".join(f"{n} {reason}" for reason, n in night.reasons.items())
    failed = Counter(record.status for record in night.records if record.status != "ok")
    said = f"{len(night.records)} runs in {took}, {sum(night.reasons.values())} configurations ({reasons or 'none'}), "
    said += f"{night.watched} figures watched."
    return said + (f" Not ok: {', '.join(f'{n} {status}' for status, n in failed.items())}." if failed else "")


def _section(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    shown = [f"- {line}" for line in lines[:_MOST]]
    more = [f"- … and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
    return [f"## {title}", "\n".join(shown + more)]


def _line(finding: Finding) -> str:
    where, board = finding.configuration, finding.configuration.board
    if finding.change is None:
        what = f"{finding.before.status} → {finding.after.status}"
        what += f": {escaped(finding.after.reason)}" if finding.after.reason else ""
    else:
        what = escaped(finding.figure) + _size(finding.change)
    commits = " → ".join((record.environment.commit or "unknown")[:10] for record in (finding.before, finding.after))
    return (
        f"**{escaped(where.name)}** ({escaped(board.suite)}, {escaped(board.hardware)}): {what}  \n"
        f"  cause: {finding.cause}. {escaped(finding.reason)}  \n"
        f"  commits {escaped(commits)}; {command(finding.after.command)}"
    )


def _size(change: Change | None) -> str:
    """How much worse, with its interval; of a figure where more is better, worse is less."""
    if change is None:
        return ""
    value, low, high = (percent(math.expm1(min(x, 700.0))) for x in (change.change, change.low, change.high))
    nights = f" over {change.nights} nights" if change.nights > 1 else ""
    return f" {value} [{low}, {high}]{nights} ({'worse' if change.change > 0 else 'better'})"
