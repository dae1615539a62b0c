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
                text="Without retraining, pruning by fluctuation leaves a lower perplexity than Wanda extended to "
                "structures.",
                source="abstract: outperforms LLM-Pruner and the extension of Wanda in structured pruning",
                metric="word_perplexity",
                versus="wanda-structured",
            ),
            Claim(
                text="Without retraining, it leaves a lower perplexity than LLM-Pruner.",
                source="abstract: outperforms LLM-Pruner and the extension of Wanda in structured pruning",
                metric="word_perplexity",
                versus="llm-pruner-style:no-recovery",
            ),
            Claim(
                text="The bias compensation of pruned channels lowers the perplexity.",
                source="abstract: bias terms recover the output feature maps from baseline values",
                metric="word_perplexity",
                versus="flap:no-bias",
            ),
            Claim(
                text="Zero-shot accuracy suffers less than under Wanda extended to structures.",
                source="abstract: outperforms LLM-Pruner and the extension of Wanda, on language benchmarks",
                metric="next_sentence_accuracy",
                versus="wanda-structured",
            ),
            Claim(
                text="Zero-shot accuracy suffers less than under LLM-Pruner.",
                source="abstract: outperforms LLM-Pruner and the extension of Wanda, on language benchmarks",
                metric="next_sentence_accuracy",
                versus="llm-pruner-style:no-recovery",
            ),
            Claim(
                text="Inference becomes faster, on ordinary hardware.",
                source="abstract: reduces storage and raises inference speed",
                metric="decode-b1.tpot.ratio",
                versus="dense",
            ),
        ),
        differences=(
            (
                "The unit of attention is a KV group (a key-value head with its query heads), so that the KV cache "
                "shrinks too; the paper's models have no groups."
            ),
            "A unit counts with what it saves of the limited figure; the code counts a head as 512/3 neurons.",
            "Neurons are pruned in blocks of 8, for GPU kernels; each layer keeps a KV group and a block.",
            (
                "The calibration set is 128 windows of 128 tokens, not 1024, within the allowance of the operating "
                "points."
            ),
        ),
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
