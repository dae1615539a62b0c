"""Templates to files: everything that writes a page goes through here."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from bench.publish.format import carries_unit, number, quantity
from bench.publish.kept import write_whole
from bench.publish.markers import SHAPES, marker
from bench.publish.paths import (
    board_address,
    file_name,
    method_address,
    pairs_address,
    record_address,
    safe_url,
    site_folder,
)
from bench.publish.table_view import Cell

ROOT_TOKEN = "@root@"
"""Stands in a stored piece of a page for the way back to the site's root."""


@dataclass(frozen=True)
class Pages:
    """Writes below `output`; a file that would not change is left alone, so that a copy of the site moves little."""

    output: Path

    def page(self, template: str, address: str, **values: Any) -> str:
        """Render a template at the address, relative to the site's root; returns the address."""
        root = "../" * address.count("/") or "./"
        return self.text(address, environment().get_template(template).render(root=root, address=address, **values))

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
        date=date, minute=minute,
    )  # fmt: skip
    made.filters["stored"] = Markup  # a piece of a page that was rendered, and escaped, before
    made.globals["cell"] = cell_html
    made.filters["at_root"] = lambda stored, root: Markup(stored.replace(ROOT_TOKEN, root))
    made.tests["carried"] = carries_unit
    made.globals["shapes"] = [(shape, marker(shape)) for shape in SHAPES]
    return made


def cell_html(cell: Cell) -> Markup:
    """A figure in a table: its text, and below it interval, number of samples and rank. Hundreds of thousands are
    written, hence no template."""
    if cell.kind in ("missing", "not realised"):
        return Markup('<span class="quiet">{}</span>').format("not measured" if cell.kind == "missing" else cell.kind)
    parts = [
        cell.interval,
        "exact" if cell.kind == "exact" else f"n={cell.n}",
        f"· rank {cell.rank}" if cell.rank else "",
    ]
    small = " ".join(part for part in parts if part)
    detail = "" if small == "exact" else f'<span class="detail">{escape(small)}</span>'
    return Markup(f"{escape(cell.text)}{detail}")


def date(when: float) -> str:
    """2026-11-23"""
    return _time(when).strftime("%Y-%m-%d")


def minute(when: float) -> str:
    """2026-11-23 16:05, Greenwich time"""
    return _time(when).strftime("%Y-%m-%d %H:%M")


def _time(when: float) -> datetime:
    try:
        return datetime.fromtimestamp(when, UTC)
    except (OverflowError, OSError, ValueError):  # a year beyond what this machine can name
        return datetime.fromtimestamp(0, UTC)
