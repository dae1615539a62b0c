"""S3T (Basu Roy Chowdhury et al., 2025): sequence-aware sharded sliced training, https://arxiv.org/abs/2406.16257."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bench.contract import Built, Card, Claim, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, best_rate, built, rates_for
from methods.lm_finetuning.unlearning._orders import cyclic_orders, matched_orders
from methods.lm_finetuning.unlearning._voters import (
    PartLearner,
    Voters,
    VotingService,
    layer_groups,
    place,
    prefix_within,
    split,
)
from suites._language.adapters import decoder_linears
from suites._training.loop import Curve
from suites._training.trainer import Trainer
from suites.lm_finetuning.unlearn import UnlearningTask


@dataclass(frozen=True)
class S3T(Method[UnlearningTask]):
    """Slices of a shard teach layers of their own, so that a deletion switches layers off and trains nothing.

    The examples are cut into shards, which vote, and each shard into slices. The first slice of an order trains LoRA on
    the topmost group of blocks, the next on the group below while the first stays, and so on: what a group has learned
    hangs on its slice and those before it alone. When an example is deleted, its slice's group and all after it in the
    order are switched off; what is left is exactly a model that never saw the slice. Several orders of the same slices
    are trained, and the one with the most groups left answers. A shard none of whose orders has a group left does not
    vote. When no shard votes any more, everything is trained again.

    shards, slices: of each shard. orders: trained of each shard, the paper's budget B. selection: cyclic rotations, or
    maximum-weight matching by the likelihood that a deletion falls into a slice (here its share of the examples).
    batch: examples of a step. rank, alpha_over_rank: of the adapters, as in `sisa`.
    """

    card = Card(
        slug="s3t",
        title="S3T",
        problems=("unlearn",),
        paper="Basu Roy Chowdhury et al., 2025. Towards Scalable Exact Machine Unlearning Using Parameter-Efficient "
        "Fine-Tuning",
        url="https://arxiv.org/abs/2406.16257",
        stochastic=True,
        claims=(
            Claim(
                text="Serves more deletions without training again than SISA",
                source="abstract: superior deletion capabilities compared to baselines, across a range of settings",
                metric="served",
                versus="sisa:default",
            ),
            Claim(
                text="Learns the tasks better than SISA does, before anything is deleted",
                source="abstract: enhanced performance compared to baselines",
                metric="accuracy_before_deletions",
                versus="sisa:default",
            ),
            Claim(
                text="Several orders of the slices leave a better model after deletions than one",
                source="abstract: training on multiple sequences allows more deletions and improves performance",
                metric="accuracy_after_deletions",
                versus="s3t:one-order",
            ),
        ),
        differences=(
            (
                "All orders share the operating point's tokens: with B orders the first 1/B of the examples is "
                "learned; the paper's budget grows with B."
            ),
            "The learning rate is chosen once; the search for it has seen examples that may be deleted later.",
            "Fewer rotations than slices begin far apart; the public code takes neighbouring ones.",
            (
                "The matching weighs an order by the slices it is expected to keep; the public code weighs later "
                "slices more."
            ),
            "LoRA is scaled by alpha over rank, without dropout; the groups cover all blocks.",
            "A dead shard learns nothing again until all are dead.",
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "one-order": {"orders": 1},
        "four-orders": {"orders": 4},
        "matching": {"selection": "matching"},
    }

    shards: int = 2
    slices: int = 4
    orders: int = 2
    selection: Literal["cyclic", "matching"] = "cyclic"
    batch: int = 4
    rank: int = 8
    alpha_over_rank: float = 2.0
    rate: float = 1e-2
    rates: tuple[float, ...] = ADAPTER_RATES

    def supports(self, task: UnlearningTask) -> str | None:
        if self.slices > len(task.model.get_decoder().layers):
            return f"has {self.slices} slices, more than the model has blocks to give each some of its own"
        return None

    def build(self, task: UnlearningTask) -> Built:
        service = Service(self, task, best_rate(task, lambda: self._trial(task), rates_for(task, self)))
        service.learn(task)
        trainer = Trainer(PartLearner(service.voters, service.parts(0, 0, self.slices)))
        return built(task, service, trainer, Curve(service.losses), service.rate)

    def _trial(self, task: UnlearningTask) -> PartLearner:
        voters = self.voters(task)
        voters.add("trial", self.groups(task)[0], task.seed)
        return PartLearner(voters, ["trial"])

    def voters(self, task: UnlearningTask) -> Voters:
        """The base, with no adapter yet."""
        return Voters(task.copied(), rank=self.rank, alpha=self.alpha_over_rank * self.rank, most=self.shards)

    def groups(self, task: UnlearningTask) -> list[list[str]]:
        """The layers that each place of an order trains, from the top down."""
        return layer_groups(decoder_linears(task.model), len(task.model.get_decoder().layers), self.slices)

    def orders_of(self, slices: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
        """The orders in which a shard's slices (their examples) are learned."""
        if self.selection == "cyclic":
            return cyclic_orders(range(self.slices), self.orders)
        count = sum(map(len, slices))
        return matched_orders([len(slice_) / count for slice_ in slices], self.orders)


class Service(VotingService):
    """The slices (indices of the pool), their orders, and how many places of each order are alive.

    alive[shard][order]: the first so many parts of the order answer; the others have been erased.
    """

    def __init__(self, method: S3T, task: UnlearningTask, rate: float) -> None:
        super().__init__(task, method.voters(task), rate, method.batch)
        lengths = [task.listed.tokens[number] for number in self.pool]
        learned = prefix_within(lengths, task.tokens, method.orders)
        self.slices = method.slices
        self.partition = split(range(learned), method.shards, method.slices)
        self.orders = [method.orders_of(slices) for slices in self.partition]
        self.alive = [[0] * len(orders) for orders in self.orders]
        self.kept = {}
        for shard, orders in enumerate(self.orders):
            for order in range(len(orders)):
                for part, layers in zip(self.parts(shard, order, method.slices), method.groups(task), strict=True):
                    self.add(part, layers)
                    self.kept[part] = self.voters.state(part)

    def parts(self, shard: int, order: int, count: int) -> tuple[str, ...]:
        """Names of the first `count` parts of an order."""
        return tuple(f"shard{shard}-order{order}-group{group}" for group in range(count))

    def learn(self, task: UnlearningTask | None) -> None:
        """All orders from the beginning, by the examples that are left; drawn from the task, or there already."""
        for shard, orders in enumerate(self.orders):
            for number, order in enumerate(orders):
                self.alive[shard][number] = 0
                for slice_ in order:
                    self._learn(shard, number, self.partition[shard][slice_], task)
        self._elect()

    def delete(self, index: int) -> bool:
        """Forget an example of the pool: True if switching layers off was enough, False if all had to learn again."""
        if (found := place(self.partition, index)) is None:
            return True  # never learned
        shard, slice_ = found
        self.partition[shard][slice_].remove(index)
        del self.rows[index]
        for number, order in enumerate(self.orders[shard]):
            left = min(self.alive[shard][number], order.index(slice_))
            for part in self.parts(shard, number, self.slices)[left : self.alive[shard][number]]:
                self.voters.erase(part)
            self.alive[shard][number] = left
        self._elect()
        if self.voters.votes:
            return True
        self.learn(None)
        return False

    def _learn(self, shard: int, order: int, indices: Sequence[int], task: UnlearningTask | None) -> None:
        """Teach the next place of an order."""
        parts = self.parts(shard, order, self.alive[shard][order] + 1)
        self.voters.restore(parts[-1], self.kept[parts[-1]])
        self.teach(parts, indices, task)
        self.alive[shard][order] += 1

    def _elect(self) -> None:
        """Of each shard, the order with the most parts alive votes, the first of equals."""
        self.voters.votes = []
        for shard, alive in enumerate(self.alive):
            if (most := max(alive)) > 0:
                self.voters.votes.append(self.parts(shard, alive.index(most), most))
