"""One hardware, scale and base of a suite: its boards, configurations and downloads, written by one process.

A section takes no part of another, so sections are built side by side, and one whose records are the same as in the
last build is left as it stands.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.analyse.rows import Board, Row, by_board
from bench.publish import kept
from bench.publish.board_pages import figures_of, write_board
from bench.publish.charts import Chart
from bench.publish.claims_view import claims_of
from bench.publish.configurations import write_configurations
from bench.publish.context import Section
from bench.publish.frontier_view import Figure
from bench.publish.pages import ROOT_TOKEN, environment
from bench.publish.paths import board_address, file_name
from bench.publish.pictures import draw_charts
from bench.publish.places import places_of
from bench.publish.questions import questions_of, timed_of
from bench.publish.section_rows import rows_of
from bench.publish.table_view import Table, make_table
from bench.registry import SuiteInfo


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
    read = [*section.entries, *section.others]
    ages = section.context.freshness.identity(
        (entry.commit for entry in read), section.place.suite, {entry.method for entry in read}
    )
    records = [[entry.identity for entry in entries] for entries in (section.entries, section.others)]
    siblings = [asdict(place) for place in section.siblings]
    parts = [section.context.code, section.version, siblings, records, ages]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _build(section: Section, standing: Mapping[str, str]) -> dict[str, Any]:
    """standing: a hash of what each configuration's page, as it stands, was made of."""
    aged, problems = rows_of(section)
    rows = [each.row for each in aged]
    stale = {each.row: each.stale for each in aged}
    old = {row for row, why in stale.items() if why}
    floors = section.floors(rows)
    boards = _in_order(by_board(rows), section.info)
    tables = [make_table(board, group, section.info, section.context.registry, stale) for board, group in boards]
    figures = figures_of(section, rows, old, floors)
    charts = draw_charts(section, tables, {board.point: group for board, group in boards})
    points = [_point(table) for table in tables]
    columns = {metric.name: metric for table in tables for metric in table.columns if metric.primary}
    page = section.context.pages.page(
        "section.html", section.place.address, tables=tables, figures=figures, charts=charts, points=points,
        columns=list(columns.values()), **section.shared,
    )  # fmt: skip
    written = [page, *(figure.file for figure in figures), *(chart.file for chart in charts)]
    for table, (_, group) in zip(tables, boards, strict=True):
        here = [chart for chart in charts if chart.point == table.board.point]
        written += write_board(section, table, group, points, here)
    configurations = write_configurations(section, aged, tables, standing)
    placed = [places_of(table, group, old) for table, (_, group) in zip(tables, boards, strict=True)]
    return {
        **asdict(section.place), "address": section.place.address, "rows": len(rows), "records": len(section.entries),
        "points": points, "newest": section.entries[-1].started, "figure": _glance(figures, section),
        "charts": _charts(charts, section),
        "changes": configurations.changes, "configurations": configurations.said,
        "claims": claims_of(section, rows, floors),
        "written": [*written, *configurations.made_of], "standing": configurations.made_of,
        "problems": [*problems, *(alarm for table in tables for alarm in table.alarms)],
        "places": [line for lines in placed for line in lines], "figures": [asdict(figure) for figure in figures],
        "questions": questions_of(section, rows, stale, floors), "timed": timed_of(section, rows, stale),
        "processor": _processor(rows),
    }  # fmt: skip


def _processor(rows: Sequence[Row]) -> str:
    """The name of what ran here, by the newest record of the section's own hardware."""
    own = [record for row in rows for record in row.records if record.environment.hardware == row.board.hardware]
    newest = max(own, key=lambda record: record.started, default=None)
    return "" if newest is None else newest.environment.gpu or newest.environment.cpu


def _in_order(boards: Mapping[Board, list[Row]], info: SuiteInfo) -> list[tuple[Board, list[Row]]]:
    """Boards in the order of the suite's operating points."""
    order = {name: i for i, name in enumerate(info.points)}
    return sorted(boards.items(), key=lambda item: (order.get(item[0].point, len(order)), item[0].point))


def _point(table: Table) -> dict[str, Any]:
    """A board as other pages link to it. best: who is first, or shares the first rank."""
    return {
        "point": table.board.point, "title": table.title, "address": board_address(table.board) + ".html",
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
