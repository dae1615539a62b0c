"""Pictures with where they come from: on a page, and each as a file of its own that can be put into a talk."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bench.analyse.rows import Row
from bench.publish.context import Section
from bench.publish.format import day
from bench.publish.frontier_view import Figure, make_figure
from bench.registry.metrics import Metric


def draw(
    section: Section,
    rows: Sequence[Row],
    primaries: Sequence[Metric],
    base: str,
    guesses: Mapping[Row, str],
    stale: Collection[Row],
) -> list[Figure]:
    """The primary score against each primary cost, each also written as an SVG file beside the page `base` (without its
    ending). Fewer than two points make no picture.

    guesses: rows that are no better than guessing, and what of it. stale: rows that are not of today's code.
    """
    score, *costs = primaries
    place, pages = section.place, section.context.pages
    drawn = []
    for cost in costs:
        figure = make_figure(rows, cost, score, section.controls, guesses, stale)
        if figure is None:
            continue
        newest = max(record.started.timestamp() for row in rows for record in row.records)
        points = list(dict.fromkeys(row.board.point for row in rows))
        at = points[0] if len(points) == 1 else f"{len(points)} operating points"
        source = (
            f"effbench: {section.info.title}, version {section.version}, {at}; {place.base} on {place.hardware}, "
            f"{place.scale} scale; newest record of {day(newest)}"
        )
        address = f"{base}.{'-'.join(re.findall('[a-z0-9]+', cost.name.lower()))}.svg"
        figure = replace(figure, source=source, file=address)
        pages.page("figure.svg", address, f=figure)
        drawn.append(figure)
    return drawn
