"""A method's page: first its place, then what the paper says; and what one takes along."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.contract import Card
from bench.publish.citation import badge, bibtex
from tests.bench.analyse.record_factory import make_record
from tests.bench.publish.site_factory import REGISTRY, Page, build, losses, make_method, make_registry, times


def records_at_two_costs() -> list[object]:
    placed = {"alpha": (0.0, 0.5), "beta": (0.12, 0.5), "random": (0.4, 0.4), "dense": (0.001, 0.6)}
    return [make_record(n, losses=losses(shift), figures={"stored_ratio": c}) for n, (shift, c) in placed.items()]


def place(page: Page) -> str:
    """The line of the point "half" in the first table that has one."""
    return next(row for row in (" ".join(each.split()) for each in page.rows) if row.startswith("half"))


def test_the_page_begins_with_the_methods_place(tmp_path: Path) -> None:
    site = build(records_at_two_costs(), REGISTRY, tmp_path).index.parent
    alpha, beta, random, dense = (Page(site / f"methods/demo/{n}.html") for n in ("alpha", "beta", "random", "dense"))
    assert "on the frontier" in place(alpha)
    assert re.search(r"1[23](\.\d)?\s% behind alpha", place(beta))
    assert "on the frontier" in place(random)  # nothing is as cheap
    assert "alpha" in place(dense)
    order = [
        beta.text.index(words) for words in ("Its place", "The paper and this version", "Claim against", "Results")
    ]
    assert order == sorted(order)
    marks = [attrs["class"] for tag, attrs in beta.tags if tag == "g" and "role-" in (attrs.get("class") or "")]
    assert sum("role-focus" in (each or "") for each in marks) == 2  # its point, and its sign


def test_a_place_names_no_stale_record_without_it(tmp_path: Path) -> None:
    records = [make_record("alpha", losses=losses(0), key="old"), make_record("beta", losses=losses(0.12))]
    site = build(records, REGISTRY, tmp_path).index.parent
    assert "behind alpha (stale)" in place(Page(site / "methods/demo/beta.html"))


def test_a_claim_of_a_score_counts_once_whatever_hardware_bore_it_out(tmp_path: Path) -> None:
    records = [
        make_record(name, losses=losses(shift), hardware=hardware, **times(0.7))
        for hardware in ("cpu-test", "cpu-other", "cpu-third")
        for name, shift in (("alpha", 0.1), ("random", 0.5))
    ]
    page = Page(build(records, REGISTRY, tmp_path).index.parent / "methods/demo/alpha.html")
    assert "1 checks" in page.text
    assert "3 checks" not in page.text


def test_differences_stand_one_a_line_and_the_file_is_named(tmp_path: Path) -> None:
    points = ("Without healing. In any step.",)
    alpha = make_method(
        "alpha", differences=points, notes="Kernels as in beta. Scores are of 128 samples, e.g. not 256."
    )
    site = build([make_record("alpha", losses=losses(0))], make_registry(alpha), tmp_path).index.parent
    page = Page(site / "methods/demo/alpha.html")
    notes = "<li>Kernels as in beta.</li><li>Scores are of 128 samples, e.g. not 256.</li>"
    assert f"<li>Without healing. In any step.</li>{notes}" in page.source
    assert "methods/demo/test_site/alpha.py" in page.text


@pytest.mark.parametrize(
    ("paper", "author", "title"),
    [
        ("Gromov et al., 2024. The Unreasonable & the Deep", "Gromov and others", r"{The Unreasonable \& the Deep}"),
        ("Author (2024). A paper.", "Author", "{A paper}"),
        ("A, B and C, 2023. On {x}_1: 5 % less", "A, B and C", r"{On x\_1: 5 \% less}"),
    ],
)
def test_a_citation_becomes_bibtex(paper: str, author: str, title: str) -> None:
    card = Card("x", "X", paper, url="https://arxiv.org/abs/2403.17887v2", control=True)
    entry = bibtex(card)
    assert f"author = {{{author}}}" in entry
    assert f"title = {{{title}}}" in entry
    assert "eprint = {2403.17887}" in entry
    assert entry.count("{") == entry.count("}")
    assert bibtex(Card("x", "X", "nobody knows", control=True)) == ""


def test_the_badge_says_where_a_method_stands(tmp_path: Path) -> None:
    said = ElementTree.fromstring(badge("effbench <b>", ["frontier", "behind", "frontier"]))
    assert "on the frontier at 2 of 3 points" in " ".join(said.itertext())
    site = build([make_record("alpha", losses=losses(0))], REGISTRY, tmp_path).index.parent
    assert "1 of 1 points" in (site / "methods/demo/alpha.svg").read_text()
    assert "not measured yet" in (site / "methods/demo/beta.svg").read_text()
