"""Word problems with small whole numbers: one or two steps of addition, subtraction and multiplication."""

import random

_NAMES = ["Tom", "Sara", "Noah", "Lena", "Omar", "Ivy", "Paul", "Zoe"]
_THINGS = ["apples", "stamps", "marbles", "books", "coins", "shells", "cards", "pens"]


def problem(rng: random.Random, short: bool) -> tuple[str, str]:
    """(prompt, answer): a problem in words and the number that solves it, never negative."""
    if short:
        a, b = rng.randrange(10), rng.randrange(100)
        return f"{a}+{b}=", f" {a + b}\n"
    name, thing = rng.choice(_NAMES), rng.choice(_THINGS)
    have = rng.randrange(2, 10)
    sentences = [f"{name} has {have} {thing}."]
    for _ in range(rng.choice([1, 2])):
        have, sentence = _change(rng, have)
        sentences.append(sentence)
    return f"Problem: {' '.join(sentences)} How many {thing} are there now?\nAnswer:", f" {have}\n"


def _change(rng: random.Random, have: int) -> tuple[int, str]:
    kind = rng.choice(["more", "fewer", "times"])
    if kind == "fewer" and have > 1:
        gone = rng.randrange(1, min(have, 10))
        return have - gone, rng.choice([f"{gone} get lost.", f"{gone} are given away."])
    if kind == "times" and have <= 12:
        factor = rng.choice([2, 3])
        return have * factor, {2: "The number doubles.", 3: "The number triples."}[factor]
    more = rng.randrange(2, 10)
    return have + more, rng.choice([f"{more} more arrive.", f"A friend adds {more}."])
