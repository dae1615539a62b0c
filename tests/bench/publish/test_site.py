"""The pages as a reader meets them: everything is there, every link leads somewhere."""

import csv
import json
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.dataset
import pytest

from bench.contract import Limits, OperatingPoint
from bench.publish.board_data import script
from bench.publish.paths import file_name
from bench.publish.serve import serve
from bench.record.schema import Record
from bench.registry.metrics import Metric
from tests.bench.analyse.record_factory import START, make_info, make_problem, make_record
from tests.bench.publish.site_factory import (
    HALF,
    HOME,
    RECORDS,
    REGISTRY,
    Page,
    build,
    losses,
    make_method,
    make_registry,
    pages,
    times,
)


def at_half(site: Path) -> Page:
    return Page(site / f"{HALF}.html")


def test_every_link_leads_to_a_file_of_the_site_or_to_the_web(site: Path) -> None:
    for path in pages(site):
        page = Page(path)
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids)), f"{path.name}: an id is used twice"
        for tag, attrs in page.tags:
            assert tag not in ("iframe", "object", "form", "style")
            assert "style" not in attrs
            address = attrs.get("href") or attrs.get("src")
            if address is None or address == "https://example.org/paper":
                continue
            target, _, fragment = address.partition("#")
            there = (path.parent / target).resolve() if target else path
            assert there.is_relative_to(site.resolve())
            assert there.is_file(), f"{path.name} links to {address}"
            if fragment and "=" not in fragment and there.suffix == ".html":
                assert f'id="{fragment}"' in there.read_text(encoding="utf-8"), address


def test_the_table_shows_ranks_controls_failures_and_samples(site: Path) -> None:
    page = at_half(site)
    assert page.row("alpha").startswith("1 alpha")
    assert "does not beat" not in page.row("alpha")
    assert "does not beat its controls: random" in page.row("beta")
    assert "control" in page.row("random")
    assert "n=60" in page.row("random")
    assert "over budget stored_ratio: 1 is over the limit of 0.5" in page.row("dense")
    assert "baseline" in page.row("dense")
    assert "timeout stopped after 60 s" in page.row("slow")
    assert re.search(r"\[\d[\d.]*, \d[\d.]*\] n=60", page.row("alpha"))
    assert "The baseline is a toy." in page.text
    assert "Stored size at most 0.5" in page.text
    order = [row.split()[1] for row in page.rows[1:]]
    assert order == ["alpha", "random", "beta", "dense", "slow"]
    (slow,) = [attrs for tag, attrs in page.tags if tag == "tr" and attrs.get("data-name") == "slow"]
    assert (slow["data-status"], slow["data-kind"]) == ("timeout", "method")


def test_a_long_list_of_unbeaten_controls_is_folded(tmp_path: Path) -> None:
    names = ["random", "dense", "first", "second"]
    controls = [make_method(name, control=True, claims=()) for name in names]
    records = [make_record(name, losses=losses(0.1)) for name in names]
    site = build(
        [*records, make_record("beta", losses=losses(0.8))], make_registry(*controls, make_method("beta")), tmp_path
    ).index.parent
    for address in (f"{HALF}.html", "methods/demo/beta.html"):
        page = Page(site / address)
        assert "does not beat 4 of its controls" in page.text
        folded = re.search(r"<details[^>]*><summary>does not beat 4.*?</details>", page.source)
        assert folded is not None
        assert sorted(re.findall("|".join(names), folded[0])) == sorted(names)


def test_a_row_with_too_few_seeds_says_so_wherever_it_stands(tmp_path: Path) -> None:
    drawn = [make_method(name, stochastic=True) for name in ("alpha", "beta")]
    random = make_method("random", control=True, claims=(), stochastic=True)
    tried = {"alpha": 2, "beta": 3, "random": 1}
    records = [make_record(name, losses=losses(0.1, seed), seed=seed) for name, n in tried.items() for seed in range(n)]
    exact = make_method("exact")
    built = build(
        [*records, make_record("exact", losses=losses(0))], make_registry(*drawn, random, exact, seeds=5), tmp_path
    )
    page = Page(built.index.parent / f"{HALF}.html")
    for name, seeds, few in (
        ("alpha", "2of 5", True),
        ("beta", "3of 5", False),
        ("random", "1of 5", True),
        ("exact", "1", False),
    ):
        assert ("few seeds" in page.row(name)) == few
        assert page.row(name).endswith(f" {seeds}")
    assert "2 of 4 rows hang on a seed" in page.text
    claims = {name: Page(built.index.parent / f"methods/demo/{name}.html").text for name in ("alpha", "beta", "exact")}
    assert "few seeds: alpha, random" in claims["alpha"]
    assert "few seeds: random" in claims["beta"]
    assert "few seeds: random" in claims["exact"]
    stored = json.loads((built.index.parent / f"{HALF}.json").read_text())
    assert {row["method"]: (row["seeds"], row["seeds_asked"]) for row in stored["rows"]}["alpha"] == (2, 5)


def test_a_ranking_is_of_all_hardware_and_times_are_of_each(tmp_path: Path) -> None:
    here = [make_record("dense", losses=losses(0), **times(1.0)), make_record(losses=losses(0.1), **times(0.5))]
    there = [make_record(losses=losses(0.1, s), seed=s, hardware="cpu-other", **times(0.9)) for s in (1, 2)]
    beta = make_record("beta", losses=losses(0.2), hardware="cpu-other", **times(0.3))
    site = build([*here, *there, beta], REGISTRY, tmp_path).index.parent
    rows = {row["method"]: row for row in json.loads((site / f"{HALF}.json").read_text())["rows"]}
    assert {name: row["seeds"] for name, row in rows.items()} == {"dense": 1, "alpha": 3, "beta": 1}
    ratios = {
        (name, hardware): values["decode.tpot.ratio"]["value"]
        for name, row in rows.items()
        for hardware, values in row["on"].items()
        if "decode.tpot.ratio" in values
    }
    assert ratios == {
        ("dense", "cpu-test"): pytest.approx(1.0), ("alpha", "cpu-test"): pytest.approx(0.5),
        ("alpha", "cpu-other"): pytest.approx(0.9), ("beta", "cpu-other"): pytest.approx(0.3),
    }  # fmt: skip
    assert "decode.tpot.ratio" not in rows["alpha"]["metrics"]
    board = Page(site / f"{HALF}.html")
    chosen = {attrs["value"]: "checked" in attrs for tag, attrs in board.tags if attrs.get("name") == "on"}
    assert chosen == {"cpu-test": False, "cpu-other": True}
    shown = {attrs["data-on"] for tag, attrs in board.tags if attrs.get("data-metric") == "decode.tpot.ratio"}
    assert shown == {"1", "2"}
    assert "cpu-other/tiny/toy/half/beta/default.html" in board.source  # where its record stands in full
    assert "seed 1 are those that cpu-other measured" in Page(site / f"{HOME}/alpha/default.html").text


def test_where_each_hardware_had_its_own_page_one_leads_to_that_of_all(tmp_path: Path) -> None:
    records = [make_record(losses=losses(0.1), hardware=name) for name in ("cpu-test", "cpu-other")]
    site = build(records, REGISTRY, tmp_path).index.parent
    for old, new in ((f"{HOME}.html", "tiny/toy/half.html"), ("suites/demo/cpu-test/tiny/toy.html", "tiny/toy.html")):
        (there,) = [attrs["content"] for _, attrs in Page(site / old).tags if attrs.get("http-equiv") == "refresh"]
        assert str(there).endswith(f"suites/demo/{new}#on=cpu-test")


def test_a_measurement_counts_once_wherever_it_was_repeated(tmp_path: Path) -> None:
    """Scores that four kinds of hardware measured are one result, one claim, one row."""
    hardware = ("cpu-a", "cpu-b", "cpu-c", "cpu-test")
    records = [
        make_record(name, losses=losses(shift), hardware=each)
        for each in hardware
        for name, shift in (("alpha", 0.1), ("random", 0.5))
    ]
    site = build(records, REGISTRY, tmp_path).index.parent
    assert not (site / "suites/demo/cpu-a/tiny/toy/half.json").exists()
    rows = json.loads((site / f"{HALF}.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["alpha", "random"]
    method = Page(site / "methods/demo/alpha.html")
    assert "1 checks" in method.text
    assert len([row for row in method.rows if "cpu-a" in row]) == 1  # one row, which links to the records on each
    assert "Speed measured for 0 of 2 results" in " ".join(Page(site / "suites/demo.html").text.split())


def test_where_a_time_is_the_budget_each_hardware_has_its_own_ranking(tmp_path: Path) -> None:
    points = {"half": OperatingPoint("half", "Half an hour", "main", Limits(), clock=True)}
    records = [
        make_record(name, losses=losses(shift), hardware=hardware)
        for hardware, order in (("cpu-test", (0.1, 0.5)), ("cpu-fast", (0.4, 0.2)))
        for name, shift in zip(("alpha", "beta"), order, strict=True)
    ]
    registry = make_registry(make_method("alpha"), make_method("beta"), points=points)
    site = build(records, registry, tmp_path).index.parent
    first = {
        name: json.loads((site / f"{HALF}/{name}.json").read_text())["rows"][0]["method"]
        for name in ("cpu-test", "cpu-fast")
    }
    assert first == {"cpu-test": "alpha", "cpu-fast": "beta"}
    assert not (site / f"{HALF}.html").exists()


@pytest.mark.parametrize("timed", [False, True])
def test_a_stale_score_yields_to_a_fresh_one_of_other_hardware_and_a_stale_time_is_marked(
    tmp_path: Path, timed: bool
) -> None:
    stale, fresh = {"hyperparameters": {"samples": 256}, "key": "old"}, {"hyperparameters": {"samples": 256}}
    here = make_record(losses=losses(0.5), **stale, **(times(0.5) if timed else {}))
    there = make_record(losses=losses(0.1), hardware="cpu-other", **fresh, **times(0.9), age=3)
    site = build([here, there], REGISTRY, tmp_path).index.parent
    (row,) = json.loads((site / f"{HALF}.json").read_text())["rows"]
    assert (row["seeds"], row["stale"]) == (1, "")
    alone = build([there], REGISTRY, tmp_path / "alone").index.parent
    (known,) = json.loads((alone / f"{HALF}.json").read_text())["rows"]
    assert row["metrics"]["perplexity"] == known["metrics"]["perplexity"]
    assert ("decode.tpot.ratio" in row["on"].get("cpu-test", {})) == timed
    assert ('class="tag stale">stale' in Page(site / f"{HALF}.html").source) == timed
    asked = json.loads((site / "data/which/demo.js").read_text().split("]=", 1)[1][:-2])
    speeds = {name: each["measured"] for name, each in asked.items() if each["speed"]}
    assert [measured for name, measured in speeds.items() if "cpu-test" in name] == ([0] if timed else [])


def test_what_is_stale_everywhere_stands_there_with_its_mark(tmp_path: Path) -> None:
    here = make_record(losses=losses(0.1))
    there = make_record("beta", losses=losses(0.1), hardware="cpu-other", key="old")
    site = build([here, there], REGISTRY, tmp_path).index.parent
    rows = json.loads((site / f"{HALF}.json").read_text())["rows"]
    assert {row["method"]: bool(row["stale"]) for row in rows} == {"alpha": False, "beta": True}


def test_nobody_is_asked_to_beat_a_reference(tmp_path: Path) -> None:
    oracle = make_method("oracle", control=True, reference=True, claims=())
    control = make_method("random", control=True, claims=())
    records = [make_record(n, losses=losses(at)) for n, at in (("oracle", 0), ("random", 0.5), ("alpha", 0.2))]
    site = build(records, make_registry(oracle, control, make_method("alpha")), tmp_path).index.parent
    page = Page(site / f"{HALF}.html")
    kinds = {attrs["data-name"]: attrs["data-kind"] for tag, attrs in page.tags if attrs.get("data-kind")}
    assert kinds == {"oracle": "reference", "random": "control", "alpha": "method"}
    assert "does not beat" not in page.text
    assert "Oracle reference" in " ".join(Page(site / "methods/demo/oracle.html").text.split())


def test_equal_ranks_are_one_group(tmp_path: Path) -> None:
    same = [make_record(name, losses=losses(0.2)) for name in ("alpha", "beta")]
    built = build([*same, make_record("random", losses=losses(2.0))], REGISTRY, tmp_path)
    page = Page(built.index.parent / f"{HALF}.html")
    assert page.row("alpha").startswith("1–2tie of 2 alpha")
    assert page.row("beta").startswith("1–2tie of 2 beta")
    assert page.row("random").startswith("3 random")
    bands = [
        attrs["class"].split()[0] for tag, attrs in page.tags if tag == "tr" and "band" in (attrs.get("class") or "")
    ]
    assert bands == ["band0", "band0", "band1"]


def test_the_picture_marks_methods_controls_and_the_frontier(site: Path) -> None:
    page = at_half(site)
    marks = [attrs for tag, attrs in page.tags if tag == "use" and attrs.get("class") == "mark" and "x" in attrs]
    assert len(marks) == 2 * 3  # alpha, beta and random, against two costs
    assert {mark["href"] for mark in marks} == {"#m-circle", "#m-square"}
    defined = {attrs["id"] for tag, attrs in page.tags if tag == "path" and "id" in attrs}
    assert {mark["href"][1:] for mark in marks} <= defined
    assert "Perplexity versus Stored size" in page.text
    assert "alpha at half: " in page.text


def test_the_record_page_holds_samples_environment_command_and_log(site: Path) -> None:
    page = Page(site / f"{HOME}/random/default.html")
    assert [f"Seed {seed} ok" in " ".join(page.text.split()) for seed in range(4)] == [True, True, True, False]
    dots = [attrs["d"] for tag, attrs in page.tags if tag == "path" and (attrs.get("class") or "").startswith("dots")]
    assert [path.count("M") for path in dots[:9]] == 3 * [60, 20, 20]  # perplexities, candidate and baseline times
    assert "effbench run --method random" in page.text
    assert "Test CPU" in page.text
    assert "torch" in page.text
    assert "cpu-test/demo/random.jsonl" in page.text
    slow = Page(site / f"{HOME}/slow/default.html")
    assert "last words" in slow.text
    assert "timeout" in slow.text


def test_older_records_stay_in_the_history_of_their_page(tmp_path: Path) -> None:
    old = make_record("alpha", losses=losses(0.9), age=30, suite_version="0")
    middle, new = make_record("alpha", losses=losses(0.9), age=9), make_record("alpha", losses=losses(0.2), age=1)
    gone = make_record("beta", losses=losses(0.1), age=40, suite_version="0")
    built = build([middle, new, old, gone], REGISTRY, tmp_path)
    page = Page(built.index.parent / f"{HOME}/alpha/default.html")
    rows = [" ".join(row.split()) for row in page.rows[1:]]
    assert [
        record.started.strftime("%Y-%m-%d") in row for record, row in zip((new, middle, old), rows, strict=True)
    ] == 3 * [True]
    assert ["superseded" in row for row in rows] == [False, True, True]
    assert "suite version 0" in rows[2]
    assert "stands in no ranking" in Page(built.index.parent / f"{HOME}/beta/default.html").text
    assert "beta" not in " ".join(Page(built.index.parent / f"{HALF}.html").rows)


def told(site: Path, page: str = "history.html") -> list[str]:
    """The rows of a page of the history without its headings."""
    rows = (" ".join(row.split()) for row in Page(site / page).rows)
    return [row for row in rows if not row.startswith("When")]


def test_changes_are_told_once_with_their_commits(tmp_path: Path) -> None:
    def record(age: int, shift: float, commit: str, **changes: object) -> Record:
        made = make_record("alpha", losses=losses(shift), age=age, **changes)
        return made.model_copy(update={"environment": made.environment.model_copy(update={"commit": commit})})

    nights = [record(30 - i, 0.2 if i < 12 else 0.5, f"{'b' if i < 12 else 'c'}{i:02}aaaaaaaaaa1") for i in range(18)]
    records = [
        *nights,
        record(2, 0.5, "dddddddddddd1", status="failed", reason="it fell over"),
        record(1, 0.5, "eeeeeeeeeeee1"),
    ]
    site = build(records, REGISTRY, tmp_path).index.parent
    said = told(site)
    assert [row.split()[2] for row in said] == ["mended", "broke", "worse", "new"]
    assert "b11aaaaaaaaa and c12aaaaaaaaa" in said[2]
    assert "+35.0" in said[2]
    assert "it fell over" in said[1]
    feed = ElementTree.parse(site / "feed.xml").getroot()
    atom = "{http://www.w3.org/2005/Atom}"
    assert len(feed.findall(f"{atom}entry")) == 4
    assert len({entry.findtext(f"{atom}id") for entry in feed.findall(f"{atom}entry")}) == 4
    assert feed.findtext(f"{atom}updated") == (START - timedelta(days=1)).isoformat()
    assert all((site / link.attrib["href"]).is_file() for link in feed.iter(f"{atom}link"))
    assert "does not run any more" in (feed.find(f"{atom}entry[2]/{atom}title").text or "")


def test_a_move_is_suspected_until_later_records_confirm_or_dismiss_it(tmp_path: Path) -> None:
    def kinds(shifts: list[float]) -> list[str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        records = [make_record("alpha", losses=losses(s), age=40 - i, **times(0.7)) for i, s in enumerate(shifts)]
        build(records, REGISTRY, folder)
        return [row.split()[2] for row in told(folder / "site")]

    level = [0.2] * 10
    assert kinds(level) == ["new"]
    assert kinds([*level, 0.5]) == ["suspected", "new"]
    assert kinds([*level, 0.5, 0.5, 0.5, 0.5]) == ["worse", "new"]
    assert kinds([*level, 0.5, 0.2, 0.2, 0.2]) == ["new"]


def test_who_comes_to_the_frontier_is_told_on_page_history_and_feed(tmp_path: Path) -> None:
    first = [make_record("random", losses=losses(0.5), age=30), make_record("dense", losses=losses(0.6), age=30)]
    later = [
        make_record("beta", losses=losses(0.8), age=20),  # behind
        make_record("random", losses=losses(0.5), age=15, hardware="cpu-other"),  # the same again
        make_record("alpha", losses=losses(0.1), age=10),
        make_record("alpha", losses=losses(0.1), age=5),
    ]
    site = build([*first, *later], REGISTRY, tmp_path).index.parent
    (came,) = [row for row in told(site) if "frontier" in row]
    assert "alpha" in came
    assert "on the frontier of Perplexity against Stored size" in came
    assert "in place of random" in came
    assert "on the frontier of Perplexity" in Page(site / "methods/demo/alpha.html").text
    atom = "{http://www.w3.org/2005/Atom}"
    feed = ElementTree.parse(site / "feed.xml").getroot()
    (entry,) = [e for e in feed.iter(f"{atom}entry") if "frontier" in (e.findtext(f"{atom}title") or "")]
    assert entry.find(f"{atom}link").attrib["href"] == f"{HALF}.html"  # type: ignore[union-attr]


def test_new_configurations_do_not_bury_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.publish.site.CHANGES_A_PAGE", 3)
    records = [make_record("alpha", variant=f"v{i}", losses=losses(0.2), age=5 - i) for i in range(5)]
    broken = [make_record("alpha", variant=f"v{i}", status="failed", reason="it fell", age=20 + i) for i in range(4)]
    site = build([*records, *broken], REGISTRY, tmp_path).index.parent
    pages = [site / "history.html", *(site / f"history-{number}.html" for number in (2, 3))]
    assert [[row.split()[2] for row in told(site, page.name)] for page in pages] == [
        ["mended"] * 3, ["mended", "new", "new"], ["new"] * 3,
    ]  # fmt: skip
    first, second, third = (page.read_text() for page in pages)
    assert 'begin on <a href="./history-2.html#new"' in first
    assert "<details><summary>2 of 5</summary>" in second
    assert "<details open><summary>3 of 5</summary>" in third
    assert all(page.count("data-main") == 1 for page in (first, second, third))


def test_the_method_page_holds_the_claim_against_the_records(site: Path) -> None:
    alpha, beta = Page(site / "methods/demo/alpha.html"), Page(site / "methods/demo/beta.html")
    assert "holds" in alpha.text
    assert "does not hold" not in alpha.text
    assert "does not hold" in beta.text
    assert "https://example.org/paper" in alpha.text
    assert "samples int 256" in alpha.row("samples")
    assert "in the paper: 6.4" in " ".join(alpha.text.split())
    assert "slug = 'alpha'" in alpha.text  # the file that the adapter stands in
    assert "no longer registered" in Page(site / "methods/demo/slow.html").text


def test_a_methods_old_address_leads_to_its_page_where_its_slug_alone_names_it(tmp_path: Path) -> None:
    other = make_record("alpha", losses=losses(0), suite="gone")
    site = build([make_record("alpha", losses=losses(0)), make_record("beta", losses=losses(0)), other], REGISTRY,
                 tmp_path).index.parent  # fmt: skip
    assert (site / "methods/demo/alpha.html").is_file()
    assert "no longer registered" in Page(site / "methods/gone/alpha.html").text
    assert not (site / "methods/alpha.html").exists()
    moved = Page(site / "methods/beta.html")
    assert ("meta", {"http-equiv": "refresh", "content": "0; url=../methods/demo/beta.html"}) in moved.tags


def test_each_point_is_read_by_its_own_problem(tmp_path: Path) -> None:
    """Another primary score and baseline, other costs."""
    accuracy = Metric("accuracy", "Accuracy", better="higher", primary=True)
    cost = Metric("memory.peak", "Peak memory", "B", primary=True)
    info = make_info()
    other = make_problem("other", [accuracy], [cost], baseline="beta")
    registry = make_registry(
        make_method("alpha"), make_method("beta", control=True, claims=()), problems={**info.problems, "other": other}
    )
    right = {"alpha": [1.0] * 50 + [0.0] * 10, "beta": [1.0] * 30 + [0.0] * 30}
    records = [
        make_record(name, losses=losses(0.1 if name == "beta" else 0.9), right=right[name], point=point)
        for name in right for point in ("half", "other")
    ]  # fmt: skip
    site = build(records, registry, tmp_path).index.parent
    half, at_other = Page(site / f"{HALF}.html"), Page(site / "suites/demo/tiny/toy/other.html")
    assert (half.row("beta")[0], at_other.row("alpha")[0]) == ("1", "1")
    assert "baseline" in at_other.row("beta")
    assert "control" in half.row("beta")
    assert "Perplexity" not in " ".join(at_other.rows)
    data = json.loads((site / "suites/demo/tiny/toy/other.json").read_text())
    assert data["rows"][1]["beaten_by_control"] == ""
    section = Page(site / "suites/demo/tiny/toy.html")
    for title in ("Perplexity versus Stored size", "Accuracy versus Peak memory"):
        assert title in section.text
    assert {"Main", "Other"} <= set(Page(site / "suites/demo.html").text.split())


def test_what_could_not_be_read_is_listed(site: Path) -> None:
    text = Page(site / "index.html").text
    assert "cpu-test/demo/broken.jsonl:1: not JSON" in text
    assert str(site.parent) not in text


def test_the_downloads_of_a_board_hold_its_figures(site: Path) -> None:
    stored = json.loads((site / f"{HALF}.json").read_text())
    by_name = {row["method"]: row for row in stored["rows"]}
    assert list(by_name) == ["alpha", "random", "beta", "dense", "slow"]
    ratio = by_name["alpha"]["on"]["cpu-test"]["decode.tpot.ratio"]
    assert ratio["value"] == pytest.approx(0.7)
    assert ratio["n"] == 20
    assert by_name["beta"]["beaten_by_control"] == "random"
    with (site / f"{HALF}.csv").open(newline="") as file:
        lines = {line["method"]: line for line in csv.DictReader(file)}
    assert float(lines["alpha"]["decode.tpot.ratio@cpu-test"]) == ratio["value"]
    assert lines["slow"]["reason"] == "stopped after 60 s"
    assert lines["slow"]["perplexity"] == ""


def test_the_script_of_a_board_knows_who_beats_whom(site: Path) -> None:
    data = json.loads((site / f"{HALF}.js").read_text().split("=", 2)[2].strip().removesuffix(";").split("=", 1)[-1])
    names = [row["name"] for row in data["rows"]]
    beats = {names[i]: [names[j] for j in others] for i, others in enumerate(data["beats"])}
    assert beats["alpha"] == ["random", "beta"]
    assert beats["beta"] == beats["dense"] == []
    column = [metric["name"] for metric in data["metrics"] if metric["apart"]].index("decode.tpot.ratio")
    assert data["on"]["cpu-test"][0][column][0] == pytest.approx(0.7, rel=1e-4)


def test_parquet_holds_every_record_with_its_samples(site: Path) -> None:
    table = pyarrow.dataset.dataset(site / "data/records", format="parquet").to_table().to_pylist()
    assert {row["id"] for row in table} == {record.id for record in RECORDS}
    alpha = next(row for row in table if row["method"] == "alpha")
    (record,) = [record for record in RECORDS if record.method == "alpha"]
    assert dict(alpha["quality"])["perplexity"]["samples"] == record.quality["perplexity"].samples
    assert dict(dict(alpha["timings"])["decode"])["tpot"]["candidate"] == record.timings["decode"]["tpot"].candidate
    assert alpha["started"] == record.started
    assert alpha["environment"]["cpu"] == "Test CPU"
    assert json.loads((site / "data/schema.json").read_text())["title"] == "Record"


def test_a_record_that_diverged_is_shown_and_its_data_is_json(tmp_path: Path) -> None:
    record = make_record(losses=[1.0, float("inf"), float("inf")])
    site = build(
        [record, make_record("beta", losses=losses(0)), make_record("random", losses=losses(0))], REGISTRY, tmp_path
    )

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    for path in site.index.parent.rglob("*.json"):
        if ".cache" not in path.parts:
            json.loads(path.read_text(), parse_constant=refuse)
    assert "2 not finite" in Page(site.index.parent / f"{HOME}/alpha/default.html").text


def test_a_site_without_records_says_so(tmp_path: Path) -> None:
    built = build([], REGISTRY, tmp_path)
    page = Page(built.index)
    assert "No records yet" in page.text
    assert "Alpha" in Page(built.index.with_name("methods.html")).text


def test_many_methods_are_drawn_grey_and_the_best_in_colour(tmp_path: Path) -> None:
    records = [make_record("alpha", variant=f"v{i}", losses=losses(0.1 * i, seed=i), **times(0.7)) for i in range(40)]
    site = build(records, REGISTRY, tmp_path).index.parent
    page = at_half(site)
    kinds = [attrs.get("class") or "" for _, attrs in page.tags]
    roles = Counter(kind.split()[0] for kind in kinds if kind.startswith("role-"))
    assert roles["role-rest"] > 30
    assert roles["role-frontier"] >= 2


def test_a_script_of_data_cannot_end_its_element() -> None:
    text = script("board", {"name": "</script><!--\u2028"})
    assert "</" not in text
    assert "<!--" not in text
    assert text.isascii()


def test_serve_shows_the_folder_on_this_machine_alone(site: Path) -> None:
    import threading
    import urllib.request

    with serve(site, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{HALF}.html") as answer:
            assert answer.read() == (site / f"{HALF}.html").read_bytes()
        assert server.server_address[0] == "127.0.0.1"
        server.shutdown()


@pytest.mark.parametrize("text", ["..", "../x", "a/b", "", "A", "a b", ".", "con/..", "x" * 300, "\ud800", "a.html"])
def test_file_names_stay_in_their_folder_and_apart(text: str) -> None:
    name = file_name(text)
    assert re.fullmatch(r"[a-z0-9]+([-.][a-z0-9]+)*", name)
    assert name != file_name(text + "2")
    assert not name.endswith(".html")
    assert file_name("flap") == "flap"
