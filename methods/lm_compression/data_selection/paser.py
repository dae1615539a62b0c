"""PASER (He et al., 2025), https://arxiv.org/abs/2502.12594."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.contract import Card, Claim, Method
from methods._techniques.distances import mean_distance
from methods._techniques.manifold import clusters
from methods.lm_compression._lora import merge
from methods.lm_compression._recovery import BATCH, TOKENS, next_token_loss
from methods.lm_compression.data_selection._concepts import ConceptGraph, concepts
from methods.lm_compression.layer_dropping.attention_drop import AttentionDrop
from suites._language.adapters import with_lora
from suites._training.fit import fit
from suites.lm_compression.task import CausalLMTask

Selection = Literal["paser", "random", "full", "instruction-score"]


@dataclass(frozen=True)
class PASER(Method[CausalLMTask]):
    """Heals a pruned model on the samples where pruning hurt it most, spread over what it was hurt in.

    Samples are clustered by meaning (a diffusion map of their embeddings, then non-negative spectral clustering), each
    cluster standing for a capability. The Jensen-Shannon divergence of the dense and the pruned model's next-token
    distributions says how much each sample, and on average each cluster, has lost. Clusters get shares of the budget in
    proportion to that. Within a cluster the samples with the largest loss per cost go first, and a sample that brings
    two known concepts together that never stood together is passed over as conflicting. LoRA is trained on the rest.

    selection: how samples are chosen: "paser"; or, at the same number of training steps, "random"; "full", where no
        sample is seen twice; "instruction-score", the highest ratio of the dense model's loss on a sample's second half
        with its first half to that without (the instruction-following difficulty of Li et al., 2023, on plain text).
    pool, length: training tokens that are chosen from, and tokens in a sample. epochs: passes over what is chosen. With
        the recovery budget of 32768 tokens that is a sixth of the pool, as the paper takes 4 to 20 %.
    count: clusters. stride: divergences are taken at every stride-th position. phrases: concepts of a sample.
    rank, alpha: of LoRA. learning_rate: the best at compute-75 (rates.json); "full", which sees no
        window twice, has its own.
    """

    card = Card(
        slug="paser",
        title="PASER",
        paper="He et al., 2025. PASER: Post-Training Data Selection for Efficient Pruned Large Language Model Recovery",
        url="https://arxiv.org/abs/2502.12594",
        stochastic=True,
        claims=(
            Claim(
                text="Chosen recovery data heals a pruned model better than as much data at random",
                source="abstract (better than conventional baselines)",
                metric="word_perplexity",
                versus="paser:random",
            ),
            Claim(
                text="A fraction of the data heals as well as all of it or better",
                source="abstract",
                metric="word_perplexity",
                versus="paser:full",
                relation="same",
                paper_value="4-20 % of the original data",
            ),
            Claim(
                text="Looking at what pruning did to the model beats scores of the samples alone",
                source="abstract (existing methods overlook the uneven deterioration)",
                metric="word_perplexity",
                versus="paser:instruction-score",
            ),
        ),
        differences=(
            "The pruned model is that of `attention-drop:block`.",
            "Samples are windows of plain text, not instructions, so that all cost the same.",
            "Embeddings are the dense model's mean last hidden states, not a sentence encoder's.",
            (
                "The walk's matrix is decomposed in its symmetric form, where the public code hands an unsymmetric "
                "one to a symmetric solver; divergences are means over positions."
            ),
            (
                "Concepts are a sample's few best phrases: with all of them nearly every pair of known ones lacks "
                "an edge."
            ),
            "Where the filter leaves too few samples, the best of those it rejected fill the budget.",
            "LoRA is trained, without dropout; the public code never attaches it.",
        ),
        notes="The variant `full` draws as many windows as the pool has within the same steps, half of it.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "random": {"selection": "random"},
        "full": {"selection": "full", "learning_rate": 3e-3},
        "instruction-score": {"selection": "instruction-score"},
    }

    selection: Selection = "paser"
    pool: int = 2 * TOKENS
    length: int = 128
    epochs: int = 3
    count: int = 10
    stride: int = 4
    phrases: int = 3
    rank: int = 8
    alpha: float = 16.0
    learning_rate: float = 1e-3

    def supports(self, task: CausalLMTask) -> str | None:
        return self._pruning.supports(task)

    def build(self, task: CausalLMTask) -> nn.Module:
        pruned = self._pruning.build(task)
        samples = self._pool(task)
        passes = min(TOKENS // self.length, len(samples))
        batches = self._batches(task, pruned, samples, passes)
        adapted = with_lora(pruned, rank=self.rank, alpha=self.alpha, seed=0)
        fit(adapted, batches, lambda ids: next_token_loss(adapted, ids), learning_rate=self.learning_rate)
        healed: nn.Module = merge(adapted)
        return healed

    @property
    def _pruning(self) -> AttentionDrop:
        return AttentionDrop(kind="block")

    def _pool(self, task: CausalLMTask) -> Tensor:
        """Token ids (samples, length), in the order of the seed."""
        available = min(self.pool, task.available("training"))
        return torch.cat(list(task.training(available // self.length, self.length)))

    def _batches(self, task: CausalLMTask, pruned: Any, samples: Tensor, passes: int) -> list[Tensor]:
        """Batches of samples, `passes` in all: the chosen ones again and again, in an order of the seed each time."""
        distinct = passes if self.selection == "full" else max(1, passes // self.epochs)
        chosen = samples[self._chosen(task, pruned, samples, distinct)]
        order = _repeated(len(chosen), passes, torch.Generator().manual_seed(task.seed))
        return [chosen[part] for part in torch.tensor(list(order)).split(BATCH)]

    def _chosen(self, task: CausalLMTask, pruned: Any, samples: Tensor, budget: int) -> list[int]:
        if self.selection in ("random", "full"):  # the pool is in random order
            return list(range(budget))
        if self.selection == "instruction-score":
            scores = torch.stack([instruction_score(task.model, sample) for sample in samples])
            return scores.argsort(descending=True, stable=True)[:budget].tolist()
        seen = [degradation(task.model, pruned, sample, self.stride) for sample in samples]
        labels = clusters(torch.stack([embedding for embedding, _ in seen]), self.count).tolist()
        return select(
            [efficiency(loss, self.length) for _, loss in seen],
            [loss for _, loss in seen],
            labels,
            budget,
            lambda index: concepts(task.tokenizer.decode(samples[index].tolist()), self.phrases),
        )


@torch.no_grad()
def degradation(dense: Any, pruned: Any, sample: Tensor, stride: int) -> tuple[Tensor, float]:
    """For token ids (length,): the dense model's mean last hidden state (hidden,) on the CPU, and the mean
    Jensen-Shannon divergence of both models' next-token distributions, nats, at every stride-th position.
    """
    models = (dense, pruned)
    states = [model.get_decoder()(input_ids=sample[None], use_cache=False).last_hidden_state[0] for model in models]
    logits = [model.get_output_embeddings()(state[::stride]) for model, state in zip(models, states, strict=True)]
    return states[0].float().mean(0).cpu(), mean_distance("js", *logits)


@torch.no_grad()
def instruction_score(model: Any, sample: Tensor) -> Tensor:
    """Loss on the second half of token ids (length,) with the first half over that without it."""
    half = len(sample) // 2
    answer = sample[half:]
    given = model(input_ids=sample[None], use_cache=False).logits[0, half:-1]
    alone = model(input_ids=answer[None], use_cache=False).logits[0, :-1]
    return cross_entropy(given.float(), answer[1:]) / cross_entropy(alone.float(), answer[1:])


def efficiency(divergence: float, tokens: int) -> float:
    """What healing on a sample of so many tokens promises for its cost: JS / log(cost^2)."""
    return divergence / math.log(tokens**2)


def allocate(degradations: Sequence[float], sizes: Sequence[int], budget: int) -> list[int]:
    """How many samples each cluster gives: in proportion to its mean degradation, no more than it has, `budget` in all.

    Whole numbers by largest remainder; what a small cluster can't give goes to the others in the same proportion.
    """
    budget = min(budget, sum(sizes))
    given = [0] * len(sizes)
    while (left := budget - sum(given)) > 0:
        open_ = [index for index, size in enumerate(sizes) if given[index] < size]
        total = sum(degradations[index] for index in open_)
        shares = {index: left * (degradations[index] / total if total > 0 else 1 / len(open_)) for index in open_}
        whole = {index: int(share) for index, share in shares.items()}
        rest = sorted(open_, key=lambda index: whole[index] - shares[index])  # stable, largest remainder first
        for index in rest[: left - sum(whole.values())]:
            whole[index] += 1
        for index in open_:
            given[index] = min(sizes[index], given[index] + whole[index])
    return given


def select(
    promise: Sequence[float],
    losses: Sequence[float],
    labels: Sequence[int],
    budget: int,
    concepts_of: Callable[[int], frozenset[str]],
) -> list[int]:
    """Indices of `budget` samples: cluster by cluster, the most promising that are consistent with those before.

    What the filter keeps a cluster from giving is made up for by the most promising samples that are left, consistent
    ones first.
    """
    names = sorted(set(labels))
    members = [[index for index, label in enumerate(labels) if label == name] for name in names]
    ranked = [sorted(group, key=lambda index: -promise[index]) for group in members]
    means = [sum(losses[index] for index in group) / len(group) for group in members]
    budgets = allocate(means, [len(group) for group in members], budget)
    graph, chosen = ConceptGraph(), list[int]()

    def take(order: Sequence[int], most: int) -> None:
        for index in order:
            if most == 0:
                return
            found = concepts_of(index)
            if index not in chosen and graph.consistent(found):
                graph.add(found)
                chosen.append(index)
                most -= 1

    for group, most in zip(ranked, budgets, strict=True):
        take(group, most)
    everyone = sorted(range(len(labels)), key=lambda index: -promise[index])
    take(everyone, budget - len(chosen))
    left = [index for index in everyone if index not in chosen]
    return chosen + left[: budget - len(chosen)]


def _repeated(count: int, passes: int, generator: torch.Generator) -> Iterator[int]:
    """`passes` indices below `count`: shuffled epochs, the last one cut short."""
    while passes > 0:
        order = torch.randperm(count, generator=generator).tolist()[:passes]
        yield from order
        passes -= len(order)
