"""Control: the Pre-LN Transformer that the rewriting starts from."""

from dataclasses import dataclass
from typing import Any

from bench.contract import Card, Method
from methods.lm_compression.equivalence._pre_ln import pre_ln_form, why_no_pre_ln_form
from suites.lm_compression.task import CausalLMTask

EXACT = "an exact rewrite: it makes the model no smaller, so no limit on the result is met"


@dataclass(frozen=True)
class PreLN(Method[CausalLMTask]):
    """Hands back a Pre-LN base itself, and the Pre-LN form of one with RMSNorm: see `pre_ln_form`."""

    card = Card(
        slug="pre-ln",
        title="Pre-LN Transformer",
        paper="Control: the same function, written as a Pre-LN Transformer",
        control=True,
        notes="What `pre-rmsnorm` is held against. The packaged base has RMSNorm: it is rewritten exactly, its "
        "residual stream rotated at random into the next multiple of 64 channels (640 for 576) and given a mean, "
        "which LayerNorm removes. A wider stream and a separate head make bytes and FLOPs larger.",
    )

    def supports(self, task: CausalLMTask) -> str | None:
        return why_no_pre_ln_form(task.model) or (EXACT if task.limits.result else None)

    def build(self, task: CausalLMTask) -> Any:
        return pre_ln_form(task.model)
