"""Word problems of the hub, for the full scale.

MetaMathQA (Yu et al., 2023) to learn from and the test split of GSM8K (Cobbe et al., 2021) to be asked, as in the
method comparison of the peft project, so that numbers can be set side by side.
"""

import random
import re
from typing import Any

from bench.contract import MissingAsset

LEARNED = ("meta-math/MetaMathQA", None, "train")
ASKED = ("openai/gsm8k", "main", "test")
"""Name, configuration and split on the hub."""

MOST_WORDS = 400
"""Of question and solution together: what fits in the 768 tokens of peft's comparison."""

ASK = "Question: {} Think step by step.\nAnswer:"
STATED = "The answer is: {}"

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def to_learn(count: int, rng: random.Random) -> list[tuple[str, str]]:
    """(prompt, answer) of `count` problems, drawn; the answer is a solution in steps that ends with its result."""
    pairs = [(row["query"], row["response"]) for row in _rows(*LEARNED)]
    short = [pair for pair in pairs if len(" ".join(pair).split()) <= MOST_WORDS]
    chosen = rng.sample(short, min(count, len(short)))
    return [(ASK.format(query), f" {response}\n") for query, response in chosen]


def to_ask(count: int) -> list[tuple[str, str, str]]:
    """(prompt, answer, result) of the first `count` problems that are asked; the answer is the result in a sentence."""
    found = []
    for row in list(_rows(*ASKED))[:count]:
        last = result(row["answer"].rsplit("####", 1)[-1])
        if last is None:
            raise ValueError(f"{ASKED[0]}: a solution ends without a number: {row['answer'][-80:]!r}")
        found.append((ASK.format(row["question"]), f" {STATED.format(last)}\n", last))
    return found


def result(solution: str) -> str | None:
    """The number that a solution comes to: the one after its last "answer is", else its last; None without any.

    Written plainly: no separators of thousands, no zeros at the end of a fraction, so that equal numbers are equal.
    """
    _, stated, rest = solution.rpartition("answer is")
    numbers = _NUMBER.findall(rest)
    if not numbers:
        return None
    plain = (numbers[0] if stated else numbers[-1]).replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _rows(name: str, configuration: str | None, split: str) -> Any:
    from datasets import load_dataset

    try:
        return load_dataset(name, configuration, split=split)
    except Exception as error:  # the library has its own errors for each way in which a hub can't be reached
        raise MissingAsset(
            f"the data set {name} can't be loaded from the hub ({type(error).__name__}: {error}); "
            f"fetch it once where there is a network: huggingface-cli download --repo-type dataset {name}"
        ) from error
