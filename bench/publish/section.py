"""One scale and base of a suite, on all hardware: its boards, configurations and downloads, written by one process.

A section takes no part of another, so sections are built side by side, and one whose records are the same as in the
last build is left as it stands.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from bench.analyse.elsewhere import of_hardware
from bench.analyse.floors import Floors
from bench.analyse.rows import Board, Row, by_board
from bench.publish import kept
from bench.publish.board_pages import figures_of, groups_of, write_board, write_explorers
from bench.publish.charts import Chart
from bench.publish.claims_view import claims_of
from bench.publish.configurations import write_configurations
from bench.publish.context import Section
from bench.publish.frontier_view import Figure
from bench.publish.history import Change, frontier_moves
from bench.publish.pages import ROOT_TOKEN, environment
from bench.publish.paths import board_address, file_name, old_address, old_section_address
from bench.publish.pictures import draw_charts
from bench.publish.places import places_of
from bench.publish.questions import questions_of, timed_of
from bench.publish.ranking import Ranking, make_ranking
from bench.publish.section_rows import SectionRows, rows_of
from bench.publish.table_view import Table, make_table


def build_section(section: Section) -> dict[str, Any]:
    """Write all pages of the section, unless nothing has changed and all are there; returns what other pages say of it
    (plain JSON)."""
    wanted = _identity(section)
    name = hashlib.sha256(section.place.address.encode()).hexdigest()[:16]
    output = section.context.pages.output
    cache = output / kept.FOLDER / f"{name}.section.json"
    known = kept.read(cache) or {"wanted": "", "sizes": {}, "standing": {}}
    gone = {address for address, size in known["sizes"].items() if kept.size(output / address) != size}
    if known["wanted"] == wanted and not gone:
        return known
    standing = {address: made_of for address, made_of in known["standing"].items() if address not in gone}
    made = _build(section, standing)
    made |= {"wanted": wanted, "sizes": {address: kept.size(output / address) for address in made["written"]}}
    kept.write(cache, made)
    return made


def _identity(section: Section) -> str:
    """Equal if the section's pages would be the same."""
    ages = section.context.freshness.identity(
        (entry.commit for entry in section.entries), section.place.suite, {entry.method for entry in section.entries}
    )
    records = [entry.identity for entry in section.entries]
    siblings = [asdict(place) for place in section.siblings]
    parts = [section.context.code, section.version, siblings, records, ages]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _build(section: Section, standing: Mapping[str, str]) -> dict[str, Any]:
    """standing: a hash of what each configuration's page, as it stands, was made of."""
    found = rows_of(section)
    floors = {name: section.floors([each.row for each in rows]) for name, rows in found.on.items()}
    aged = {each.row: each for rows in found.on.values() for each in rows}
    old = {row for row, each in aged.items() if each.stale}
    rankings = _rankings(section, found)
    tables = [ranking.chief for ranking in rankings]
    groups = groups_of(section, rankings)
    figures = figures_of(section, groups, old, floors)
    explorers = write_explorers(section, groups)
    chief = {ranking.board.point: ranking.rows[ranking.first] for ranking in reversed(rankings)}
    charts = draw_charts(section, tables, chief)
    points = [_point(ranking, ranking.chief) for ranking in rankings]
    written = [
        _write_section(section, rankings, figures, charts, points, explorers),
        *(address for address, _ in explorers),
        *(figure.file for figure in figures), *(chart.file for chart in charts),
    ]  # fmt: skip
    for group in groups:
        for ranking in group:
            here = [chart for chart in charts if chart.point == ranking.board.point]
            written += write_board(section, ranking, points, here, old, group)
    parts = [_part(section, name, found, rankings, figures, standing, floors) for name in section.hardware]
    for part in parts:
        written += [*_write_moved(section, part), *part["standing"]]
    if rankings:
        glance = max(parts, key=lambda part: len(part["timed"]))
        glance |= {"figure": _glance(figures, section), "charts": _charts(charts, section)}
    if parts:
        parts[0]["changes"] += [asdict(change) for ranking in rankings for change in _frontier_moves(section, ranking)]
    made_of = {address: made for part in parts for address, made in part.pop("standing").items()}
    problems = [*found.problems, *(alarm for ranking in rankings for alarm in ranking.alarms)]
    return {
        "parts": parts, "written": written, "standing": made_of, "problems": list(dict.fromkeys(problems)),
    }  # fmt: skip


def _rankings(section: Section, found: SectionRows) -> list[Ranking]:
    """In the order of the suite's operating points."""
    registry, info = section.context.registry, section.info
    stale = {each.row: each.stale for rows in found.on.values() for each in rows}
    tables: dict[Board, dict[str, Table]] = defaultdict(dict)
    groups: dict[Board, dict[str, list[Row]]] = defaultdict(dict)
    old: dict[Board, dict[str, frozenset[str]]] = defaultdict(dict)
    for name, rows in found.on.items():
        late = {each.row for each in rows if each.stale_times}
        for board, group in by_board([each.row for each in rows]).items():
            of = section.ranking(board)
            tables[of][name] = make_table(board, group, info, registry, stale)
            groups[of][name] = group
            old[of][name] = frozenset(row.name for row in group if row in late)
    timed = Counter({name: sum(len(each[name].timed) for each in tables.values() if name in each) for name in found.on})
    hardware = sorted(found.on, key=lambda name: (-timed[name], name))
    order = {name: i for i, name in enumerate(info.points)}
    boards = sorted(tables, key=lambda board: (order.get(board.point, len(order)), board.point, board.hardware))
    return [make_ranking(board, tables[board], groups[board], hardware, old[board]) for board in boards]


def _write_section(
    section: Section,
    rankings: Sequence[Ranking],
    figures: Sequence[Figure],
    charts: Sequence[Chart],
    points: Sequence[Mapping[str, Any]],
    explorers: Sequence[tuple[str, str]],
) -> str:
    shared = {m.name: m for ranking in rankings for m in ranking.shared if m.primary}
    sides = {side.number: side for ranking in rankings for side in ranking.sides if side.chief}
    times = {
        number: list({m.name: m for r in rankings for s in r.sides if s.number == number for m in s.chief}.values())
        for number in sorted(sides)
    }
    return section.context.pages.page(
        "section.html", section.place.address, rankings=rankings, figures=figures, charts=charts, points=points,
        explorers=[(address.rsplit("/", 1)[-1], title) for address, title in explorers],
        columns=list(shared.values()), sides=[sides[number] for number in sorted(sides)], times=times,
        **section.shared,
    )  # fmt: skip


def _part(
    section: Section,
    hardware: str,
    found: SectionRows,
    rankings: Sequence[Ranking],
    figures: Sequence[Figure],
    standing: Mapping[str, str],
    floors: Mapping[str, Floors],
) -> dict[str, Any]:
    """What other pages say of the section on one hardware."""
    aged = found.on.get(hardware, [])
    rows = [each.row for each in aged]
    stale = {each.row: each.all_stale for each in aged}
    old = {row for row, why in stale.items() if why}
    here = [ranking for ranking in rankings if hardware in ranking.tables]
    entries = [entry for entry in section.entries if entry.hardware == hardware]
    configurations = write_configurations(section, hardware, found, [ranking.tables[hardware] for ranking in here],
                                          standing)  # fmt: skip
    placed = [
        places_of(ranking.tables[hardware], ranking.rows[hardware], old, board_address(ranking.board))
        for ranking in here
    ]
    is_apart = of_hardware(rows)
    known = floors.get(hardware) or section.floors(rows)
    return {
        **asdict(section.place), "hardware": hardware, "address": section.place.address,
        "rows": sum(name == hardware for name, _ in found.own), "records": len(entries),
        "points": [_point(ranking, ranking.tables[hardware]) for ranking in here], "newest": entries[-1].started,
        "figure": "", "charts": [],
        "changes": configurations.changes, "configurations": configurations.said, "standing": configurations.made_of,
        "claims": claims_of(section, rows, known, is_apart),
        "places": [line for lines in placed for line in lines],
        "figures": [asdict(figure) for figure in figures if figure.hardware in ("", hardware)],
        "questions": questions_of(section, rows, stale, known), "timed": timed_of(section, rows, stale),
        "processor": _processor(found, hardware),
    }  # fmt: skip


def _frontier_moves(section: Section, ranking: Ranking) -> list[Change]:
    """Against each primary cost that all hardware shares; references and what only guesses stand on no frontier."""
    board, table = ranking.board, ranking.chief
    entries = [
        e for e in section.entries
        if (e.point, e.suite_version) == (board.point, section.version) and board.hardware in ("", e.hardware)
    ]  # fmt: skip
    known = {line.name for line in table.ok if not line.guessing and line.kind != "reference"}
    costs = [metric for metric in ranking.shared if metric.primary and metric != table.problem.primary]
    address = board_address(board) + ".html"
    return [c for cost in costs for c in frontier_moves(entries, table.problem.primary, cost, known, address)]


def _write_moved(section: Section, part: Mapping[str, Any]) -> list[str]:
    """Pages where each hardware had its own, that lead to those of all hardware."""
    place, hardware, pages = section.place, part["hardware"], section.context.pages
    old = [(old_section_address(place.suite, hardware, place.scale, place.base), place.base, place.address)]
    for point in part["points"]:
        board = Board(place.suite, "", hardware, place.scale, place.base, point["point"])
        old.append((old_address(board), point["title"], point["address"]))
    return [
        pages.page("moved.html", address, title=title, target=target, state=f"#on={quote(hardware)}")
        for address, title, target in old
    ]


def _processor(found: SectionRows, hardware: str) -> str:
    """The name of what ran there, by the newest record."""
    own = [record for (name, _), runs in found.own.items() if name == hardware for record, _ in runs.values()]
    newest = max(own, key=lambda record: record.started, default=None)
    return "" if newest is None else newest.environment.gpu or newest.environment.cpu


def _point(ranking: Ranking, table: Table) -> dict[str, Any]:
    """A board as other pages link to it. best: who is first, or shares the first rank. on: its hardware, where it is
    not of all."""
    return {
        "point": table.board.point, "title": table.title, "address": board_address(ranking.board) + ".html",
        "on": ranking.board.hardware,
        "rows": len(table.lines), "ok": len(table.ok), "best": table.first, "limits": table.limits,
    }  # fmt: skip


def _glance(figures: Sequence[Figure], section: Section) -> str:
    """The first picture as it stands on pages that show a glance of the section."""
    if not figures:
        return ""
    macros: Any = environment().get_template("macros.html").module
    return str(macros.figure(figures[0], ROOT_TOKEN, file_name(f"Glance of {section.place.address}")))


def _charts(charts: Sequence[Chart], section: Section) -> list[str]:
    """Of each declared picture the one with most methods in it, as it stands on the suite's page."""
    macros: Any = environment().get_template("macros.html").module
    chief = {chart.name: chart for chart in sorted(charts, key=lambda chart: len(chart.curves))}
    ids = [file_name(f"Chart of {section.place.address} {name}") for name in chief]
    return [str(macros.chart(chart, ROOT_TOKEN, id_)) for chart, id_ in zip(chief.values(), ids, strict=True)]
