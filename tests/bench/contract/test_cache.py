"""The cache: made once, whole or not at all, and made again where somebody changed it."""

from pathlib import Path

import pytest

from bench.contract.cache import known, made_once


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    return tmp_path / "data"


def made(text: str = "x") -> Path:
    return made_once("data", "thing", lambda folder: (folder / "a").write_text(text) and None)


def test_it_is_made_once(cache: Path) -> None:
    assert known("data", "thing") is None
    assert made("first") == made("second") == known("data", "thing") == cache / "thing"
    assert (cache / "thing" / "a").read_text() == "first"
    assert [path.name for path in cache.iterdir()] == ["thing"]


def test_nothing_is_kept_of_a_failure(cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        made_once("data", "thing", fail)
    assert list(cache.iterdir()) == []


def test_the_loser_of_a_race_takes_the_winners_folder(cache: Path) -> None:
    def lose(folder: Path) -> None:
        (folder / "a").write_text("loser")
        made("winner")  # another process comes first

    assert (made_once("data", "thing", lose) / "a").read_text() == "winner"
    assert [path.name for path in cache.iterdir()] == ["thing"]


@pytest.mark.parametrize("harm", ["changed", "gone", "more", "no manifest"])
def test_what_somebody_changed_is_made_again(cache: Path, harm: str) -> None:
    folder = made("first")
    if harm == "changed":
        (folder / "a").write_text("other")
    elif harm == "gone":
        (folder / "a").unlink()
    elif harm == "more":
        (folder / "b").write_text("x")
    else:
        (folder / "manifest.json").unlink()
    assert known("data", "thing") is None
    assert (made("second") / "a").read_text() == "second"
    assert sorted(path.name for path in folder.iterdir()) == ["a", "manifest.json"]
    assert [path.name for path in cache.iterdir()] == ["thing"]


def test_a_copy_of_the_cache_is_believed(cache: Path) -> None:
    """Its times are others; what is in it is the same."""
    folder = made("first")
    text = (folder / "a").read_text()
    (folder / "a").unlink()
    (folder / "a").write_text(text)
    assert (made("second") / "a").read_text() == "first"


def test_a_folder_of_a_librarys_own_is_left_alone(cache: Path) -> None:
    own = made("first") / "datasets" / "json"
    own.mkdir(parents=True)
    (own / "builder.lock").touch()
    assert (made("second") / "a").read_text() == "first"
    assert (own / "builder.lock").exists()


def test_a_folder_that_was_made_is_not(cache: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "part").mkdir()
        (folder / "part" / "a").touch()

    folder = made_once("data", "thing", make)
    (folder / "part" / "b").touch()
    assert known("data", "thing") is None
