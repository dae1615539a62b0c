"""Builds the leaderboard: static HTML that needs no JavaScript, no server and no other site."""

import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from bench.analyse.compare import MARGIN
from bench.analyse.rows import Row, by_board, current, make_rows
from bench.contract import SCALES, Metric, SuiteInfo
from bench.contract.registry import Registry
from bench.measure.statistics import CONFIDENCE, MIN_PAIRS, MIN_SEEDS
from bench.publish.downloads import write_downloads
from bench.publish.format import carries_unit, number, quantity
from bench.publish.frontier_view import Figure, make_figure
from bench.publish.method_view import make_method
from bench.publish.paths import file_name, safe_url, site_folder
from bench.publish.table_view import Table, make_table
from bench.record.schema import Record

NEWEST = 20


@dataclass(frozen=True)
class Section:
    """One scale and base of a suite on one hardware: its pictures and a table for each operating point."""

    scale: str
    base: str
    figures: Sequence[Figure]
    tables: Sequence[Table]


@dataclass(frozen=True)
class SuitePage:
    """A suite on one hardware. address: relative to the site's root."""

    info: SuiteInfo
    hardware: str
    address: str
    sections: Sequence[Section]
    seen: int


def build_site(records: Sequence[Record], broken: Sequence[object], registry: Registry, output: Path) -> Path:
    """Write the site into `output` (made if missing; files of an earlier build are overwritten); returns index.html.

    broken: what could not be read, each printed as text. A record whose suite or method is no longer registered shows
    under its bare name.
    """
    infos = {slug: suite.info for slug, suite in registry.suites.items()}
    for record in records:
        infos.setdefault(record.suite, _unregistered(record.suite, records))
    rows = current(make_rows(records))
    controls = {slug for slug, method in registry.methods.items() if method.card.control}
    pages = [
        _suite_page(suite, hardware, rows, infos[suite], controls)
        for suite, hardware in sorted({(row.board.suite, row.board.hardware) for row in rows})
    ]
    output.mkdir(parents=True, exist_ok=True)
    shutil.copytree(site_folder() / "assets", output / "assets", dirs_exist_ok=True)
    write_downloads(records, output / "data")
    environment = _environment()

    def write(template: str, address: str, **values: Any) -> Path:
        path = output / address
        path.parent.mkdir(parents=True, exist_ok=True)
        root = "../" * address.count("/") or "./"
        path.write_text(environment.get_template(template).render(root=root, **values), encoding="utf-8")
        return path

    for page in pages:
        write("suite.html", page.address, page=page)
    by_method: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.started, reverse=True):
        by_method[record.method].append(record)
    for slug in sorted({*registry.methods, *by_method}):
        method = make_method(slug, registry.methods.get(slug), rows, by_method[slug], infos)
        write("method.html", f"methods/{file_name(slug)}.html", method=method, addresses=_addresses(pages))
    write("about.html", "about.html", margin=MARGIN, confidence=CONFIDENCE, min_pairs=MIN_PAIRS, min_seeds=MIN_SEEDS)
    return write(
        "index.html", "index.html",
        suites=[(info, [page for page in pages if page.info is info], _picture(pages, info))
                for info in infos.values()],
        newest=sorted(records, key=lambda record: record.started, reverse=True)[:NEWEST],
        methods=[(slug, method.card) for slug, method in sorted(registry.methods.items())],
        count=len(records), broken=[str(problem) for problem in broken], problems=registry.problems,
        addresses=_addresses(pages),
    )  # fmt: skip


def _suite_page(suite: str, hardware: str, rows: Sequence[Row], info: SuiteInfo, controls: set[str]) -> SuitePage:
    mine = [row for row in rows if row.board.suite == suite and row.board.hardware == hardware]
    kinds = {(row.board.scale, row.board.base) for row in mine}
    sections = []
    for scale, base in sorted(kinds, key=lambda kind: (_scale_order(kind[0]), kind[1])):
        here = [row for row in mine if (row.board.scale, row.board.base) == (scale, base)]
        order = list(info.points)
        boards = sorted(
            by_board(here).items(),
            key=lambda item: (order.index(item[0].point) if item[0].point in order else len(order), item[0].point),
        )
        tables = [make_table(board, group, info, controls) for board, group in boards]
        sections.append(Section(scale, base, _figures(here, info, controls), tables))
    address = f"suites/{file_name(suite)}/{file_name(hardware)}.html"
    return SuitePage(info, hardware, address, sections, len(mine))


def _figures(rows: Sequence[Row], info: SuiteInfo, controls: set[str]) -> list[Figure]:
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


def _picture(pages: Sequence[SuitePage], info: SuiteInfo) -> Figure | None:
    """The first picture of the section with the most to show, toy scales last."""
    sections = [section for page in pages if page.info is info for section in page.sections if section.figures]

    def size(section: Section) -> tuple[bool, int]:
        return section.scale != SCALES[0], sum(len(table.lines) for table in section.tables)

    best = max(sections, key=size, default=None)
    return best.figures[0] if best else None


def _addresses(pages: Sequence[SuitePage]) -> dict[tuple[str, str], str]:
    return {(page.info.slug, page.hardware): page.address for page in pages}


def _scale_order(scale: str) -> int:
    order = ("embedded", "full", "tiny")
    return order.index(scale) if scale in order else len(order)


def _unregistered(slug: str, records: Sequence[Record]) -> SuiteInfo:
    """What can be said of a suite that is not there any more: the names of its scores."""
    names = dict.fromkeys(name for record in records if record.suite == slug for name in record.quality)
    scores = {name: Metric(name, name, primary=i == 0) for i, name in enumerate(names)}
    return SuiteInfo(
        slug, "?", slug, "This suite is no longer registered.", "", {},
        scores or {"score": Metric("score", "Score", primary=True)}, {}, {}, {}, {},
    )  # fmt: skip


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(site_folder() / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(file_name=file_name, safe_url=safe_url, number=number, quantity=quantity)
    environment.tests["carried"] = carries_unit
    return environment
