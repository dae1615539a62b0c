"""Quality of a candidate: perplexity and accuracies through lm-eval, with every sample kept."""

from typing import Any

from bench.contract import Score
from suites.lm_compression.task import CausalLMTask


def evaluate(candidate: Any, task: CausalLMTask) -> list[Score]:
    """Scores of a candidate on the evaluation split of the task's scale (see scores.py for their names)."""
    from suites.lm_compression.evaluation.evaluator import EffbenchLM
    from suites.lm_compression.evaluation.scores import scores

    return scores(EffbenchLM(candidate, task.tokenizer), task.scale)
