"""A second build does what is new, and its site is the one that a first build would have made."""

from pathlib import Path

import pytest

from bench.publish import catalogue, section, site, workers
from bench.publish.site import build_site
from tests.bench.analyse.record_factory import make_record
from tests.bench.publish.site_factory import RECORDS, REGISTRY, build, losses, make_method, make_registry, save, times


def content(site: Path) -> dict[str, bytes]:
    """Every published file but Parquet, whose parts may be cut otherwise."""
    found = {path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
    return {n: p.read_bytes() for n, p in found.items() if not n.startswith(".cache") and p.suffix != ".parquet"}


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
    text = (tmp_path / "site/suites/demo/cpu-test/tiny/toy/half.html").read_text()
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
    board = tmp_path / "site/suites/demo/cpu-test/tiny/toy/half"
    assert not (board / "slow/default.html").exists()
    assert 'data-name="slow"' not in board.with_suffix(".html").read_text()


def test_what_others_put_into_the_folder_stays(tmp_path: Path) -> None:
    build(RECORDS, REGISTRY, tmp_path)
    (tmp_path / "site/CNAME").write_text("example.org")
    (tmp_path / "site/methods/mine.html").write_text("mine")
    build([], REGISTRY, tmp_path)
    assert (tmp_path / "site/CNAME").exists()
    assert (tmp_path / "site/methods/mine.html").exists()
