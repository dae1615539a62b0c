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
from bench.publish.freshness import Age
from bench.publish.history import by_configuration, changes_of, follow_figures, noises_of
from bench.publish.pages import cell_html
from bench.publish.paths import board_address, record_address
from bench.publish.record_view import make_configuration
from bench.publish.section_rows import Aged, SectionRows
from bench.publish.table_view import Line, Table, make_cell
from bench.record.schema import Record
from bench.registry.metrics import Metric


@dataclass(frozen=True)
class Configurations:
    """Plain JSON. said: a line for each. changes: along their histories. made_of: by address of its page, a hash of
    what that was made of."""

    said: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    made_of: dict[str, str]


def write_configurations(
    section: Section, hardware: str, found: SectionRows, tables: Sequence[Table], standing: Mapping[str, str]
) -> Configurations:
    """Write the pages of one hardware that are not made of the same as in the last build. tables: there. standing:
    `made_of` of that build."""
    histories = by_configuration(entry for entry in section.entries if entry.hardware == hardware)
    metrics = {key: problem_at(section.info, key[0].point).primaries for key in histories}
    followed = {key: follow_figures(history, metrics[key]) for key, history in histories.items()}
    noises = noises_of(followed.values(), {found[0].name for found in metrics.values()})
    current = {(each.row.board.point, each.row.method, each.row.variant): each for each in found.on.get(hardware, [])}
    timed = {(table.board.point, line.name) for table in tables for line in table.timed}
    lines = {(table.board.point, line.name): line for table in tables for line in table.lines}
    files = _files(section)
    made = Configurations([], [], {})
    for key, history in histories.items():
        board, method, variant = key
        aged = current.get((board.point, method, variant))
        address = record_address(board, method, variant)
        own = _ranked(found.own.get((hardware, (board.point, method, variant)), {}), aged)
        made.made_of[address] = _identity(section, history, aged, own)
        if standing.get(address) != made.made_of[address]:
            problem = problem_at(section.info, board.point)
            view = make_configuration(board, aged.row if own and aged else None, history, problem, files, own)
            ranking = board_address(section.ranking(board)) + ".html"
            section.context.pages.page("record.html", address, view=view, ranking=ranking, **section.shared)
        made.changes.extend(map(asdict, changes_of(history, followed[key], metrics[key], noises)))
        line = lines.get((board.point, aged.row.name)) if aged else None
        said = _said(section, board, method, variant, history)
        said |= _standing(aged.row if aged and own else None, line, own, metrics[key][0])
        said["timed"] = line is not None and (board.point, line.name) in timed
        made.said.append(said | {"address": address, **asdict(section.place), "hardware": hardware})
    return made


def _files(section: Section) -> dict[str, str]:
    """Where each record stands, by its id."""
    names = section.context.files
    return {e.id: f"{names[e.file]}, from byte {e.offset}" for e in section.entries}


def _ranked(own: Mapping[int, tuple[Record, Age]], aged: Aged | None) -> list[tuple[Record, Age]]:
    """What ran on the hardware itself, by seed, with the hyper-parameters of the row."""
    settings = aged.row.records[0].hyperparameters if aged else None
    return [each for _, each in sorted(own.items()) if each[0].hyperparameters == settings]


def _identity(section: Section, history: Sequence[Entry], aged: Aged | None, own: Sequence[tuple[Record, Age]]) -> str:
    ids = [[record.id, record.environment.hardware] for record in aged.row.records] if aged else []
    ages = [asdict(age) for _, age in own]
    parts = [section.context.code, section.version, [entry.identity for entry in history], ids, ages]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _said(section: Section, board: Board, method: str, variant: str, history: Sequence[Entry]) -> dict[str, Any]:
    """Of the configuration, by its records alone."""
    newest = history[-1]
    return {
        "point": board.point, "method": method, "variant": variant, "records": len(history), "newest": newest.started,
        "version": newest.suite_version, "board": board_address(section.ranking(board)) + ".html",
        "status": newest.status, "reason": newest.reason,
    }  # fmt: skip


def _standing(row: Row | None, line: Line | None, own: Sequence[tuple[Record, Age]], score: Metric) -> dict[str, Any]:
    """Of the configuration, by its row in today's ranking, if it has one; status and age are those of the hardware's
    own records."""
    if row is None or line is None:
        return {
            "current": False, "rank": "–", "stale": [], "unbeaten": [], "guessing": "", "few_seeds": False, "score": "",
            "sort": 0.0,
        }  # fmt: skip
    cell = make_cell(figure(row, score), score) if row.ok else None
    newest, _ = max(own, key=lambda each: (each[0].status == "ok", each[0].started))
    return {
        "current": True, "status": newest.status, "reason": "" if newest.status == "ok" else newest.reason or "",
        "rank": line.rank, "stale": list(dict.fromkeys(reason for _, age in own for reason in age.stale)),
        "unbeaten": list(line.unbeaten), "guessing": line.guessing,
        "few_seeds": line.few_seeds,
        "score": "" if cell is None else cell_html(cell), "sort": 0.0 if cell is None else cell.sort,
    }  # fmt: skip
