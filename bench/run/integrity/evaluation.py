"""Rule: the evaluation split is for scoring alone. bench.contract.evaluation refuses; here the refusal ends the run."""

from bench.contract.evaluation import refusals
from bench.run.integrity import RuleBroken

RULE = "evaluation split read"


def check_refusals() -> None:
    """Raise RuleBroken if the method asked for evaluation data, also if it swallowed the refusal."""
    if refusals():
        raise RuleBroken(RULE, f"the method asked for {refusals()[0]}")
