"""Mixes by number: drawn, or of a folder."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from bench.contract import MissingAsset
from suites.audio_separation import data, folders, toy
from suites.audio_separation.data import LEVELS, Drawn, level_of
from suites.audio_separation.voices import Split


def drawn(split: Split, count: int = 36, seed: int = 1, even: bool = False) -> Drawn:
    return Drawn(toy.streams(split), toy.PITCH, count, 4_000, seed, even)


def test_a_number_always_gives_the_same_mix_and_others_another() -> None:
    once, again, other = (drawn("train", seed=seed).take([0, 5]).sources for seed in (1, 1, 2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert not np.array_equal(once[0], once[1])
    assert np.array_equal(drawn("train").take([5]).sources[0], once[1])


def test_levels_are_what_is_said_and_nothing_is_clipped() -> None:
    found = drawn("test", even=True).take(range(36))
    assert found.sources.shape == (36, 2, 4_000)
    assert found.sources.dtype == np.float32
    assert np.allclose(level_of(found.sources), found.levels, atol=1e-3)
    assert np.abs(found.sources.sum(1)).max() <= data.PEAK + 1e-5
    power = np.square(found.sources).sum(-1)
    assert (power[:, 0] >= power[:, 1] * 0.999).all()


def test_the_exam_has_every_pair_at_every_level() -> None:
    found = drawn("test", even=True).take(range(36))
    assert np.bincount(found.levels.astype(int)).tolist() == [6] * LEVELS
    assert found.alike.reshape(6, LEVELS).sum(1).tolist() in ([6, 0, 6, 0, 0, 0], [6, 0, 6, 0, 0, 0][::1])


def test_training_has_levels_of_all_kinds_and_no_voice_is_mixed_with_itself() -> None:
    found = drawn("train", count=60).take(range(60))
    assert 0 <= found.levels.min() < 1
    assert 4 < found.levels.max() <= 5
    correlations = [abs(np.corrcoef(each)[0, 1]) for each in found.sources]
    assert max(correlations) < 0.6


def test_toy_voices_of_the_exam_are_others() -> None:
    names = {split: set(toy.PITCHES[split]) for split in ("train", "held", "test")}
    assert names["train"] == names["held"]
    assert not names["train"] & names["test"]
    assert not np.array_equal(toy.streams("train")["low-1"], toy.streams("held")["low-1"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As WSJ0-2mix is laid out: two mixes of a second a split."""
    rng = np.random.default_rng(0)
    for split in folders.SPLITS["wsj0-2mix"].values():
        for speaker, size in (("s1", 6_000), ("s2", 3_000)):
            (tmp_path / split / speaker).mkdir(parents=True)
            for name in ("a", "b"):
                sound = (size * rng.uniform(-1, 1, 8_000)).astype(np.int16)
                wavfile.write(tmp_path / split / speaker / f"{name}.wav", 8_000, sound)
    monkeypatch.setenv("EFFBENCH_WSJ0_2MIX", str(tmp_path))
    return tmp_path


def test_a_folder_is_read_by_name(folder: Path) -> None:
    assert data.missing("wsj0-2mix") is None
    found = data.mixes("wsj0-2mix", "train", 100, 0.5)
    assert len(found) == 2
    mixed = found.take([0, 1])
    assert mixed.sources.shape == (2, 2, 4_000)
    assert mixed.levels == pytest.approx([6.0, 6.0], abs=0.2)
    assert np.abs(mixed.sources).max() == pytest.approx(6_000 / 32_767, rel=0.02)


@pytest.mark.parametrize(
    ("rate", "sound", "said"),
    [
        (8_000, np.zeros(1_000, dtype=np.int16), "too short: 0.12 s, of which 0.50 s are wanted"),
        (16_000, np.zeros(9_000, dtype=np.int16), "has 16000 samples a second"),
        (8_000, np.zeros((9_000, 2), dtype=np.int16), "2 dimension"),
        (8_000, np.full(9_000, 32_767, dtype=np.int16), "clipped: 100% of its samples"),
    ],
)
def test_a_recording_that_is_none_is_told(folder: Path, rate: int, sound: np.ndarray, said: str) -> None:
    wavfile.write(folder / "tr" / "s2" / "a.wav", rate, sound)
    with pytest.raises(ValueError, match=said):
        data.mixes("wsj0-2mix", "train", 2, 0.5).take([0])


def test_what_a_folder_lacks_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tr" / "s2" / "b.wav").unlink()
    with pytest.raises(MissingAsset, match=r"s2 lacks b\.wav"):
        data.mixes("wsj0-2mix", "train", 2, 0.5)
    assert "EFFBENCH_LIBRI2MIX does not name the folder of libri2mix; make it" in str(data.missing("libri2mix"))
    monkeypatch.setenv("EFFBENCH_WSJ0_2MIX", str(folder / "nowhere"))
    assert "there is no folder" in str(data.missing("wsj0-2mix"))
    assert "there is no set of mixes 'timit', only toy-voices, espeak-16, " in str(data.missing("timit"))
