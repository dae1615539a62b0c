"""Scores: are the answers right, and what was forgotten of ordinary text.

Both go through lm-eval's model interface, by the benchmark's own model (suites/lm_compression/evaluation). An answer is
right when it is, token for token, what greedy decoding says: that needs one forward pass and no decoding.
"""

from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance

from bench.contract import Score
from suites.lm_compression import text
from suites.lm_compression.evaluation.evaluator import EffbenchLM
from suites.lm_finetuning.examples import TASKS, Example, examples

TEXT_WORDS = {"tiny": (4, 20), "embedded": (24, 120), "full": (24, 120)}
"""Documents of ordinary text, and the words of each that are read."""


def accuracies(model: Any, tokenizer: Any, scale: str, tasks: Sequence[str] = TASKS) -> list[Score]:
    """`accuracy` over the evaluation examples of all tasks, and `<task>_accuracy` of each."""
    lm = EffbenchLM(model, tokenizer)
    by_task = {task: right(lm, examples(scale, task, "evaluation")) for task in tasks}
    every = [sample for samples in by_task.values() for sample in samples]
    return [Score("accuracy", every), *(Score(f"{task}_accuracy", samples) for task, samples in by_task.items())]


def right(lm: Any, asked: Sequence[Example]) -> list[float]:
    """1 or 0 for each example: whether greedy decoding gives its whole answer."""
    found = lm.loglikelihood(_instances("loglikelihood", [(e.prompt, e.answer) for e in asked]), disable_tqdm=True)
    return [float(greedy) for _, greedy in found]


def forgetting(model: Any, base: Any, tokenizer: Any, scale: str) -> list[Score]:
    """`general_perplexity`, per word of ordinary text, and `forgetting`: nats per word more than the base needs."""
    count, words = TEXT_WORDS[scale]
    passages = [" ".join(d.text.split()[:words]) for d in text.documents(scale, "evaluation")[:count]]
    weights = [float(len(passage.split())) for passage in passages]
    after, before = (_losses(each, tokenizer, passages) for each in (model, base))
    lost = [(a - b) for a, b in zip(after, before, strict=True)]
    return [Score("general_perplexity", after, weights, "exp_mean"), Score("forgetting", lost, weights)]


def _losses(model: Any, tokenizer: Any, passages: Sequence[str]) -> list[float]:
    lm = EffbenchLM(model, tokenizer)
    asked = _instances("loglikelihood_rolling", [(passage,) for passage in passages])
    return [-found for found in lm.loglikelihood_rolling(asked, disable_tqdm=True)]


def _instances(kind: Any, arguments: Sequence[tuple[Any, ...]]) -> list[Instance]:
    return [Instance(request_type=kind, doc={}, arguments=each, idx=i) for i, each in enumerate(arguments)]
