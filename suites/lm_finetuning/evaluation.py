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
from suites._language.evaluation.evaluator import EffbenchLM
from suites.lm_finetuning._mathematics import result
from suites.lm_finetuning.examples import TASKS, Example, examples

TEXT_WORDS = {"tiny": (4, 20), "embedded": (24, 120), "full": (24, 120)}
"""Documents of ordinary text, and the words of each that are read."""

SOLVING = {"until": ["Question:"], "max_gen_toks": 300, "do_sample": False}
"""How solutions are decoded: greedily, as long as in peft's method comparison."""


def accuracies(model: Any, tokenizer: Any, scale: str, tasks: Sequence[str] = TASKS) -> list[Score]:
    """`accuracy` over the evaluation examples of all tasks, and `<task>_accuracy` of each."""
    return accuracies_by_task(dict.fromkeys(tasks, model), tokenizer, scale)


def accuracies_by_task(models: Mapping[str, Any], tokenizer: Any, scale: str) -> list[Score]:
    """The same with a model for each task."""
    lms = {id(model): EffbenchLM(model, tokenizer) for model in models.values()}
    by_task = {task: right(lms[id(model)], examples(scale, task, "evaluation")) for task, model in models.items()}
    every = [sample for samples in by_task.values() for sample in samples]
    return [Score("accuracy", every), *(Score(f"{task}_accuracy", samples) for task, samples in by_task.items())]


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


def forgetting(models: Sequence[Any], base: Any, tokenizer: Any, scale: str) -> list[Score]:
    """`general_perplexity`, per word of ordinary text, and `forgetting`: nats per word more than the base needs. Of
    several models the samples stand one after the other."""
    count, words = TEXT_WORDS[scale]
    passages = [" ".join(d.text.split()[:words]) for d in text.documents(scale, "evaluation")[:count]]
    weights = [float(len(passage.split())) for passage in passages] * len(models)
    after = [loss for model in models for loss in _losses(model, tokenizer, passages)]
    before = _losses(base, tokenizer, passages) * len(models)
    lost = [(a - b) for a, b in zip(after, before, strict=True)]
    return [Score("general_perplexity", after, weights, "exp_mean"), Score("forgetting", lost, weights)]


def _losses(model: Any, tokenizer: Any, passages: Sequence[str]) -> list[float]:
    lm = EffbenchLM(model, tokenizer)
    asked = _instances("loglikelihood_rolling", [(passage,) for passage in passages])
    return [-found for found in lm.loglikelihood_rolling(asked, disable_tqdm=True)]


def _instances(kind: Any, arguments: Sequence[tuple[Any, ...]]) -> list[Instance]:
    return [Instance(request_type=kind, doc={}, arguments=each, idx=i) for i, each in enumerate(arguments)]
