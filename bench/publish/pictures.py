"""Pictures with where they come from: on a page, and each as a file of its own that can be put into a talk."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bench.analyse.rows import Row
from bench.publish.charts import Chart, charts_of
from bench.publish.context import Section
from bench.publish.format import day
from bench.publish.frontier_view import Figure, make_figure
from bench.publish.paths import file_name
from bench.publish.table_view import Table
from bench.registry.metrics import Metric


def draw(
    section: Section,
    rows: Sequence[Row],
    score: Metric,
    costs: Sequence[Metric],
    base: str,
    guesses: Mapping[Row, str],
    stale: Collection[Row],
    hardware: str = "",
) -> list[Figure]:
    """The score against each of these costs, each also written as an SVG file beside the page `base` (without its
    ending). Fewer than two points make no picture.

    guesses: rows that are no better than guessing, and what of it. stale: rows that are not of today's code. hardware:
    where the costs are that hang on it.
    """
    drawn = []
    for cost in costs:
        figure = make_figure(rows, cost, score, section.controls, guesses, stale)
        if figure is None:
            continue
        address = f"{base}.{_word(cost.name)}{'.' + file_name(hardware) if hardware else ''}.svg"
        source = _source(section, rows, hardware)
        figure = replace(figure, source=source, file=address, hardware=hardware)
        section.context.pages.page("figure.svg", address, f=figure)
        drawn.append(figure)
    return drawn


def draw_charts(section: Section, tables: Sequence[Table], rows: Mapping[str, Sequence[Row]]) -> list[Chart]:
    """The pictures that the suite declares, each also written as an SVG file. rows: by operating point."""
    drawn = []
    for made in (each for declared in section.info.charts for each in charts_of(declared, tables, rows)):
        shown = rows[made.point] if made.point else [row for group in rows.values() for row in group]
        base = section.place.address.removesuffix(".html")
        address = f"{base}.chart.{_word(made.name)}{'.' + _word(made.point) if made.point else ''}.svg"
        chart = replace(made, source=_source(section, shown, ""), file=address)
        section.context.pages.page("figure.svg", address, f=chart)
        drawn.append(chart)
    return drawn


def _source(section: Section, rows: Sequence[Row], hardware: str) -> str:
    """Where the data of these rows is from, in a line."""
    newest = max(record.started.timestamp() for row in rows for record in row.records)
    points = list(dict.fromkeys(row.board.point for row in rows))
    at = points[0] if len(points) == 1 else f"{len(points)} operating points"
    return (
        f"effbench: {section.info.title}, version {section.version}, {at}; {section.place.base}"
        f"{' on ' + hardware if hardware else ''}, {section.place.scale} scale; newest record of {day(newest)}"
    )


def _word(name: str) -> str:
    """A name as a part of a file's."""
    return "-".join(re.findall("[a-z0-9]+", name.lower()))
