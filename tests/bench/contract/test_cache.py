"""The cache: made once, whole or not at all, and made again where somebody changed it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contract.cache import CacheAltered, known, made_once


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


@pytest.mark.parametrize(
    "harm",
    [
        "changed",
        "changed, as long and as old",
        "a link to another",
        "gone",
        "more",
        "no manifest",
        "manifest of another",
    ],
)
def test_what_somebody_changed_is_made_again(cache: Path, harm: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made("first")
    if harm == "changed":
        (folder / "a").write_text("other")
    elif harm == "changed, as long and as old":
        old = (folder / "a").stat()
        (folder / "a").write_text("Fifth")
        os.utime(folder / "a", ns=(old.st_atime_ns, old.st_mtime_ns))
    elif harm == "a link to another":
        (folder / "a").unlink()
        (cache.parent / "b").write_text("other")
        (folder / "a").symlink_to(cache.parent / "b")
    elif harm == "manifest of another":
        (folder / "manifest.json").write_text('{"a": [1, 2, "3"]}')
    elif harm == "gone":
        (folder / "a").unlink()
    elif harm == "more":
        (folder / "b").write_text("x")
    else:
        (folder / "manifest.json").unlink()
    assert known("data", "thing") is None
    capsys.readouterr()
    assert (made("second") / "a").read_text() == "second"
    assert capsys.readouterr().err == f"{folder} is not as it was made: it is made again\n"
    assert sorted(path.name for path in folder.iterdir()) == ["a", "manifest.json"]
    assert [path.name for path in cache.iterdir()] == ["thing"]


def test_a_copy_of_the_cache_is_believed(cache: Path) -> None:
    """Its times are others; what is in it is the same."""
    folder = made("first")
    text = (folder / "a").read_text()
    (folder / "a").unlink()
    (folder / "a").write_text(text)
    assert (made("second") / "a").read_text() == "first"


def test_what_a_library_adds_is_left_alone_as_long_as_somebody_is_at_work_with_it(cache: Path) -> None:
    own = made("first") / "datasets" / "json"
    own.mkdir(parents=True)
    (own / "test.arrow").write_text("what the library made of the files")
    made()
    elsewhere(cache)  # this process is at work with it
    assert (own / "test.arrow").exists()


@pytest.mark.parametrize("how", ["made_once('data', 'thing', None)", "known('data', 'thing')"])
@pytest.mark.parametrize("what", ["folder", "link to a folder", "link to nothing"])
def test_what_was_not_made_is_not_believed_by_the_next_process(cache: Path, what: str, how: str) -> None:
    """A library reads its own copy of a text before the text."""
    elsewhere(cache, "made_once('data', 'thing', lambda folder: (folder / 'a').write_text('first'))")
    added = cache / "thing" / "datasets"
    if what == "folder":
        (added / "json").mkdir(parents=True)
        (added / "json" / "test.arrow").write_text("what a method put there")
    else:
        added.symlink_to(cache.parent if what == "link to a folder" else cache / "nowhere")
    elsewhere(cache, how)
    assert sorted(path.name for path in (cache / "thing").iterdir()) == ["a", "manifest.json"]
    assert cache.parent.is_dir()


def elsewhere(cache: Path, code: str = "made_once('data', 'thing', None)") -> None:
    """In a process of its own."""
    code = f"from bench.contract.cache import CacheAltered, known, made_once; {code}"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"EFFBENCH_CACHE": str(cache.parent)})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_what_can_not_be_replaced_is_named_and_not_believed(cache: Path) -> None:
    (made("first") / "a").write_text("other")
    cache.chmod(0o555)
    try:
        with pytest.raises(OSError, match=r"Permission|Read-only"):
            made("second")
    finally:
        cache.chmod(0o755)


def test_what_was_altered_and_stays_is_not_believed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (made("first") / "a").write_text("other")
    monkeypatch.setattr("bench.contract.cache._put_away", lambda folder: None)  # as where its files are mounted
    with pytest.raises(CacheAltered, match=r"thing is not as it was made.*delete it"):
        made("second")


def test_a_folder_that_was_made_is_not(cache: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "part").mkdir()
        (folder / "part" / "a").touch()

    folder = made_once("data", "thing", make)
    (folder / "part" / "b").touch()
    assert known("data", "thing") is None
