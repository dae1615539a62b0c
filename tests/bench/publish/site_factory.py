"""A small registry, its records, and a reader of pages, for the tests of the site."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from bench import measure
from bench.contract import Card, Claim
from bench.publish.paths import file_name
from bench.publish.site import Built, build_site
from bench.record.schema import Record
from bench.registry import Listed, Registry
from bench.registry.content import Contents
from bench.registry.key import key_of, run_of
from bench.registry.tree import Source
from tests.bench.analyse.record_factory import make_info, make_record

HARDNESS = np.random.default_rng(0).normal(3.0, 0.5, 60)


def losses(shift: float, seed: int = 0) -> list[float]:
    return (HARDNESS + shift + np.random.default_rng(seed).normal(0, 0.02, 60)).tolist()


def times(ratio: float) -> dict[str, list[float]]:
    base = 0.05 * np.exp(np.random.default_rng(1).normal(0, 0.02, 20))
    return {"candidate": (base * ratio).tolist(), "baseline": base.tolist()}


@dataclass(frozen=True)
class Files:
    """A tree in memory, of modules alone."""

    texts: Mapping[PurePosixPath, str]

    def find(self, name: str) -> Source | None:
        place = PurePosixPath(*name.split(".")).with_suffix(".py")
        return Source(name, place, False) if place in self.texts else None

    def read(self, place: PurePosixPath) -> bytes:
        return self.texts[place].encode()

    def beside(self, source: Source) -> list[PurePosixPath]:
        return []


def make_method(
    slug: str, *, control: bool = False, text: str = "Drops what matters least.", suite: str = "demo", **card: Any
) -> Listed:
    claims = (Claim("Better than random dropping.", "Table 2", "perplexity", versus="random", paper_value="6.4"),)
    values = {"title": slug.title(), "paper": "Author (2024). A paper.", "claims": claims} | card
    module = f"methods.{suite}.test_site.{slug.replace('-', '_')}"
    place = PurePosixPath(*module.split(".")).with_suffix(".py")
    made = Card(slug, control=control, **values)
    return Listed(suite, module, "Made", "test-site", place, made, text, {"default": {}}, {})


def make_registry(*methods: Listed, **info: Any) -> Registry:
    suite = make_info(**info)
    modules = [problem.module for problem in suite.problems.values()]
    texts = {PurePosixPath(*module.split(".")).with_suffix(".py"): "SIZE = 1\n" for module in modules}
    texts |= {each.place: f"class Made:\n    slug = {each.slug!r}\n    samples: int = 256\n" for each in methods}
    tree = Files(texts)
    found = {(each.suite, each.slug): each for each in methods}
    return Registry(tree, {suite.slug: suite}, found, (), Contents(tree))


def keyed(record: Record, registry: Registry) -> Record:
    """The record with the key that it would have today, unless it has one."""
    if record.key != "key" or (record.suite, record.method) not in registry.methods:
        return record
    try:
        return record.model_copy(update={"key": key_of(registry, run_of(record), measure.VERSION)})
    except LookupError:  # of a point or a variant that there is not
        return record


RECORDS = [
    make_record("dense", losses=losses(0), figures={"stored_ratio": 1.0}, point="all", **times(1.0)),
    make_record("dense", status="over_budget", reason="stored_ratio: 1 is over the limit of 0.5"),
    make_record("alpha", losses=losses(0.2), **times(0.7)),
    make_record("beta", losses=losses(0.8, seed=1), **times(0.72)),
    *(make_record("random", losses=losses(0.5 + 0.01 * i, seed=i), seed=i, **times(0.7)) for i in range(3)),
    make_record("slow", status="timeout", reason="stopped after 60 s", log="last words"),
]
REGISTRY = make_registry(
    make_method("alpha", url="https://example.org/paper"),
    make_method("beta"),
    make_method("dense", control=True, claims=()),
    make_method("random", control=True, claims=()),
)


HALF = "suites/demo/tiny/toy/half"
"""The chief board of the records, without the ending of its page."""
HOME = "suites/demo/cpu-test/tiny/toy/half"
"""Below it are the pages of its records."""


class Page(HTMLParser):
    """Tags, links, text and table rows of a page; checks that tags nest."""

    VOID: ClassVar = {"meta", "link", "br", "img", "hr", "input"}

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.open, self.rows = "", [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == [], f"{path.name}: {self.open} not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append("")
        if tag in ("td", "th"):
            self.rows[-1] += " "
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "tr" in self.open:
            self.rows[-1] += data

    def row(self, start: str) -> str:
        (found,) = [
            " ".join(row.split()) for row in self.rows if re.match(rf"\s*([\d–]+\s*(tie of \d+)?\s+)?{start}\s", row)
        ]
        return found


def save(records: Sequence[Record], folder: Path, registry: Registry = REGISTRY) -> Path:
    """The records as results files, with names that stay inside the folder. They have the keys of this registry."""
    for record in (keyed(each, registry) for each in records):
        path = folder / file_name(record.hardware) / file_name(record.suite) / f"{file_name(record.method)}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(record.model_dump_json() + "\n")
    return folder


def build(records: Sequence[Record], registry: Registry, folder: Path) -> Built:
    """Build the site of these records into folder/site."""
    return build_site([save(records, folder / "results", registry)], registry, folder / "site")


def pages(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.html"))
