"""What a pull request does to the board, in Markdown: a list a phone can show, nothing in it that was not escaped."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bench.analyse.believed import Refused, refused, same
from bench.analyse.compare import Improvement, change_from_baseline, improvement
from bench.analyse.controls import unbeaten
from bench.analyse.floors import guessing
from bench.analyse.frontier import pareto
from bench.analyse.problems import problem_at
from bench.analyse.rows import Board, Row, by_board, make_rows
from bench.analyse.summary import figure, value_of
from bench.measure.statistics import verdict
from bench.publish.format import interval, percent, quantity
from bench.publish.markdown import command, escaped
from bench.record.schema import Record
from bench.registry import ProblemInfo, Registry
from bench.registry.metrics import MARGIN, Metric

MOST = 60_000
"""Characters; a comment on the usual forges may have 65 536."""
MOST_TO_MEND = 20
"""Lines of each kind."""


@dataclass(frozen=True)
class _Board:
    """One board before and after, with how to read it. changed: names of the rows with new records. guesses: what is
    said of those that are no better than guessing."""

    board: Board
    problem: ProblemInfo
    controls: Collection[str]
    before: Mapping[str, Row]
    after: Mapping[str, Row]
    changed: Sequence[str]
    stochastic: Collection[str]
    guesses: Mapping[str, str]

    @property
    def primary_costs(self) -> list[Metric]:
        return self.problem.primaries[1:]

    @property
    def baseline(self) -> Row | None:
        row = self.after.get(self.problem.baseline)
        return row if row is not None and row.ok else None


def make_report(
    base: Sequence[Record],
    now: Sequence[Record],
    broken: Sequence[str],
    registry: Registry,
    touched: Mapping[str, Sequence[str]],
    history: Collection[str] | None = None,
) -> str:
    """Markdown of what is new in `now` against `base`. broken: lines that could not be read, as text. touched: slugs of
    the methods whose runs are others now than at the base, by suite. history: commits that the code comes from, None
    where they are not known."""
    added = _added(base, now)
    wrong = refused(added, base, registry, history)
    out = {id(each.record) for each in wrong}
    new = [record for record in added if id(record) not in out]
    boards = _boards(base, [record for record in now if id(record) not in out], new, registry)
    failed = [record for record in new if record.status != "ok"]
    moves = [line for each in boards for line in _moves(each)]
    parts = [f"# {_headline(new, failed, moves)}"]
    to_mend = _to_mend(len({record.id for record in base} - {record.id for record in now}), broken, wrong)
    if to_mend:
        parts += ["## To be mended", "\n".join(to_mend)]
    if moves:
        parts += ["## The frontier moved", "\n".join(f"- {line}" for line in moves)]
    for each in boards:
        board = each.board
        place = f"{escaped(board.hardware)}, {escaped(board.scale)}, {escaped(board.base)}"
        parts += [f"## {escaped(board.suite)}, {escaped(board.point)}\n\n{place}"]
        losers = unbeaten(
            [*each.after.values()],
            each.controls,
            each.problem.primary,
            each.primary_costs,
            each.stochastic,
            each.guesses,
        )
        parts += ["\n".join(_row(each, name, losers)) for name in each.changed]
    parts += _not_measured(touched, new)
    unknown = sorted({record.suite for record in new} - registry.suites.keys())
    parts += [f"Suites that are not registered here: {', '.join(map(escaped, unknown))}."] if unknown else []
    if failed:
        parts += ["## Not ok", _failures(failed)]
    return _cut(parts)


def _added(base: Sequence[Record], now: Sequence[Record]) -> list[Record]:
    """What was not there as it is now, whatever it calls itself."""
    known = {record.id: record for record in base}
    return [record for record in now if record.id not in known or not same(record, known[record.id])]


def _to_mend(gone: int, broken: Sequence[str], wrong: Sequence[Refused]) -> list[str]:
    """gone: how many records of the base are not there any more."""
    lines = [f"- {gone} records of the base are gone: records are only ever added"] if gone else []
    lines += [f"- broken: {escaped(line)}" for line in broken[:MOST_TO_MEND]]
    lines += [
        f"- refused: {escaped(f'{_name(each.record)}, seed {each.record.seed}')}: {escaped(each.reason)}"
        for each in wrong[:MOST_TO_MEND]
    ]
    left = max(0, len(broken) - MOST_TO_MEND) + max(0, len(wrong) - MOST_TO_MEND)
    return [*lines, f"- and {left} more"] if left else lines


def _headline(new: Sequence[Record], failed: Sequence[Record], moves: Sequence[str]) -> str:
    if not new:
        return "No new records"
    methods = {record.method for record in new}
    said = f"{_count(len(new), 'new record')} of {_count(len(methods), 'method')}"
    said += f", {len(failed)} not ok" if failed else ""
    return said + ("; the frontier moved" if moves else "; the frontier did not move")


def _not_measured(touched: Mapping[str, Sequence[str]], new: Sequence[Record]) -> list[str]:
    """What the change touches and no new record is of."""
    measured = {(record.suite, record.method) for record in new}
    left = {suite: [slug for slug in slugs if (suite, slug) not in measured] for suite, slugs in touched.items()}
    lines = [f"- {escaped(suite)}: {', '.join(map(escaped, slugs))}" for suite, slugs in left.items() if slugs]
    return ["## Touched, and not measured again", "\n".join(lines)] if lines else []


def _boards(base: Sequence[Record], now: Sequence[Record], new: Sequence[Record], registry: Registry) -> list[_Board]:
    """The boards that have new records, in order."""
    before, after = by_board(make_rows(base)), by_board(make_rows(now))
    ids = {record.id for record in new}
    found = []
    for board, rows in after.items():
        changed = [row.name for row in rows if any(record.id in ids for record in row.records)]
        if changed and board.suite in registry.suites:
            problem = problem_at(registry.suites[board.suite], board.point)
            controls = registry.kinds(board.suite, "control")
            old = {row.name: row for row in before.get(board, [])}
            stochastic = registry.stochastic(board.suite)
            guesses = guessing(rows, problem.primary, registry.trivial(board.suite), stochastic)
            after_ = {row.name: row for row in rows}
            found.append(_Board(board, problem, controls, old, after_, changed, stochastic, guesses))
    return found


def _moves(each: _Board) -> list[str]:
    """Who came to the frontier of the primary score against each primary cost, and who left it."""
    lines = []
    for cost in each.primary_costs:
        old, new = (_on_frontier(rows, each.problem.primary, cost) for rows in (each.before, each.after))
        came, left = sorted(new - old), sorted(old - new)
        if came or left:
            said = [f"{', '.join(map(escaped, came))} came"] if came else []
            said += [f"{', '.join(map(escaped, left))} left"] if left else []
            lines.append(f"{escaped(each.board.point)}, {escaped(cost.title)}: {'; '.join(said)}")
    return lines


def _on_frontier(rows: Mapping[str, Row], primary: Metric, cost: Metric) -> set[str]:
    found = {name: figure(row, cost) for name, row in rows.items() if row.ok}
    names = [name for name, each in found.items() if each.kind not in ("missing", "not realised")]
    points = [(value_of(found[name]), _score(rows[name], primary)) for name in names]
    return {name for name, on_it in zip(names, pareto(points, cost.better, primary.better), strict=True) if on_it}


def _score(row: Row, primary: Metric) -> float:
    return value_of(figure(row, primary))


def _row(each: _Board, name: str, losers: Mapping[str, Sequence[str]]) -> list[str]:
    """One row in a few short lines: its score, its costs, against the base, the baseline and the controls. losers: the
    controls that each row does not beat."""
    row, old = each.after[name], each.before.get(name)
    lines = [f"**{escaped(name)}** ({_count(len(row.ok), 'seed')} ok{'' if old else ', new'})", ""]
    if not row.ok:
        return [f"**{escaped(name)}**: {row.status}"]
    if name in each.guesses:
        lines.append(f"- {each.guesses[name]}")
    for metric in [each.problem.primary, *each.primary_costs]:
        found = figure(row, metric)
        if found.value is None:
            continue
        unit = found.unit or metric.unit
        shown = f"{escaped(quantity(found.value, unit))} {interval(found.low, found.high, found.value, unit)}"
        saving = change_from_baseline(row, metric) if _to_baseline(metric, row, each) else None
        lines.append(f"- {escaped(metric.title)}: {shown.strip()}{f' ({_word(saving)})' if saving else ''}")
        change = improvement(row, old, metric) if old is not None and old.ok else None
        lines += [f"  - against the base: {_verdict(change)}"] if change else []
        against = _against_baseline(each, row, metric)
        lines += [f"  - against {escaped(each.problem.baseline)}: {_verdict(against)}"] if against else []
    if row.method not in each.controls:
        lines.append(f"- controls: {_controls(each, losers[name])}")
    return lines


def _to_baseline(metric: Metric, row: Row, each: _Board) -> bool:
    """Whether the figure is a ratio to the baseline, so that it says itself how the row stands against it."""
    return metric.name.endswith("ratio") and row.method != each.problem.baseline


def _against_baseline(each: _Board, row: Row, metric: Metric) -> Improvement | None:
    if row.method == each.problem.baseline or each.baseline is None or metric.name.endswith("ratio"):
        return None
    return improvement(row, each.baseline, metric)


def _controls(each: _Board, unbeaten_ones: Sequence[str]) -> str:
    there = [row.name for row in each.after.values() if row.ok and row.method in each.controls]
    if not there:
        return "none has a result here"
    said = f"beats {len(there) - len(unbeaten_ones)} of {len(there)}"
    return said + (f", not {', '.join(map(escaped, unbeaten_ones))}" if unbeaten_ones else "")


def _verdict(change: Improvement) -> str:
    """The relative improvement with its interval, and what it amounts to."""
    if change.low == change.high:
        return f"{percent(change.value or 0.0)} ({_word(change)})"  # not −0.0
    return f"{percent(change.value)} [{percent(change.low)}, {percent(change.high)}] ({_word(change)})"


def _word(change: Improvement) -> str:
    words = {"better": "better", "worse": "**worse**", "same": "the same", "unsure": "can't be told apart"}
    return words[verdict(change.low, change.high, 0.0 if change.low == change.high else MARGIN)]


def _failures(failed: Sequence[Record]) -> str:
    """What failed with its reason and command; what is not supported, which is an answer, by name alone."""
    lines = [_failure(record) for record in failed if record.status != "unsupported"]
    unsupported = sorted({_name(record) for record in failed if record.status == "unsupported"})
    return "\n".join([*lines, *([f"- unsupported: {', '.join(map(escaped, unsupported))}"] if unsupported else [])])


def _failure(record: Record) -> str:
    name = escaped(f"{_name(record)}, seed {record.seed}")
    return f"- **{name}**: {record.status}: {escaped(record.reason or 'no reason')}  \n  {command(record.command)}"


def _name(record: Record) -> str:
    return f"{record.method}{'' if record.variant == 'default' else f':{record.variant}'} at {record.point}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _cut(parts: Sequence[str]) -> str:
    """As many parts as fit; says how many do not."""
    text, kept = "", 0
    for part in parts:
        if len(text) + len(part) > MOST:
            return f"{text}… and {len(parts) - kept} more parts, too long for a comment.\n"
        text, kept = f"{text}{part}\n\n", kept + 1
    return text.rstrip("\n") + "\n"
