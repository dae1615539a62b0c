"""FLAP: prune what fluctuates least, and give back its mean as a bias."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods._techniques.moments import Moments, input_moments
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.structured_pruning._cut import InputMeans, output_projections
from methods.lm_compression.structured_pruning._order import cut_to_limits, ranking, unmet
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class FLAP(Method[CausalLMTask]):
    """Structured pruning without retraining (An et al., 2024).

    An input channel of o_proj or down_proj that hardly varies over calibration text can go, because a constant can
    stand in for it. Its score is the variance of the channel times the squared norm of its weight column (the
    attention's is squared once more, as the public code does). Scores are standardised per layer; one threshold over
    the whole model then says which heads and neurons leave. The mean output of what left becomes a bias of the
    projection, so that only the fluctuation is lost.

    samples, length: calibration windows and their tokens. bias: whether the bias is added. block: neurons leave
    in blocks of so many.
    """

    card = Card(
        slug="flap",
        title="FLAP",
        paper="An et al., Fluctuation-based Adaptive Structured Pruning for Large Language Models, "
        "AAAI 2024, arXiv 2312.11983",
        url="https://arxiv.org/abs/2312.11983",
        claims=(
            Claim(
                text="Pruning by fluctuation keeps more of the language model than other structured criteria do, "
                "without retraining.",
                source="abstract: better than LLM-Pruner and than Wanda extended to structures, on language benchmarks",
                metric="word_perplexity",
                versus="magnitude-structured",
            ),
            Claim(
                text="The bias that stands in for the removed channels recovers quality.",
                source="abstract: bias terms recover the output feature maps from baseline values",
                metric="word_perplexity",
                versus="flap:no-bias",
            ),
            Claim(
                text="Zero-shot accuracy suffers less than with other structured criteria.",
                source="abstract: better than LLM-Pruner and than Wanda extended to structures, on language benchmarks",
                metric="next_sentence_accuracy",
                versus="magnitude-structured",
            ),
            Claim(
                text="Inference becomes faster, on ordinary hardware.",
                source="abstract: reduces storage and raises inference speed",
                metric="decode-b1.tpot.ratio",
                versus="dense",
            ),
        ),
        notes="The unit of an attention is a KV group (a key-value head with its query heads), so that keys, values "
        "and the cache shrink too; the paper's models have no groups. A unit counts with what it really saves of the "
        "operating point's figure, in place of the code's fixed 512/3 neurons a head. Neurons leave in blocks of 8, so "
        "that widths suit GPU kernels. Each layer keeps a group and a block. 128 windows of 128 tokens, not 1024: "
        "a quarter of a minute on two CPU cores, within the 32768 tokens of the operating points. Measured at the "
        "embedded scale: without the bias nearly all is lost; better than `wanda-structured`. A quarter of the FLOPs "
        "less saves time on CPUs and none on an H200, where kernels so small take as long when narrower.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "no-bias": {"bias": False}}

    samples: int = 128
    length: int = 128
    bias: bool = True
    block: int = 8

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.block)

    def build(self, task: CausalLMTask) -> nn.Module:
        projections = output_projections(task.model)
        moments = input_moments(task.model, projections, calibration_batch(task, self.samples, self.length))
        scores = [fluctuation(linear, moment) for linear, moment in zip(projections, moments, strict=True)]
        order = ranking(task.model, [score.square() for score in scores[::2]], scores[1::2], self.block)
        return cut_to_limits(task, order, _means(moments) if self.bias else None)


def fluctuation(linear: Any, moments: Moments) -> Tensor:
    """Score of each input: Var(x_j) ||W_:j||^2, float64 (in_features,) on the CPU: WIFV in the public code."""
    return (moments.variance * linear.weight.detach().double().square().sum(0)).cpu()


def _means(moments: Sequence[Moments]) -> list[InputMeans]:
    return [InputMeans(attention.mean, mlp.mean) for attention, mlp in zip(moments[::2], moments[1::2], strict=True)]
