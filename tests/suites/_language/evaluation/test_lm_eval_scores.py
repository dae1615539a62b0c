"""The suite's scores: the same as with lm-eval's own model, in the order of the data, offline and quiet."""

import json
import math
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM

from suites._language.evaluation.evaluator import EffbenchLM
from suites._language.evaluation.files import task_folder
from suites._language.evaluation.scores import from_samples, scores
from suites._language.served import ServedLM

NAMES = ["word_perplexity", "byte_perplexity", "cloze_accuracy", "names_accuracy", "next_sentence_accuracy"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))


def test_scores_are_those_of_lm_eval(
    toy: tuple[Any, Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = toy
    expected = scores(HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2), "tiny")
    capfd.readouterr()

    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("the evaluation asked the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    environment = dict(os.environ)
    found = scores(EffbenchLM(ServedLM(model, model, tokenizer, "cpu"), tokenizer), "tiny")
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == environment
    assert [score.name for score in found] == NAMES
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.samples == pytest.approx(theirs.samples, rel=1e-5)
        assert ours.weights == theirs.weights
    _samples_follow_the_data({score.name: score for score in found})


def _samples_follow_the_data(found: dict[str, Any]) -> None:
    folder = task_folder("tiny")
    texts = [json.loads(line)["text"] for line in (folder / "perplexity.jsonl").read_text().splitlines()]
    assert found["word_perplexity"].weights == [len(text.split()) for text in texts]
    assert found["byte_perplexity"].weights == [len(text.encode()) for text in texts]
    for task in ("cloze", "names", "next_sentence"):
        samples = found[f"{task}_accuracy"].samples
        assert len(samples) == len((folder / f"{task}.jsonl").read_text().splitlines())
        assert set(samples) <= {0.0, 1.0}


def test_the_folder_is_made_once_and_moves_with_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = task_folder("tiny")
    assert task_folder("tiny") == folder
    assert str(folder) in (folder / "effbench_cloze.yaml").read_text()
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path / "elsewhere"))
    assert str(task_folder("tiny")) in (task_folder("tiny") / "effbench_cloze.yaml").read_text()


def test_subtasks_join_into_one_score_in_the_order_of_the_data() -> None:
    samples = {
        "mmlu_b": [{"doc_id": 1, "acc": 1.0}, {"doc_id": 0, "acc": 0.0}],
        "mmlu_a": [{"doc_id": 0, "acc": 1.0}],
        "arc_easy": [{"doc_id": 0, "acc": 0.0, "acc_norm": 1.0}],
        "wikitext": [{"doc_id": 0, "word_perplexity": (-6.0, 2), "byte_perplexity": (-6.0, 12)}],
    }
    found = {score.name: score for score in from_samples(samples)}
    assert found["mmlu_accuracy"].samples == [1.0, 0.0, 1.0]
    assert found["arc_easy_accuracy"].value == 1.0
    assert found["word_perplexity"].value == pytest.approx(math.exp(3.0))
    assert found["byte_perplexity"].value == pytest.approx(math.exp(0.5))
