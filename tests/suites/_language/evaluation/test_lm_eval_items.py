"""The items: real gaps, answers that are there, choices that differ, contexts that begin a passage."""

from typing import Any

import pytest

from suites._language.evaluation.items import NEXT_WORDS, SIZES, STOP_WORDS, cut, items, sentences
from suites._language.text import documents, missing

SCALES = [
    "tiny",
    pytest.param(
        "embedded", marks=[pytest.mark.embedded, pytest.mark.skipif(missing() is not None, reason="no packaged text")]
    ),
]


@pytest.fixture(scope="module", params=SCALES)
def made(request: pytest.FixtureRequest) -> tuple[list[Any], dict[str, list[dict[str, Any]]], Any]:
    evaluation = documents(request.param, "evaluation")
    return evaluation, items(evaluation, SIZES[request.param]), SIZES[request.param]


def test_there_are_enough(made: Any) -> None:
    _, tasks, size = made
    least = {"perplexity": size.passages, "cloze": 2, "names": 2, "next_sentence": 2}
    assert all(len(tasks[task]) >= count for task, count in least.items())
    if size is SIZES["embedded"]:
        assert len(tasks["cloze"]) >= 120
        assert min(len(tasks[task]) for task in ("names", "next_sentence")) >= 100


def test_every_context_begins_a_document(made: Any) -> None:
    evaluation, tasks, size = made
    for task in ("cloze", "names", "next_sentence"):
        for item in tasks[task]:
            following = {
                "cloze": lambda item: item["target"],
                "names": lambda item: item["choices"][item["answer"]],
                "next_sentence": lambda item: item["choices"][item["answer"]],
            }[task](item)
            assert any(document.text.startswith(f"{item['context']} {following}") for document in evaluation)
            assert len(item["context"].split()) >= size.context_words


def test_a_gap_can_be_filled_from_its_context(made: Any) -> None:
    _, tasks, _ = made
    for item in tasks["cloze"]:
        assert item["target"] in item["context"]
        assert item["target"].lower() not in STOP_WORDS
    for item in tasks["names"]:
        assert all(name in item["context"] and name[0].isupper() for name in item["choices"])


def test_choices_differ_and_answers_are_spread(made: Any) -> None:
    _, tasks, size = made
    for task in ("names", "next_sentence"):
        assert all(len(set(item["choices"])) == 4 for item in tasks[task])
        answers = [item["answer"] for item in tasks[task]]
        if size is SIZES["embedded"]:
            assert all(0.15 * len(answers) < answers.count(place) < 0.4 * len(answers) for place in range(4))


def test_sentences_are_whole(made: Any) -> None:
    _, tasks, _ = made
    for item in tasks["next_sentence"]:
        for choice in item["choices"]:
            assert len(choice.split()) in NEXT_WORDS
            assert choice[0].isupper()
            assert choice[-1] in ".!?"


def test_items_are_the_same_each_time(made: Any) -> None:
    evaluation, tasks, size = made
    assert items(evaluation, size) == tasks


def test_cut_keeps_the_text_as_it_stands() -> None:
    assert cut("one  two\n\nthree four", 3) == "one  two\n\nthree"
    assert cut("one two", 3) == ""


def test_sentences_end_at_stops_and_paragraphs() -> None:
    text = 'He saw St. Paul on 3.5 acres. "It rained." They left\n\nA title\n\nThe end.'
    assert [text[a:b] for a, b in sentences(text)] == [
        "He saw St. Paul on 3.5 acres.",
        '"It rained."',
        "They left",
        "A title",
        "The end.",
    ]
