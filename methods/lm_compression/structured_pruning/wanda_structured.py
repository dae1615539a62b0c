"""Control: the same structures as FLAP, by the Wanda score of their weights."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bench.contract import Card, Method
from methods._techniques.moments import Moments, input_moments
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.structured_pruning._cut import output_projections
from methods.lm_compression.structured_pruning._order import cut_to_limits, ranking, unmet
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class WandaStructured(Method[CausalLMTask]):
    """Wanda's score, |weight| times the norm of its input over calibration text (Sun et al., 2023), summed over all
    that an input channel of o_proj or down_proj feeds: the extension to structures that FLAP is compared with.

    Everything else is as in `flap` without its bias: the same units, standardised per layer, one threshold over the
    model. samples, length: calibration windows and their tokens, block: neurons that leave at once, as in `flap`.
    """

    card = Card(
        slug="wanda-structured",
        title="Wanda, heads and neurons",
        paper="Control: Wanda (Sun et al., 2023, arXiv 2306.11695) with its scores summed over heads and neurons",
        url="https://arxiv.org/abs/2306.11695",
        control=True,
    )

    samples: int = 128
    length: int = 128
    block: int = 8

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.block)

    def build(self, task: CausalLMTask) -> nn.Module:
        projections = output_projections(task.model)
        moments = input_moments(task.model, projections, calibration_batch(task, self.samples, self.length))
        scores = [channel_scores(linear, moment) for linear, moment in zip(projections, moments, strict=True)]
        return cut_to_limits(task, ranking(task.model, scores[::2], scores[1::2], self.block))


def channel_scores(linear: Any, moments: Moments) -> Tensor:
    """Sum over the outputs i of |W_ij| times the root mean square of input j: float64 (in_features,) on the CPU."""
    rms = (moments.variance + moments.mean.square()).sqrt()
    return (rms * linear.weight.detach().double().abs().sum(0)).cpu()
