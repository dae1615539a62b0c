"""The pages of one ranking: its table and pictures, all pairs, and the downloads."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.analyse.floors import guessing, silenced
from bench.analyse.pairs import pairwise
from bench.analyse.problems import problem_at, same_problem
from bench.analyse.rows import Row, by_board
from bench.publish import board_data
from bench.publish.context import Section
from bench.publish.frontier_view import Figure, make_figure
from bench.publish.pairs_view import make_pairs
from bench.publish.paths import board_address, pairs_address
from bench.publish.table_view import Table
from bench.registry.metrics import Metric


def write_board(section: Section, table: Table, rows: Sequence[Row], points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write all of them; the addresses of the pages. points: of the section, for the links between its boards."""
    pages, problem, controls = section.context.pages, table.problem, section.controls
    by_name = {row.name: row for row in rows}
    rows = [by_name[line.name] for line in table.lines]
    metrics = board_data.board_metrics(rows, problem)
    found = board_data.figures(rows, metrics)
    score, *costs = problem.primaries
    guesses = {by_name[line.name]: line.guessing for line in table.lines if line.guessing}
    figures = [make_figure(rows, cost, score, controls, guesses) for cost in costs]
    bottom = np.array([row in guesses for row in rows])
    stochastic = section.context.registry.stochastic(section.place.suite)
    pairs = {metric.name: silenced(pairwise(rows, metric, stochastic), bottom) for metric in (score, *costs)}
    view = make_pairs(rows, pairs, problem, controls)
    base = board_address(table.board)
    shared = {"table": table, "problem": problem, **section.shared}
    written = [
        pages.page("board.html", f"{base}.html", figures=[each for each in figures if each], points=points,
                   name=base.rsplit("/", 1)[-1], pairs=view is not None, **shared),
        pages.text(f"{base}.json", board_data.as_json(table, metrics, found)),
        pages.text(f"{base}.csv", board_data.as_csv(table, metrics, found)),
        pages.text(f"{base}.js", board_data.as_script(table, metrics, found, problem, pairs[score.name])),
        pages.text(f"{base}.pairs.js", board_data.pairs_script([line.name for line in table.lines], problem, pairs)),
    ]  # fmt: skip
    if view is not None:
        written.append(pages.page("pairs.html", pairs_address(table.board), view=view, **shared))
    return written


def figures_of(section: Section, rows: Sequence[Row]) -> list[Figure]:
    """One picture for each problem and primary cost."""
    problems: list[list[Row]] = []
    for row in rows:
        point = row.board.point
        group = next((each for each in problems if same_problem(section.info, each[0].board.point, point)), None)
        if group is None:
            problems.append([row])
        else:
            group.append(row)
    figures = []
    for group in problems:
        score, *costs = problem_at(section.info, group[0].board.point).primaries
        points = {row.board.point for row in group}
        guesses = _guesses(section, group, score)
        place = f": {group[0].board.point}" if len(problems) > 1 and len(points) == 1 else ""
        drawn = (make_figure(group, cost, score, section.controls, guesses) for cost in costs)
        figures += [replace(figure, title=figure.title + place) for figure in drawn if figure is not None]
    return figures


def _guesses(section: Section, rows: Sequence[Row], score: Metric) -> dict[Row, str]:
    """What is no better than guessing, board by board."""
    registry, suite = section.context.registry, section.place.suite
    found: dict[Row, str] = {}
    for board in by_board(rows).values():
        said = guessing(board, score, registry.trivial(suite), registry.stochastic(suite))
        found |= {row: said[row.name] for row in board if row.name in said}
    return found
