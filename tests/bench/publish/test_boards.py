"""A board as a table: the columns that matter, digits, margins, what was measured and what was not."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.publish.coverage import distinct, state_of
from bench.publish.paths import coverage_address
from tests.bench.analyse.record_factory import make_record
from tests.bench.publish.site_factory import HALF, REGISTRY, Page, build, losses, make_method, make_registry, times


def headings(page: Page) -> list[tuple[str, str]]:
    """Text and class of each heading of the chief table."""
    (head,) = re.findall(r"<table class=\"results\" data-main.*?<thead>(.*?)</thead>", page.source, re.S)
    found = re.findall(r'<th scope="col"(?: class="([^"]*)")?[^>]*>(.*?)</th>', head, re.S)
    plain = [re.sub(r"<[^>]*>", "", re.sub(r'<span class="detail".*', "", text, flags=re.S)) for _, text in found]
    return [(text.strip(), kind) for text, (kind, _) in zip(plain, found, strict=True)]


def test_the_columns_that_matter_come_first_and_the_rest_is_behind_a_switch(site: Path) -> None:
    found = headings(Page(site / f"{HALF}.html"))
    shown = [text for text, kind in found if "extra" not in kind]
    assert shown[:4] == ["Rank", "Method", "Perplexity", "Against the best control"]
    assert shown[-1] == "Trained"
    assert "Seeds" in [text for text, kind in found if "extra" in kind]
    page = Page(site / f"{HALF}.html")
    (switch,) = [attrs for tag, attrs in page.tags if tag == "input" and attrs.get("id") == "more"]
    assert switch["type"] == "checkbox"
    assert ("label", {"for": "more", "class": "switch"}) in page.tags


def test_each_method_has_its_margin_over_the_best_control(site: Path) -> None:
    page = Page(site / f"{HALF}.html")
    assert re.search(r"\+2\d(\.\d)?\s% \[2\d(\.\d)?, 2\d(\.\d)?\] %", page.row("alpha").replace("%[", "% ["))
    assert "best control" in page.row("random")
    assert "−3" in page.row("beta")  # e^0.8 against e^0.51
    assert 'class="verdict worse"' in page.source
    assert "margins are over random, the best control" in " ".join(page.text.split())


def test_a_method_that_is_many_times_worse_is_said_in_factors(tmp_path: Path) -> None:
    records = [make_record("random", losses=losses(0)), make_record("alpha", losses=losses(5.3))]
    page = Page(build(records, REGISTRY, tmp_path).index.parent / f"{HALF}.html")
    assert "200× worse" in page.row("alpha")
    assert "%" not in page.row("alpha")


def test_a_control_that_only_guesses_is_not_the_one_to_beat(tmp_path: Path) -> None:
    """Else the margin of every method would be over it."""
    guess = make_method("guess", control=True, trivial=True, claims=())
    registry = make_registry(make_method("alpha"), make_method("random", control=True, claims=()), guess)
    shifts = {"alpha": 0.1, "random": 0.6, "guess": 1.5}
    records = [make_record(name, losses=losses(shift)) for name, shift in shifts.items()]
    page = Page(build(records, registry, tmp_path).index.parent / f"{HALF}.html")
    assert "best control" in page.row("random")
    assert "best control" not in page.row("guess")
    alone = [make_record(name, losses=losses(shifts[name])) for name in ("alpha", "guess")]
    page = Page(build(alone, registry, tmp_path / "alone").index.parent / f"{HALF}.html")
    assert 'class="verdict' not in page.source


@pytest.mark.parametrize(("drawn", "said"), [({"training_tokens": 100}, "yes"), ({"calibration_tokens": 9}, "no")])
def test_whether_a_method_was_trained_is_read_from_what_its_build_drew(
    tmp_path: Path, drawn: dict[str, int], said: str
) -> None:
    record = make_record("alpha", losses=losses(0))
    assert record.build is not None
    record = record.model_copy(update={"build": record.build.model_copy(update={"drawn": drawn})})
    page = Page(build([record], REGISTRY, tmp_path).index.parent / f"{HALF}.html")
    (row,) = [attrs for tag, attrs in page.tags if tag == "tr" and attrs.get("data-name") == "alpha"]
    assert row["data-trained"] == said
    assert ("100 tokens" in page.row("alpha")) == (said == "yes")


def test_a_search_reads_names_families_and_papers_alone(site: Path) -> None:
    page = Page(site / f"{HALF}.html")
    words = {attrs["data-name"]: attrs["data-text"] for tag, attrs in page.tags if attrs.get("data-name")}
    assert words["alpha"] == "alpha alpha test-site author (2024). a paper."
    assert "random" not in (words["beta"] or "")  # though its row tells of that control


def test_a_picture_can_be_taken_along_and_says_where_it_is_from(site: Path) -> None:
    page = Page(site / f"{HALF}.html")
    (address,) = {attrs["href"] for tag, attrs in page.tags if "stored-ratio.svg" in (attrs.get("href") or "")}
    assert address is not None
    file = (site / HALF).parent / address
    picture = ElementTree.fromstring(file.resolve().read_text())
    words = " ".join(picture.itertext())
    assert "Perplexity versus Stored size" in words
    assert "half; toy, tiny scale" in words
    assert re.search(r"newest record of 20\d\d-\d\d-\d\d", words)
    used = {each.attrib["href"][1:] for each in picture.iter("{http://www.w3.org/2000/svg}use")}
    assert used
    assert used <= {each.attrib.get("id") for each in picture.iter("{http://www.w3.org/2000/svg}path")}


def test_what_is_stale_is_never_named_best_without_it(tmp_path: Path) -> None:
    records = [make_record("alpha", losses=losses(0), key="old"), make_record("beta", losses=losses(0.5))]
    site = build(records, REGISTRY, tmp_path).index.parent
    assert any("alpha (stale)" in row for row in Page(site / "suites/demo.html").rows)
    assert "first: alpha (stale)" in Page(site / "suites/demo/tiny/toy.html").text
    assert '"stale":true' in (site / f"{HALF}.js").read_text()


def test_coverage_tells_what_was_tried_and_what_was_not(tmp_path: Path) -> None:
    records = [
        make_record("alpha", losses=losses(0), **times(0.7)),
        make_record("alpha", losses=losses(0), hardware="cpu-other"),
        make_record("beta", losses=losses(0), key="old"),
        make_record("random", status="failed", reason="it fell"),
        make_record("dense", status="over_budget", reason="too large"),
    ]
    site = build(records, REGISTRY, tmp_path).index.parent
    page = Page(site / coverage_address("demo"))
    cells = {row.split()[0]: row.split()[1:] for row in (" ".join(each.split()) for each in page.rows) if row}
    assert "alpha" in cells
    found = {name: page.row(name) for name in ("alpha", "beta")}
    assert "○●" in found["alpha"]  # signs stand in the order of the hardware: cpu-other, cpu-test
    assert "·◌" in found["beta"]
    assert "·✗" in page.row("random control")
    assert "·–" in page.row("dense control")
    text = " ".join(page.text.split())
    assert "Speed measured for 1 of 2 results" in text  # alpha counts once, though two kinds of hardware scored it
    assert "Speed measured for 1 of 2 results" in " ".join(Page(site / "suites/demo.html").text.split())
    assert "Speed measured for 1 of 2 rows" in " ".join(Page(site / f"{HALF}.html").text.split())


def test_a_score_is_counted_once_whatever_hardware_it_ran_on() -> None:
    def section(hardware: str, timed: bool, status: str = "ok") -> dict[str, object]:
        one = {"point": "half", "method": "alpha", "variant": "default", "current": True, "status": status,
               "timed": timed, "stale": []}  # fmt: skip
        return {"suite": "demo", "scale": "tiny", "base": "toy", "hardware": hardware, "configurations": [one]}

    assert distinct([section("a", False), section("b", False)]) == (1, 0)
    assert distinct([section("a", False), section("b", True)]) == (1, 1)
    assert distinct([section("a", True), section("b", False)]) == (1, 1)
    assert distinct([section("a", False, "failed")]) == (0, 0)
    states = {"ok": "ok", "unsupported": "refused", "over_budget": "refused", "timeout": "failed"}
    for status, state in states.items():
        assert state_of(section("a", False, status)["configurations"][0]) == state  # type: ignore[index]
