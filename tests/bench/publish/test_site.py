"""The pages as a reader or an attacker meets them: everything is there, nothing escapes, every link leads somewhere."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pytest

from bench.contract import Card, Claim, Limits, Method, Suite, Task
from bench.contract.registry import Registry
from bench.publish.paths import file_name, safe_url
from bench.publish.site import build_site
from bench.record.schema import Record
from tests.bench.analyse.record_factory import make_info, make_record

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
HARDNESS = np.random.default_rng(0).normal(3.0, 0.5, 60)


def losses(shift: float, seed: int = 0) -> list[float]:
    return (HARDNESS + shift + np.random.default_rng(seed).normal(0, 0.02, 60)).tolist()


def times(ratio: float) -> dict[str, list[float]]:
    base = 0.05 * np.exp(np.random.default_rng(1).normal(0, 0.02, 20))
    return {"candidate": (base * ratio).tolist(), "baseline": base.tolist()}


def make_method(
    slug: str, *, control: bool = False, text: str = "Drops what matters least.", **card: Any
) -> type[Method]:
    @dataclass(frozen=True)
    class Made(Method[Task]):
        samples: int = 256

        def build(self, task: Task, limits: Limits) -> None: ...

    Made.__doc__ = text
    claims = (Claim("Better than random dropping.", "Table 2", "perplexity", versus="random", paper_value="6.4"),)
    values = {"title": slug.title(), "paper": "Author (2024). A paper.", "claims": claims} | card
    Made.card = Card(slug, "demo", control=control, **values)
    return Made


def make_registry(*methods: type[Method], **info: Any) -> Registry:
    class Demo(Suite[Task]):
        task = evaluate = workloads = None

    Demo.__abstractmethods__ = frozenset()
    Demo.info = make_info(**info)
    found = {method.card.slug: method for method in methods}
    return Registry(MappingProxyType(found), MappingProxyType({"demo": Demo()}), ())


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


class Page(HTMLParser):
    """Tags, links, text and table rows of a page; checks that tags nest."""

    VOID: ClassVar = {"meta", "link", "br", "img", "hr"}

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
        (found,) = [" ".join(row.split()) for row in self.rows if re.match(rf"\s*([\d–]+\s+)?{start}\s", row)]
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = build_site(RECORDS, ["results/x.jsonl:3: not JSON"], REGISTRY, tmp_path_factory.mktemp("site"))
    assert index.name == "index.html"
    return index.parent


def pages(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.html"))


def at_half(site: Path) -> Page:
    page = Page(site / "suites/demo/cpu-test.html")
    page.rows = page.rows[next(i for i, row in enumerate(page.rows) if "Rank" in row) :]
    page.rows = page.rows[: 1 + next(i for i, row in enumerate(page.rows[1:]) if "Rank" in row)]
    return page


def test_every_link_leads_to_a_file_of_the_site_or_to_the_web(site: Path) -> None:
    for path in pages(site):
        page = Page(path)
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids)), f"{path.name}: an id is used twice"
        for tag, attrs in page.tags:
            assert tag not in ("script", "iframe", "object")
            address = attrs.get("href") or attrs.get("src")
            if address is None or address == "https://example.org/paper":
                continue
            target, _, fragment = address.partition("#")
            there = (path.parent / target).resolve() if target else path
            assert there.is_relative_to(site.resolve())
            assert there.is_file(), f"{path.name} links to {address}"
            if fragment and there.suffix == ".html":
                assert f'id="{fragment}"' in there.read_text(encoding="utf-8"), address


def test_the_table_shows_ranks_controls_failures_and_commands(site: Path) -> None:
    page = at_half(site)
    assert page.row("alpha").startswith("1 alpha")
    assert "does not beat" not in page.row("alpha")
    assert "does not beat its controls: random" in page.row("beta")
    assert "control" in page.row("random")
    assert "n=60" in page.row("random")
    assert "over budget stored_ratio: 1 is over the limit of 0.5" in page.row("dense")
    assert "baseline" in page.row("dense")
    assert "timeout stopped after 60 s" in page.row("slow")
    assert "effbench run --method alpha" in page.row("alpha")
    assert re.search(r"\[\d[\d.]*, \d[\d.]*\] n=60", page.row("alpha"))
    assert "The baseline is a toy." in page.text
    assert "Stored size at most 0.5" in page.text
    order = [row.split()[1] for row in page.rows[1:]]
    assert order == ["alpha", "random", "beta", "dense", "slow"]


def test_the_picture_has_its_data_beside_it(site: Path) -> None:
    page = Page(site / "suites/demo/cpu-test.html")
    marks = [attrs for tag, attrs in page.tags if tag == "path" and attrs.get("class") == "mark"]
    assert len(marks) >= 2 * 4
    assert "Perplexity versus Stored size" in page.text
    assert "Data of this picture" in page.text


def test_the_method_page_holds_the_claim_against_the_records(site: Path) -> None:
    alpha, beta = Page(site / "methods/alpha.html"), Page(site / "methods/beta.html")
    assert "holds" in alpha.row("half")
    assert "does not hold" not in alpha.text
    assert "does not hold" in beta.text
    assert "https://example.org/paper" in alpha.text
    assert "samples int 256" in alpha.row("samples")
    assert "in the paper: 6.4" in " ".join(alpha.text.split())
    assert "no longer registered" in Page(site / "methods/slow.html").text


def test_what_could_not_be_read_is_listed(site: Path) -> None:
    assert "results/x.jsonl:3: not JSON" in Page(site / "index.html").text


def test_the_downloads_hold_every_record(site: Path) -> None:
    stored = json.loads((site / "data/records.json").read_text())
    assert [Record.model_validate(record) for record in stored] == RECORDS
    with (site / "data/records.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["id"] for line in lines} == {record.id for record in RECORDS}
    (ratio,) = [x for x in lines if x["method"] == "alpha" and x["metric"] == "decode.tpot.ratio"]
    assert float(ratio["value"]) == pytest.approx(0.7)
    assert json.loads((site / "data/schema.json").read_text())["title"] == "Record"


def test_a_record_that_diverged_is_still_json(tmp_path: Path) -> None:
    record = make_record(losses=[1.0, float("inf"), float("nan")])
    build_site([record, make_record("beta", losses=losses(0))], [], REGISTRY, tmp_path)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    (first, _) = json.loads((tmp_path / "data/records.json").read_text(), parse_constant=refuse)
    assert Record.model_validate(first).quality["perplexity"].samples[1] == float("inf")


def strings(record: Record) -> Record:
    """The record with an attack in every free text."""
    environment = record.environment.model_copy(update={"cpu": EVIL, "gpu": EVIL, "commit": EVIL})
    names = ("suite_version", "method", "variant", "point", "scale", "base", "hardware", "reason", "log", "command")
    changes: dict[str, Any] = dict.fromkeys(names, EVIL)
    quality = {**record.quality, EVIL: next(iter(record.quality.values()))} if record.quality else {}
    figures = {**record.figures, EVIL: 1.0}
    return record.model_copy(update=changes | {"environment": environment, "quality": quality, "figures": figures})


@pytest.mark.parametrize("status", ["ok", "failed"])
@pytest.mark.parametrize("suite", ["demo", EVIL])
def test_no_text_of_a_record_becomes_markup_or_leaves_the_folder(tmp_path: Path, status: str, suite: str) -> None:
    record = strings(make_record(losses=losses(0), status=status, suite=suite))
    other = record.model_copy(update={"method": "../../escape", "hardware": "../..", "started": RECORDS[0].started})
    output = tmp_path / "site"
    build_site([record, other, *RECORDS], [EVIL], REGISTRY, output)
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    assert any(EVIL in Page(path).text for path in pages(output))
    for path in pages(output):
        for tag, attrs in Page(path).tags:
            assert tag not in ("script", "img"), path
            assert not any(name.startswith("on") for name in attrs)
    cells = (output / "data/records.csv").read_text()
    assert "\n=" not in cells


def test_no_text_of_a_card_or_a_suite_becomes_markup(tmp_path: Path) -> None:
    claims = (Claim(EVIL, EVIL, EVIL, paper_value=EVIL),)
    method = make_method("alpha", text=EVIL, title=EVIL, paper=EVIL, notes=EVIL, claims=claims)
    object.__setattr__(method.card, "url", "javascript:alert(1)")
    registry = make_registry(method, title=EVIL, summary=EVIL, notice=EVIL)
    build_site(RECORDS, [], registry, tmp_path)
    for path in pages(tmp_path):
        page = Page(path)
        assert not any(tag in ("script", "img") for tag, _ in page.tags), path
        assert not any((attrs.get("href") or "").startswith("javascript") for _, attrs in page.tags)
    assert EVIL in Page(tmp_path / "methods/alpha.html").text


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://arxiv.org/abs/1", True),
        ("http://a.b/c", True),
        ("javascript:alert(1)", False),
        (" JavaScript:alert(1)", False),
        ("data:text/html,x", False),
        ("//evil.example", False),
        ("https:", False),
        ("http://[", False),
        (None, False),
    ],
)
def test_only_web_addresses_become_links(url: str | None, good: bool) -> None:
    assert (safe_url(url) is not None) is good


@pytest.mark.parametrize("text", ["..", "../x", "a/b", "", "A", "a b", ".", "con/..", "x" * 300, "\ud800"])
def test_file_names_stay_in_their_folder_and_apart(text: str) -> None:
    name = file_name(text)
    assert re.fullmatch(r"[a-z0-9]+([-.][a-z0-9]+)*", name)
    assert name != file_name(text + "2")
    assert file_name("flap") == "flap"


def test_a_site_without_records_says_so(tmp_path: Path) -> None:
    page = Page(build_site([], [], REGISTRY, tmp_path))
    assert "No records yet" in page.text
    assert "Alpha" in page.text


def test_building_twice_gives_the_same_pages(site: Path, tmp_path: Path) -> None:
    shuffled: Sequence[Record] = list(reversed(RECORDS))
    build_site(RECORDS, ["results/x.jsonl:3: not JSON"], REGISTRY, tmp_path)
    build_site(shuffled, ["results/x.jsonl:3: not JSON"], REGISTRY, tmp_path / "again")
    page = "suites/demo/cpu-test.html"
    assert (tmp_path / page).read_text() == (site / page).read_text() == (tmp_path / "again" / page).read_text()
