"""Voices that read: who reads what, and that it comes out the same each time."""

import numpy as np
import pytest

from bench.contract import ExamRead
from bench.contract import exam as contract_exam
from suites.audio_separation import data, texts, voices

SPOKEN = pytest.mark.skipif(voices.missing() is not None, reason="the extra `audio` is not installed")
LINES = ["The first sentence is about a river and its banks.", "Another one follows it, and then there is silence."]


def test_no_voice_of_the_exam_is_trained_on() -> None:
    assert not voices.TRAIN.keys() & voices.TEST.keys()
    assert (len(voices.TRAIN), len(voices.TEST)) == (12, 4)
    for some in (voices.TRAIN, voices.TEST):
        assert sorted(some.values()).count(voices.HIGH) == len(some) // 2


@SPOKEN
def test_no_sentence_is_in_two_splits() -> None:
    train, held, test = (set(texts.sentences(split)) for split in ("train", "held", "test"))
    assert not train & held
    assert not train & test
    assert not held & test
    assert min(map(len, (train, held, test))) > 500


def test_what_can_be_read_as_it_is_written() -> None:
    text = "It was founded in 1901 by a small group of people. The town lies on a river, and has a bridge over it. No."
    assert texts.fitting(text) == ["The town lies on a river, and has a bridge over it."]
    assert {texts.split_of(f"Article {number}") for number in range(50)} == {"train", "held", "test"}


@SPOKEN
@pytest.mark.parametrize("voice", ["f1", "m8"])
def test_the_same_lines_give_the_same_samples_and_another_voice_others(voice: str) -> None:
    once, again = (voices.read_aloud(voice, LINES, 3.0) for _ in range(2))
    assert once.dtype == np.int16
    assert len(once) == 3 * voices.RATE
    assert np.array_equal(once, again)
    assert not np.array_equal(once, voices.read_aloud("Andrea", LINES, 3.0))


@SPOKEN
def test_too_few_lines_are_told() -> None:
    with pytest.raises(ValueError, match=r"2 sentences are \d+ s of speech less than 60 s"):
        voices.read_aloud("m1", LINES, 60.0)


def test_long_pauses_go_and_speech_stays() -> None:
    rng = np.random.default_rng(0)
    speech = (3_000 * rng.normal(size=voices.RATE)).astype(np.int16)
    pause = np.zeros(voices.RATE, dtype=np.int16)
    found = voices.without_pauses(np.concatenate([speech, pause, speech]))
    assert 2 * voices.RATE <= len(found) < 2.3 * voices.RATE
    assert np.array_equal(found[: voices.RATE], speech)


def test_what_is_missing_is_said_with_the_line_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "PACKAGES", {"no_such_package": "no-such-package==1.0"})
    assert voices.missing() == "no-such-package not installed; run: pip install --no-deps no-such-package==1.0"
    assert data.missing(data.SPOKEN) == voices.missing()
    assert data.missing(data.TOY) is None


def test_voices_of_the_exam_are_closed_where_a_method_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_exam, "_closed", True)
    for base in (data.TOY, data.SPOKEN):
        with pytest.raises(ExamRead):
            data.mixes(base, "test", 6, 0.5)
