"""Templates to files: everything that writes a page goes through here."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from bench.publish.about import UNKNOWN, About
from bench.publish.format import carries_unit, day, minute, number, quantity
from bench.publish.glossary import explain, terms
from bench.publish.kept import write_whole
from bench.publish.markers import SHAPES, marker
from bench.publish.paths import (
    board_address,
    coverage_address,
    file_name,
    method_address,
    pairs_address,
    record_address,
    safe_url,
    site_folder,
)
from bench.publish.table_view import Cell

_TICKS = re.compile(r"``?([^`\n]+)``?")

ROOT_TOKEN = "@root@"
"""Stands in a stored piece of a page for the way back to the site's root."""


@dataclass(frozen=True)
class Pages:
    """Writes below `output`; a file that would not change is left alone, so that a copy of the site moves little.

    about: what every page says of the site at its foot.
    """

    output: Path
    about: About = UNKNOWN

    def page(self, template: str, address: str, **values: Any) -> str:
        """Render a template at the address, relative to the site's root; returns the address."""
        root = "../" * address.count("/") or "./"
        values = {"root": root, "address": address, "about": self.about, **values}
        return self.text(address, environment().get_template(template).render(values))

    def text(self, address: str, text: str) -> str:
        """Write a text at the address; returns the address."""
        path = self.output / address
        data = text.encode("utf-8", errors="replace")
        try:
            if path.read_bytes() == data:
                return address
        except OSError:
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
        return address


@cache
def environment() -> jinja2.Environment:
    """Jinja with every value escaped and every unknown name an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(site_folder() / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        file_name=file_name, method_address=method_address, safe_url=safe_url, number=number, quantity=quantity,
        record_address=record_address, board_address=board_address, pairs_address=pairs_address,
        coverage_address=coverage_address,
        date=day, minute=minute,
    )  # fmt: skip
    made.filters.update(explained=explain, terms=terms, ticked=ticked)
    made.filters["stored"] = Markup  # a piece of a page that was rendered, and escaped, before
    made.globals["cell"] = cell_html
    made.filters["at_root"] = lambda stored, root: Markup(stored.replace(ROOT_TOKEN, root))
    made.tests["carried"] = carries_unit
    made.globals["shapes"] = [(shape, marker(shape)) for shape in SHAPES]
    return made


def ticked(text: str) -> Markup:
    """Text of a docstring: what stands between backticks is code."""
    parts = _TICKS.split(str(text))
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def cell_html(cell: Cell) -> Markup:
    """A figure in a table: its text, and below it interval and number of samples; an exact one has neither. Hundreds of
    thousands are written, hence no template."""
    if cell.kind in ("missing", "not realised"):
        return Markup('<span class="quiet">{}</span>').format("not measured" if cell.kind == "missing" else cell.kind)
    if cell.kind == "exact" and not cell.interval:
        return Markup(escape(cell.text))
    detail = f'{escape(cell.interval)}<span class="n"> n={cell.n}</span>'
    return Markup(f'{escape(cell.text)}<span class="detail">{detail}</span>')
