"""A second build does what is new, and its site is the one that a first build would have made."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from bench.publish import catalogue, kept, section, site, workers
from bench.publish.site import build_site
from bench.record import store
from tests.bench.analyse.record_factory import make_record
from tests.bench.publish.site_factory import (
    HALF,
    HOME,
    RECORDS,
    REGISTRY,
    build,
    losses,
    make_method,
    make_registry,
    save,
    times,
)


def content(site: Path) -> dict[str, bytes]:
    """Every published file but Parquet, whose parts may be cut otherwise, and the zip of it."""
    found = {path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
    left_out = (".parquet", ".zip")
    return {n: p.read_bytes() for n, p in found.items() if not n.startswith(".cache") and p.suffix not in left_out}


def test_the_order_of_the_records_does_not_matter(tmp_path: Path) -> None:
    build(RECORDS, REGISTRY, tmp_path / "a")
    build(list(reversed(RECORDS)), REGISTRY, tmp_path / "b")
    one, other = content(tmp_path / "a/site"), content(tmp_path / "b/site")
    assert one.keys() == other.keys()
    different = [name for name in one if one[name] != other[name]]
    assert all(name.endswith("default.html") for name in different)  # they name the place in the file


def test_adding_records_gives_the_site_of_all_records(tmp_path: Path) -> None:
    new = [
        make_record("beta", losses=losses(0.1), age=-1, **times(0.5)),
        make_record("gamma", losses=losses(0.4), age=-2),
        make_record("beta", losses=losses(0.1), point="all", age=-1),
    ]
    build(RECORDS, REGISTRY, tmp_path / "a")
    build(new, REGISTRY, tmp_path / "a")  # more lines in the same files
    build([*RECORDS, *new], REGISTRY, tmp_path / "b")
    assert content(tmp_path / "a/site") == content(tmp_path / "b/site")


def test_nothing_is_read_or_built_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(RECORDS, REGISTRY, tmp_path)
    before = content(tmp_path / "site")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr(section, "_build", refuse)
    monkeypatch.setattr(catalogue, "_brief", refuse)
    build([], REGISTRY, tmp_path)
    assert content(tmp_path / "site") == before


def test_several_processes_build_the_same_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(RECORDS, REGISTRY, tmp_path / "a")
    monkeypatch.setattr(catalogue, "MEGABYTES_TO_SHARE", 0)
    monkeypatch.setattr(site, "RECORDS_TO_SHARE", 0)
    monkeypatch.setattr(workers, "usable_cores", lambda: 2)
    build(RECORDS, REGISTRY, tmp_path / "b")
    assert content(tmp_path / "a/site") == content(tmp_path / "b/site")


def test_another_registry_builds_anew(tmp_path: Path) -> None:
    build(RECORDS, REGISTRY, tmp_path)
    build([], make_registry(make_method("alpha", control=True)), tmp_path)
    text = (tmp_path / f"site/{HALF}.html").read_text()
    assert 'data-name="alpha" data-family="test-site" data-kind="control"' in text or 'data-kind="control"' in text


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    results = save(RECORDS, tmp_path / "results")
    path = results / "cpu-test/demo/alpha.jsonl"
    line = make_record("alpha", losses=losses(0.1), age=-3, point="all").model_dump_json() + "\n"
    with path.open("a") as file:
        file.write(line[:200])
    assert len(build_site([results], REGISTRY, tmp_path / "site").broken) == 1
    with path.open("a") as file:
        file.write(line[200:])
    built = build_site([results], REGISTRY, tmp_path / "site")
    assert (built.broken, built.records) == ([], len(RECORDS) + 1)


def test_a_rewritten_file_is_read_anew(tmp_path: Path) -> None:
    results = save(RECORDS, tmp_path / "results")
    build_site([results], REGISTRY, tmp_path / "site")
    (results / "cpu-test/demo/alpha.jsonl").write_text(
        make_record("alpha", losses=losses(3.0)).model_dump_json() + "\n"
    )
    (results / "cpu-test/demo/slow.jsonl").unlink()
    built = build_site([results], REGISTRY, tmp_path / "site")
    assert built.records == len(RECORDS) - 1
    build_site([results], REGISTRY, tmp_path / "fresh")
    assert content(tmp_path / "site") == content(tmp_path / "fresh")
    site = tmp_path / "site"
    assert not (site / HOME / "slow/default.html").exists()
    assert 'data-name="slow"' not in (site / f"{HALF}.html").read_text()


def test_what_others_put_into_the_folder_stays(tmp_path: Path) -> None:
    build(RECORDS, REGISTRY, tmp_path)
    (tmp_path / "site/CNAME").write_text("example.org")
    (tmp_path / "site/methods/mine.html").write_text("mine")
    build([], REGISTRY, tmp_path)
    assert (tmp_path / "site/CNAME").exists()
    assert (tmp_path / "site/methods/mine.html").exists()


HARMS: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "without its last byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(bytes(range(256))),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "of another": lambda path: path.write_text("[1]"),
    "gone": lambda path: path.unlink(),
}
MADE = {
    "tables": "data/records/**/*.parquet",
    "what was read": ".cache/*.json",
    "what sections are made of": ".cache/*.section.json",
    "list of pages": ".cache/written.json",
    "pages": "**/*.html",
    "downloads": "suites/**/*.csv",
}
NEW = make_record("beta", losses=losses(0.1), age=-1, **times(0.5))


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("what", MADE)
def test_what_an_earlier_build_left_is_looked_at_and_made_again(what: str, harm: str, tmp_path: Path) -> None:
    """Whatever was cut short or changed: with one more record the site is the one that a first build would make."""
    if harm == "zeros" and what in ("pages", "downloads"):
        pytest.skip("of a page that stands its length is looked at, and nothing reads it again")
    build(RECORDS, REGISTRY, tmp_path / "a")
    found = list((tmp_path / "a/site").glob(MADE[what]))
    assert found
    for path in found:
        HARMS[harm](path)
    for records in ([], [NEW]):
        built = build(records, REGISTRY, tmp_path / "a")
        assert built.broken == []
    build([*RECORDS, NEW], REGISTRY, tmp_path / "b")
    assert content(tmp_path / "a/site") == content(tmp_path / "b/site")
    assert rows_of_tables(tmp_path / "a/site") == rows_of_tables(tmp_path / "b/site")


def rows_of_tables(site: Path) -> dict[str, list[str]]:
    folder = site / "data/records"
    return {str(p.relative_to(folder)): parquet.read_table(p)["id"].to_pylist() for p in folder.rglob("*.parquet")}


@pytest.mark.parametrize("place", [".cache", ".cache/written.json", "data/records/cpu-test/demo/.beta.parquet.1.part"])
def test_a_folder_in_the_place_of_what_is_kept_stops_no_build(place: str, tmp_path: Path) -> None:
    (tmp_path / "site" / place).parent.mkdir(parents=True, exist_ok=True)
    if place == ".cache":
        (tmp_path / "site").joinpath(place).write_text("a file")
    else:
        (tmp_path / "site" / place).mkdir()
    assert build(RECORDS, REGISTRY, tmp_path).records == build([], REGISTRY, tmp_path).records == len(RECORDS)


def test_a_build_that_is_stopped_leaves_every_file_as_it_was_or_as_it_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")

    def stopped(self: Path, data: bytes) -> None:
        self.open("wb").write(data[:3])
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", stopped)
    with pytest.raises(OSError, match="no space"):
        kept.write_whole(path, b"after")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["before"]


def test_a_line_that_is_rewritten_anywhere_in_a_file_is_read_anew(tmp_path: Path) -> None:
    results = save(RECORDS, tmp_path / "results")
    path = results / "cpu-test/demo/random.jsonl"
    build_site([results], REGISTRY, tmp_path / "site")
    text = path.read_bytes()
    path.write_bytes(b"x" + text[1:])  # the first of three lines, none shorter than a block of the disk
    built = build_site([results], REGISTRY, tmp_path / "site")
    assert (built.records, len(built.broken)) == (len(RECORDS) - 1, 1)


def test_the_same_twice_counts_once(tmp_path: Path) -> None:
    """Records and broken lines that were copied: within a file, to another file, to another folder."""
    results = save(RECORDS, tmp_path / "results")
    path = results / "cpu-test/demo/random.jsonl"
    with path.open("a") as file:
        file.write("{broken\n" * 2)
    once = build_site([results], REGISTRY, tmp_path / "once")
    with path.open("a") as file:
        file.write(path.read_text().splitlines(keepends=True)[0])
    shutil.copy(path, path.with_name("copy.jsonl"))
    shutil.copytree(results, tmp_path / "second")
    twice = build_site([results, tmp_path / "second"], REGISTRY, tmp_path / "twice")
    again = build_site([results, tmp_path / "second"], REGISTRY, tmp_path / "twice")
    assert once.records == twice.records == again.records == len(RECORDS)
    assert len(once.broken) == len(twice.broken) == len(again.broken) == 1
    records, broken = store.read_all(results)
    assert (len(records), len(broken)) == (len(RECORDS), 1)
