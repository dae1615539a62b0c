"""Each method that looks at the model: what it finds to matter least is what leaves in its build."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from methods.lm_compression.structured_pruning._cut import kv_groups, layers
from methods.lm_compression.structured_pruning.flap import FLAP
from methods.lm_compression.structured_pruning.llm_pruner_style import LLMPrunerStyle
from methods.lm_compression.structured_pruning.magnitude_structured import MagnitudeStructured
from methods.lm_compression.structured_pruning.minitron import Minitron
from methods.lm_compression.structured_pruning.optin import OPTIN
from methods.lm_compression.structured_pruning.wanda_structured import WandaStructured
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.structured_pruning.conftest import random_model

MakeTask = Callable[..., CausalLMTask]
PLACE = 2
"""The layer of the one that says little. Neither the first nor the last, which some methods leave whole."""

LITTLE = 1e-4

BY_WHAT_FLOWS = [
    WandaStructured(samples=4, length=32, block=1),
    FLAP(samples=4, length=32, block=1),
    LLMPrunerStyle(samples=4, length=32, block=1, recovery=False),
    OPTIN(samples=2, length=16, probes=16, block=1),
    OPTIN(criterion="reconstruction", samples=2, length=16, block=1),
    Minitron(axes="width", widths=(1.0,), retraining="none", samples=4, length=32, step=4),
]


def name_of(method: Any) -> str:
    return f"{method.card.slug}-{getattr(method, 'criterion', '')}"


@pytest.mark.parametrize("method", BY_WHAT_FLOWS, ids=name_of)
def test_a_neuron_that_says_little_leaves_however_large_its_weights_are(make_task: MakeTask, method: Any) -> None:
    """Its output weights are three times the others', so that the weights alone would have it stay."""
    model = random_model()
    mlp = layers(model)[PLACE].mlp
    with torch.no_grad():
        mlp.gate_proj.weight[5] *= LITTLE
        mlp.down_proj.weight[:, 5] *= 3
    enough = 0.5 if isinstance(method, Minitron) else 0.93  # that neurons have to leave, and not heads alone
    candidate = method.build(make_task(model, stored_ratio=enough))
    left = layers(candidate)[PLACE].mlp.gate_proj.weight
    assert len(left) < 64
    assert left.norm(dim=1).min() > 10 * LITTLE


@pytest.mark.parametrize(
    "method",
    [WandaStructured(samples=4, length=32), OPTIN(samples=2, length=16, probes=2), MagnitudeStructured()],
    ids=name_of,
)
def test_of_two_groups_of_heads_the_one_that_says_little_leaves(make_task: MakeTask, method: Any) -> None:
    model = random_model()
    attention = layers(model)[PLACE].self_attn
    with torch.no_grad():
        for linear, first in ((attention.q_proj, 24), (attention.k_proj, 8), (attention.v_proj, 8)):
            linear.weight[first:] *= 0.03
        attention.o_proj.weight[:, 24:] *= 0.03
    left = layers(method.build(make_task(model, stored_ratio=0.5)))[PLACE].self_attn
    assert kv_groups(left) == 1
    assert torch.equal(left.v_proj.weight, attention.v_proj.weight[:8])
