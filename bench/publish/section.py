"""One hardware, scale and base of a suite: its boards, configurations and downloads, written by one process.

A section takes no part of another, so sections are built side by side, and one whose records are the same as in the
last build is left as it stands.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.analyse.claims import ClaimCheck, check_claims
from bench.analyse.compare import MARGIN
from bench.analyse.elsewhere import agreeing, filled, scores_alone, seeds_elsewhere
from bench.analyse.pairs import pairwise
from bench.analyse.rows import Board, Row, by_board, few_seeds, make_rows
from bench.analyse.summary import Cost, lookup, row_costs, row_quality
from bench.contract import Metric, SuiteInfo
from bench.contract.registry import Registry
from bench.publish import board_data
from bench.publish.catalogue import Entry
from bench.publish.format import interval, percent
from bench.publish.freshness import Age, Freshness
from bench.publish.frontier_view import Figure, make_figure
from bench.publish.history import by_configuration, changes_of, follow_figures, noises_of
from bench.publish.pages import ROOT_TOKEN, Pages, cell_html, environment
from bench.publish.pairs_view import make_pairs
from bench.publish.paths import board_address, file_name, pairs_address, record_address, section_address
from bench.publish.record_view import make_configuration
from bench.publish.table_view import Cell, Table, make_cell, make_table
from bench.record.schema import Record


@dataclass(frozen=True)
class Context:
    """What all sections share. infos: of every suite, registered or not. files: names of results files."""

    pages: Pages
    registry: Registry
    infos: Mapping[str, SuiteInfo]
    versions: Mapping[str, str]
    families: Mapping[str, str]
    files: Mapping[str, str]
    freshness: Freshness
    code: str


@dataclass(frozen=True)
class Place:
    """A section as other pages link to it."""

    suite: str
    hardware: str
    scale: str
    base: str

    @property
    def address(self) -> str:
        """Its page."""
        return section_address(self.suite, self.hardware, self.scale, self.base)


def build_section(
    context: Context, place: Place, entries: Sequence[Entry], siblings: Sequence[Place], others: Sequence[Entry] = ()
) -> dict[str, Any]:
    """Write all pages of the section, unless nothing has changed; returns what other pages say of it (plain JSON).

    entries: all of its records, of any version of the suite, oldest first. siblings: the suite's other sections.
    others: the records of the same scale and base on other hardware, oldest first.
    """
    version = context.versions[place.suite]
    read = [*entries, *others]
    ages = context.freshness.identity((e.commit for e in read), place.suite, {e.method for e in read})
    identity = [
        version,
        [asdict(s) for s in siblings],
        [e.identity for e in entries],
        [e.identity for e in others],
        ages,
    ]
    wanted = _hash([context.code, identity])
    cache = (
        context.pages.output / ".cache" / (hashlib.sha256(place.address.encode()).hexdigest()[:16] + ".section.json")
    )
    known: dict[str, Any] = {}
    try:
        known = json.loads(cache.read_text())
        if known["wanted"] == wanted:
            return known
    except (OSError, ValueError, KeyError):
        pass
    made = _build(context, place, entries, siblings, others, known.get("standing", {})) | {"wanted": wanted}
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps(made))
    return made


def _build(
    context: Context, place: Place, entries: Sequence[Entry], siblings: Sequence[Place], others: Sequence[Entry],
    standing: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """standing: a hash of what each configuration's page, as it stands, was made of."""
    info, pages = context.infos[place.suite], context.pages
    version = context.versions[place.suite]
    rows, problems = _rows(context, place, entries, others)
    controls = context.registry.controls
    boards = _in_order(by_board(rows), info)
    ages = {(row.board.point, row.name): [context.freshness.of(record) for record in row.records] for row in rows}
    stale = {key: _stale(found) for key, found in ages.items()}
    tables = [
        make_table(board, group, info, context.registry, {row.name: stale[board.point, row.name] for row in group})
        for board, group in boards
    ]
    figures = figures_of(rows, info, controls)
    shared = {"info": info, "place": place, "siblings": siblings, "section": place.address}
    points = [
        {"point": table.board.point, "title": table.title, "address": board_address(table.board) + ".html",
         "rows": len(table.lines), "ok": len(table.ok), "best": [line.name for line in table.ok if line.rank[:1] == "1"
                                                             and line.rank[:2] in ("1", "1–")],
         "limits": table.limits}
        for table in tables
    ]  # fmt: skip
    written = [pages.page("section.html", place.address, tables=tables, figures=figures, points=points, **shared)]
    for table, (_, group) in zip(tables, boards, strict=True):
        written += _write_board(pages, table, group, info, controls, points, shared)
    configurations, changes = [], []
    made_of: dict[str, str] = {}
    current = {(row.board.point, row.method, row.variant): row for row in rows}
    lines = {(table.board.point, line.name): line for table in tables for line in table.lines}
    primary = [info.primary, *(metric for metric in info.costs.values() if metric.primary)]
    histories = by_configuration(entries)
    files = {e.id: f"{context.files[e.file]}, from byte {e.offset}" for e in [*entries, *others]}
    followed = {key: follow_figures(history, primary) for key, history in histories.items()}
    noises = noises_of(followed.values(), primary)
    for key, history in histories.items():
        board, method, variant = key
        row = current.get((board.point, method, variant))
        address = record_address(board, method, variant)
        age = ages[board.point, row.name] if row else []
        ids = [record.id for record in row.records] if row else []
        made_of[address] = _hash([context.code, version, [e.identity for e in history], ids, [asdict(a) for a in age]])
        if standing.get(address) != made_of[address]:
            view = make_configuration(row.board if row else board, row, history, info, files, age)
            pages.page("record.html", address, view=view, **shared)
        changes += [asdict(change) for change in changes_of(history, followed[key], primary, noises)]
        line = lines.get((board.point, row.name)) if row else None
        score = _cell(row, info.primary) if row and row.ok else None
        configurations.append(
            {
                "point": board.point, "method": method, "variant": variant, **asdict(place), "records": len(history),
                "status": row.status if row else history[-1].status, "newest": history[-1].started,
                "version": history[-1].suite_version, "current": row is not None,
                "reason": line.reason if line else history[-1].reason, "rank": line.rank if line else "–",
                "stale": list(line.stale) if line else [],
                "unbeaten": list(line.unbeaten) if line else [], "few_seeds": line.few_seeds if line else False,
                "score": "" if score is None else cell_html(score), "sort": 0.0 if score is None else score.sort,
                "address": address, "board": board_address(board) + ".html",
            }
        )  # fmt: skip
    return {
        **asdict(place), "address": place.address, "rows": len(rows), "records": len(entries), "points": points,
        "newest": entries[-1].started, "figure": _figure(figures, place), "changes": changes,
        "configurations": configurations, "claims": _claims(context, rows, info),
        "written": [*written, *made_of], "standing": made_of, "problems": problems,
    }  # fmt: skip


def _stale(ages: Sequence[Age]) -> list[str]:
    """What is not today's in any of a row's records."""
    return list(dict.fromkeys(reason for age in ages for reason in age.stale))


def _hash(identity: Any) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _rows(
    context: Context, place: Place, entries: Sequence[Entry], others: Sequence[Entry]
) -> tuple[list[Row], list[str]]:
    """Rows of the newest record of each seed under the suite's newest version, and what could not be made of them."""
    version = context.versions[place.suite]
    newest = {(e.point, e.method, e.variant, e.seed): e for e in entries if e.suite_version == version}
    own: list[Record] = [entry.load() for entry in newest.values()]
    theirs = [entry for entry in others if entry.suite_version == version]
    rows, problems = [], []
    for row in make_rows(filled(own, _lent(context, place, own, theirs)) if theirs else own):
        try:
            row_quality(row)
            row_costs(row)
            rows.append(row)
        except (ValueError, ArithmeticError) as error:
            problems.append(f"{row.name} at {row.board.point}: its figures can't be computed: {error}")
    return rows, problems


def _lent(context: Context, place: Place, own: Sequence[Record], theirs: Sequence[Entry]) -> list[Record]:
    """What other hardware lends, none of it stale. A stale record of this hardware yields to it unless it holds times.
    own, theirs: of one version of the suite."""
    info = context.infos[place.suite]
    kept = [record for record in own if record.timings or not _is_stale(context, record)]
    found = [entry.load() for entry in seeds_elsewhere({record.point for record in own}, kept, theirs, info)]
    fresh = agreeing(kept, [record for record in found if not _is_stale(context, record)])
    return [scores_alone(record, place.hardware, info) for record in fresh]


def _is_stale(context: Context, record: Record) -> bool:
    return bool(context.freshness.of(record).stale)


def _in_order(boards: Mapping[Board, list[Row]], info: SuiteInfo) -> list[tuple[Board, list[Row]]]:
    """Boards in the order of the suite's operating points."""
    order = {name: i for i, name in enumerate(info.points)}
    return sorted(boards.items(), key=lambda item: (order.get(item[0].point, len(order)), item[0].point))


def _write_board(
    pages: Pages, table: Table, rows: Sequence[Row], info: SuiteInfo, controls: frozenset[str],
    points: Sequence[Mapping[str, Any]], shared: Mapping[str, Any],
) -> list[str]:  # fmt: skip
    by_name = {row.name: row for row in rows}
    rows = [by_name[line.name] for line in table.lines]
    metrics = board_data.board_metrics(rows, info)
    found = board_data.figures(rows, metrics)
    figures = [make_figure(rows, metric, info.primary, controls) for metric in info.costs.values() if metric.primary]
    base = board_address(table.board)
    name = base.rsplit("/", 1)[-1]
    pairs = {m.name: pairwise(rows, m) for m in (info.primary, *info.costs.values()) if m.primary}
    view = make_pairs(rows, pairs, info, controls)
    written = []
    if view is not None:
        values = {"table": table, "view": view, "margin": MARGIN, **shared}
        written.append(pages.page("pairs.html", pairs_address(table.board), **values))
    return [
        *written,
        pages.page("board.html", f"{base}.html", table=table, figures=[f for f in figures if f], points=points,
                   name=name, pairs=view is not None, **shared),
        pages.text(f"{base}.json", board_data.as_json(table, metrics, found)),
        pages.text(f"{base}.csv", board_data.as_csv(table, metrics, found)),
        pages.text(f"{base}.js", board_data.as_script(table, metrics, found, info, pairs[info.primary.name])),
        pages.text(f"{base}.pairs.js", board_data.pairs_script([line.name for line in table.lines], info, pairs)),
    ]  # fmt: skip


def figures_of(rows: Sequence[Row], info: SuiteInfo, controls: frozenset[str]) -> list[Figure]:
    """One picture for each problem and primary cost. Points with equal settings are budgets of one problem."""
    problems: list[tuple[object, list[Row]]] = []
    for row in rows:
        point = info.points.get(row.board.point)
        settings = point.settings if point else row.board.point
        group = next((group for known, group in problems if known == settings), None)
        if group is None:
            problems.append((settings, [row]))
        else:
            group.append(row)
    figures = []
    for _, group in problems:
        for cost in (metric for metric in info.costs.values() if metric.primary):
            titles = list(dict.fromkeys(row.board.point for row in group))
            figure = make_figure(group, cost, info.primary, controls)
            if figure is not None:
                place = titles[0] if len(problems) > 1 and len(titles) == 1 else ""
                figures.append(Figure(**{**vars(figure), "title": f"{figure.title}{': ' + place if place else ''}"}))
    return figures


def _figure(figures: Sequence[Figure], place: Place) -> str:
    """The first picture as it stands on pages that show a glance of the section."""
    if not figures:
        return ""
    macros: Any = environment().get_template("macros.html").module
    return str(macros.figure(figures[0], ROOT_TOKEN, file_name(f"Glance of {place.address}")))


def _claims(context: Context, rows: Sequence[Row], info: SuiteInfo) -> dict[str, list[dict[str, Any]]]:
    """By method: what its claims are worth here; `claim` counts the claims of its card."""
    found: dict[str, list[dict[str, Any]]] = {}
    for slug in dict.fromkeys(row.method for row in rows):
        method = context.registry.methods.get(slug)
        if method is None or method.card.suite != info.slug:
            continue
        for check in check_claims(method.card, rows, info):
            said = _said(check, context.registry.stochastic) | {"claim": method.card.claims.index(check.claim)}
            found.setdefault(slug, []).append(said)
    return found


def _said(check: ClaimCheck, stochastic: Collection[str]) -> dict[str, Any]:
    change, board = check.improvement, check.row.board
    within = "" if change is None else interval(100 * change.low, 100 * change.high, change.value)
    return {
        "point": board.point, "variant": check.row.variant, "hardware": board.hardware, "scale": board.scale,
        "base": board.base, "versus": check.versus, "outcome": check.outcome, "reason": check.reason,
        "improvement": "" if change is None else percent(change.value), "within": within.replace("]", "] %"),
        "address": record_address(check.row.home, check.row.method, check.row.variant),
        "few_seeds": [r.name for r in (check.row, check.opponent) if r is not None and few_seeds(r, stochastic)],
    }  # fmt: skip


def _cell(row: Row, metric: Metric) -> Cell:
    cost: Cost = lookup(row_quality(row), row_costs(row), metric.name)
    return make_cell(cost, metric)
