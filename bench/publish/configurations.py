"""The page of each configuration of a section, and what other pages say of it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.analyse.problems import problem_at
from bench.analyse.rows import Board, Row
from bench.analyse.summary import figure
from bench.publish.catalogue import Entry
from bench.publish.context import Section
from bench.publish.history import by_configuration, changes_of, follow_figures, noises_of
from bench.publish.pages import cell_html
from bench.publish.paths import board_address, record_address
from bench.publish.record_view import make_configuration
from bench.publish.section_rows import Aged
from bench.publish.table_view import Line, Table, make_cell
from bench.registry.metrics import Metric


@dataclass(frozen=True)
class Configurations:
    """Plain JSON. said: a line for each. changes: along their histories. made_of: by address of its page, a hash of
    what that was made of."""

    said: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    made_of: dict[str, str]


def write_configurations(
    section: Section, rows: Sequence[Aged], tables: Sequence[Table], standing: Mapping[str, str]
) -> Configurations:
    """Write the pages that are not made of the same as in the last build. standing: `made_of` of that build."""
    histories = by_configuration(section.entries)
    metrics = {key: problem_at(section.info, key[0].point).primaries for key in histories}
    followed = {key: follow_figures(history, metrics[key]) for key, history in histories.items()}
    noises = noises_of(followed.values(), {found[0].name for found in metrics.values()})
    current = {(each.row.board.point, each.row.method, each.row.variant): each for each in rows}
    timed = {(table.board.point, line.name) for table in tables for line in table.timed}
    lines = {(table.board.point, line.name): line for table in tables for line in table.lines}
    files = _files(section)
    made = Configurations([], [], {})
    for key, history in histories.items():
        board, method, variant = key
        aged = current.get((board.point, method, variant))
        address = record_address(board, method, variant)
        made.made_of[address] = _identity(section, history, aged)
        if standing.get(address) != made.made_of[address]:
            view = make_configuration(
                board, aged.row if aged else None, history, problem_at(section.info, board.point), files,
                aged.ages if aged else (),
            )  # fmt: skip
            section.context.pages.page("record.html", address, view=view, **section.shared)
        made.changes.extend(map(asdict, changes_of(history, followed[key], metrics[key], noises)))
        line = lines.get((board.point, aged.row.name)) if aged else None
        said = _said(board, method, variant, history) | _standing(aged.row if aged else None, line, metrics[key][0])
        said["timed"] = line is not None and (board.point, line.name) in timed
        made.said.append(said | {"address": address, **asdict(section.place)})
    return made


def _files(section: Section) -> dict[str, str]:
    """Where each record stands, by its id."""
    names = section.context.files
    return {e.id: f"{names[e.file]}, from byte {e.offset}" for e in [*section.entries, *section.others]}


def _identity(section: Section, history: Sequence[Entry], aged: Aged | None) -> str:
    ids = [record.id for record in aged.row.records] if aged else []
    ages = [asdict(age) for age in aged.ages] if aged else []
    parts = [section.context.code, section.version, [entry.identity for entry in history], ids, ages]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _said(board: Board, method: str, variant: str, history: Sequence[Entry]) -> dict[str, Any]:
    """Of the configuration, by its records alone."""
    newest = history[-1]
    return {
        "point": board.point, "method": method, "variant": variant, "records": len(history), "newest": newest.started,
        "version": newest.suite_version, "board": board_address(board) + ".html", "status": newest.status,
        "reason": newest.reason,
    }  # fmt: skip


def _standing(row: Row | None, line: Line | None, score: Metric) -> dict[str, Any]:
    """Of the configuration, by its row in today's ranking, if it has one."""
    if row is None or line is None:
        return {
            "current": False, "rank": "–", "stale": [], "unbeaten": [], "guessing": "", "few_seeds": False, "score": "",
            "sort": 0.0,
        }  # fmt: skip
    cell = make_cell(figure(row, score), score) if row.ok else None
    return {
        "current": True, "status": row.status, "reason": line.reason, "rank": line.rank, "stale": list(line.stale),
        "unbeaten": list(line.unbeaten), "guessing": line.guessing,
        "few_seeds": line.few_seeds,
        "score": "" if cell is None else cell_html(cell), "sort": 0.0 if cell is None else cell.sort,
    }  # fmt: skip
