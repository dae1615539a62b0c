"""Scores: are the answers right, and what was forgotten of ordinary text.

Both go through lm-eval's model interface, by the benchmark's own model (suites/_language/evaluation). An answer is
right when it is, token for token, what greedy decoding says: that needs one forward pass and no decoding. Only a
solution in many words is decoded, and judged by the number that it comes to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance

from bench.contract import Score
from suites._language import text
from suites.lm_finetuning._mathematics import result
from suites.lm_finetuning.examples import Example

TEXT_WORDS = {"tiny": (4, 20), "embedded": (24, 120), "full": (24, 120)}
"""Documents of ordinary text, and the words of each that are read."""

SOLVING = {"until": ["Question:"], "max_gen_toks": 300, "do_sample": False}
"""How solutions are decoded: greedily, as long as in peft's method comparison."""


def accuracies(right_of: Mapping[str, Sequence[float]]) -> list[Score]:
    """`accuracy` over the examples of all tasks, and `<task>_accuracy` of each. right_of: task -> as `right` gives."""
    every = [sample for samples in right_of.values() for sample in samples]
    return [Score("accuracy", every), *(Score(f"{task}_accuracy", samples) for task, samples in right_of.items())]


def right(lm: Any, asked: Sequence[Example]) -> list[float]:
    """1 or 0 for each example: whether greedy decoding gives its whole answer, or its result where it has one."""
    whole = [example for example in asked if example.result is None]
    solved = [example for example in asked if example.result is not None]
    found = lm.loglikelihood(_instances("loglikelihood", [(e.prompt, e.answer) for e in whole]), disable_tqdm=True)
    texts = lm.generate_until(
        _instances("generate_until", [(e.prompt, dict(SOLVING)) for e in solved]), disable_tqdm=True
    )
    judged = {id(example): float(greedy) for example, (_, greedy) in zip(whole, found, strict=True)}
    judged |= {id(example): float(result(text) == example.result) for example, text in zip(solved, texts, strict=True)}
    return [judged[id(example)] for example in asked]


def ordinary_text(scale: str) -> list[str]:
    """Passages of the evaluation text that have nothing to do with the tasks. For the judge alone."""
    count, words = TEXT_WORDS[scale]
    return [" ".join(document.text.split()[:words]) for document in text.documents(scale, "evaluation")[:count]]


def losses(lm: Any, passages: Sequence[str]) -> list[float]:
    """Of each passage, nats."""
    asked = _instances("loglikelihood_rolling", [(passage,) for passage in passages])
    return [-found for found in lm.loglikelihood_rolling(asked, disable_tqdm=True)]


def forgetting(after: Sequence[Sequence[float]], before: Sequence[float], passages: Sequence[str]) -> list[Score]:
    """`general_perplexity`, per word of ordinary text, and `forgetting`: nats per word more than the base needs.

    after: the losses of each model that answers; their samples stand one after the other. before: the base's.
    """
    weights = [float(len(passage.split())) for passage in passages] * len(after)
    every = [loss for each in after for loss in each]
    lost = [(a - b) for a, b in zip(every, [*before] * len(after), strict=True)]
    return [Score("general_perplexity", every, weights, "exp_mean"), Score("forgetting", lost, weights)]


def renamed(name: str, score: Score) -> Score:
    """The same score by another name."""
    return Score(name, score.samples, score.weights, score.aggregate)


def _instances(kind: Any, arguments: Sequence[tuple[Any, ...]]) -> list[Instance]:
    return [Instance(request_type=kind, doc={}, arguments=each, idx=i) for i, each in enumerate(arguments)]
