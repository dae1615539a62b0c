"""OPTIN: what is removed is what moves the rest of the model least."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods.lm_compression._texts import beginnings
from methods.lm_compression.structured_pruning._cut import cut, kv_groups, query_channels
from methods.lm_compression.structured_pruning._order import Unit, removable, unmet, without
from methods.lm_compression.structured_pruning._trajectory import Decoder, Effect
from suites._language.blocks import walk_blocks
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class OPTIN(Method[CausalLMTask]):
    """One-shot structured pruning without retraining, by trajectories (Khaki and Plataniotis, 2024).

    The score of a KV group or of a neuron is what its removal does to all that comes after it: the squared change of
    the Gram matrices of the features of every later block, plus the KL divergence of the logits. What is removed is
    then the set with the smallest sum of scores that saves as much as the limit asks for: each number of groups is
    tried, with the fewest neurons that save the rest.

    criterion: "trajectory"; as a control "reconstruction", the squared change of the block's own output alone.
    samples, length: calibration windows, each the beginning of another text, and their tokens; 512 positions, near to
    the code's 768. probes: random directions for the neurons' scores. ratio: how many times as large as the divergence
    the trajectory is made, in the mean over the model (lambda, 10). block: neurons leave in blocks of so many.
    """

    card = Card(
        slug="optin",
        title="OPTIN",
        paper="Khaki and Plataniotis, The Need for Speed: Pruning Transformers with One Recipe, "
        "ICLR 2024, arXiv 2403.17921",
        url="https://arxiv.org/abs/2403.17921",
        stochastic=True,
        claims=(
            Claim(
                text="Importance by the trajectory through all later layers is better than by the reconstruction "
                "error of the own layer.",
                source="abstract: the trajectory captures long-range dependencies",
                metric="word_perplexity",
                versus="optin:reconstruction",
            ),
            Claim(
                text="At most 2 % of the accuracy is lost, without retraining.",
                source="abstract: at most 2 % accuracy degradation from NLP baselines at competitive FLOPs",
                metric="next_sentence_accuracy",
                relation="keeps",
                share=0.98,
                points=("size-75", "compute-75"),
                paper_value="BERT at 60 % of the FLOPs: MNLI 81.9, QQP 90.1, QNLI 88.5, SST-2 92.2",
            ),
            Claim(
                text="Without retraining, it leaves a lower perplexity than Wanda extended to structures.",
                source="abstract: competitive with the state of the art without re-training",
                metric="word_perplexity",
                versus="wanda-structured",
            ),
            Claim(
                text="Without retraining, it leaves a lower perplexity than pruning by gradients (LLM-Pruner).",
                source="abstract: competitive with the state of the art without re-training",
                metric="word_perplexity",
                versus="llm-pruner-style:no-recovery",
            ),
            Claim(
                text="Inference becomes faster, on ordinary hardware.",
                source="abstract: improved throughput",
                metric="prefill.latency.ratio",
                versus="dense",
            ),
        ),
        differences=(
            (
                "Neurons are scored all at once by second-order estimates with random probes, where the paper runs "
                "the model once for each; KV groups are masked one at a time."
            ),
            "Features are the residual stream after each block, as this decoder normalises before its sub-layers.",
            (
                "The KL term is put at a tenth of the trajectory by one factor for the whole model; the code "
                "chooses a power of ten for each head and neuron."
            ),
            (
                "Without the code's prior on the index and its halving of heads and of the last layer, which are "
                "tuned to BERT."
            ),
            "The unit of attention is a KV group; each layer keeps a group and a block of neurons.",
            "Where bytes are limited, the same search counts bytes.",
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "reconstruction": {"criterion": "reconstruction"},
    }

    criterion: Literal["trajectory", "reconstruction"] = "trajectory"
    samples: int = 4
    length: int = 128
    probes: int = 16
    ratio: float = 10.0
    block: int = 8

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.block)

    def build(self, task: CausalLMTask) -> nn.Module:
        windows = beginnings(task, self.samples, self.length)
        if self.criterion == "trajectory":
            decoder = Decoder(task.model, windows)
            neurons = decoder.estimate(self.probes, torch.Generator().manual_seed(task.seed))
            groups, neuron_scores = combined(group_effects(decoder), neurons, self.ratio)
        else:
            groups, neuron_scores = reconstruction_scores(task.model, windows)
        units = [unit for part in removable(task.model, groups, neuron_scores, self.block) for unit in part]
        return cut(task.model, without(task.model, least_loss(task, units)))


def group_effects(decoder: Decoder) -> list[Effect]:
    """Measured effects of removing each KV group: (groups,) per layer."""
    found = []
    for index, layer in enumerate(decoder.blocks):
        attention = layer.self_attn
        effects = [
            decoder.effect(index, attention.o_proj, query_channels(attention, torch.tensor([group])))
            for group in range(kv_groups(attention))
        ]
        found.append(Effect(torch.stack([e.trajectory for e in effects]), torch.stack([e.divergence for e in effects])))
    return found


def combined(groups: Sequence[Effect], neurons: Sequence[Effect], ratio: float) -> tuple[list[Tensor], list[Tensor]]:
    """Scores of groups and neurons: trajectory plus divergence, which is scaled so that over all of them the
    trajectory is `ratio` times as large."""
    everything = [*groups, *neurons]
    trajectory = sum(float(effect.trajectory.double().sum()) for effect in everything)
    divergence = sum(float(effect.divergence.double().sum()) for effect in everything)
    factor = trajectory / (ratio * divergence) if divergence > 0 else 0.0
    scores = [effect.trajectory + factor * effect.divergence for effect in everything]
    return scores[: len(groups)], scores[len(groups) :]


@torch.no_grad()
def reconstruction_scores(model: Any, windows: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Squared change of the residual update, summed over all positions, when a KV group or a neuron goes."""
    groups, neurons = [], []
    for step in walk_blocks(model, windows):
        attention, mlp = step.block.self_attn, step.block.mlp
        seen: list[list[Tensor]] = [[], []]
        step.observe([attention.o_proj, mlp.down_proj], [seen[0].append, seen[1].append])
        heads, activations = (torch.cat(parts).flatten(0, -2).float() for parts in seen)
        count = kv_groups(attention)
        columns = attention.o_proj.weight.float().view(attention.o_proj.out_features, count, -1)
        updates = torch.einsum("pgc,ogc->gpo", heads.view(len(heads), count, -1), columns)
        groups.append(updates.square().sum((1, 2)).cpu())
        neurons.append((activations.square().sum(0) * mlp.down_proj.weight.float().square().sum(0)).cpu())
    return groups, neurons


def least_loss(task: CausalLMTask, units: Sequence[Unit]) -> list[Unit]:
    """The units with the smallest sum of scores whose removal meets the limits.

    A block of neurons counts with the sum of its neurons' scores. What a unit saves of the tightest limit is measured
    by weighing without one of its kind; where the sum of savings proves to fall short, more is asked for. Raises
    OverBudget if all of them are not enough.
    """

    def figure(gone: Sequence[Unit]) -> Mapping[str, float]:
        return task.weigh(cut(task.model, without(task.model, gone), share_weights=True))

    name = min(task.limits.result, key=lambda name: task.limits.result[name])
    kinds = [sorted((u for u in units if u.kind == kind), key=_loss) for kind in ("group", "neurons")]
    dense = figure([])[name]
    savings = [dense - figure(kind[:1])[name] if kind else math.inf for kind in kinds]
    need = max(0.0, dense - task.limits.result[name])
    while True:
        counts = cheapest([[_loss(unit) for unit in kind] for kind in kinds], savings, need)
        if counts is None:
            task.limits.check_result(figure(units))
            return list(units)
        gone = [unit for kind, count in zip(kinds, counts, strict=True) for unit in kind[:count]]
        figures = figure(gone)
        if task.limits.met_by(figures):
            return gone
        need += max(figures[name] - task.limits.result[name], 0.1 * min(savings))


def cheapest(losses: Sequence[Sequence[float]], savings: Sequence[float], need: float) -> tuple[int, int] | None:
    """How many of the first of each of two kinds, whose losses ascend, lose least and save at least `need`.

    savings: of one of each kind. None if all of both do not save as much.
    """
    totals = [[0.0, *accumulate(kind)] for kind in losses]
    best: tuple[float, int, int] | None = None
    for first in range(len(losses[0]) + 1):
        rest = need - (first * savings[0] if first else 0.0)
        second = max(0, math.ceil(rest / savings[1] - 1e-9))
        if second <= len(losses[1]):
            option = (totals[0][first] + totals[1][second], first, second)
            best = option if best is None else min(best, option)
    return best[1:] if best is not None else None


def _loss(unit: Unit) -> float:
    """Sum of the scores of a unit's members; `Unit.score` is their mean."""
    return unit.score * len(unit.members)
