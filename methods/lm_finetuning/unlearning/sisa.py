"""Control: SISA (Bourtoule et al., 2021), https://arxiv.org/abs/1912.03817, with LoRA adapters as the models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from bench.contract import Built, Card, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, best_rate, built, rates_for
from methods.lm_finetuning.unlearning._voters import PartLearner, Voters, VotingService, place, split
from suites._language.adapters import decoder_linears
from suites._training.loop import Curve
from suites._training.trainer import Trainer
from suites.lm_finetuning.unlearn import UnlearningTask


@dataclass(frozen=True)
class SISA(Method[UnlearningTask]):
    """Sharded, isolated, sliced, aggregated training: a deletion trains again only what has seen the example.

    The examples are cut into shards, each with an adapter of its own; the adapters' probabilities are averaged. A shard
    is cut into slices that its adapter learns one after the other; its weights are kept after each. A deleted example's
    shard goes back to what was kept before its slice, and learns on from there without the example.

    shards, slices: of each shard. batch: examples of a step: fewer than elsewhere, as a slice has a few dozen.
    rank, alpha_over_rank: of the adapters, as in `lora`.
    """

    card = Card(
        slug="sisa",
        title="SISA",
        problems=("unlearn",),
        paper="Control: Bourtoule et al., 2021. Machine Unlearning",
        url="https://arxiv.org/abs/1912.03817",
        control=True,
        stochastic=True,
        differences=(
            "The models are LoRA adapters on one base, which are switched, not whole networks.",
            "A slice is learned once, alone; the paper learns all slices so far at each stage.",
            "The optimizer starts anew with each slice, so that a checkpoint is the adapter alone.",
            (
                "The learning rate is chosen once, as the paper has it for hyper-parameters; the search for it has "
                "seen examples that may be deleted later."
            ),
        ),
        notes="`full-retraining` has one shard of one slice: every deletion trains from the beginning. Tokens of "
        "training again are counted apart from the budget.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "full-retraining": {"shards": 1, "slices": 1},
    }

    shards: int = 2
    slices: int = 4
    batch: int = 4
    rank: int = 8
    alpha_over_rank: float = 2.0
    rate: float = 3e-3
    rates: tuple[float, ...] = ADAPTER_RATES

    def build(self, task: UnlearningTask) -> Built:
        service = Service(self, task, best_rate(task, lambda: self._trial(task), rates_for(task, self)))
        service.learn(task)
        trainer = Trainer(PartLearner(service.voters, service.voters.votes[0]))
        return built(task, service, trainer, Curve(service.losses), service.rate)

    def _trial(self, task: UnlearningTask) -> PartLearner:
        voters = self.voters(task)
        voters.add("trial", decoder_linears(task.model), task.seed)
        return PartLearner(voters, ["trial"])

    def voters(self, task: UnlearningTask) -> Voters:
        """The base, with no adapter yet."""
        return Voters(task.copied(), rank=self.rank, alpha=self.alpha_over_rank * self.rank, most=self.shards)


class Service(VotingService):
    """The shards, their slices (indices of the pool) and what is kept of the adapters before each slice."""

    def __init__(self, method: SISA, task: UnlearningTask, rate: float) -> None:
        super().__init__(task, method.voters(task), rate, method.batch)
        self.partition = split(range(len(self.pool)), method.shards, method.slices)
        self.kept: list[list[list[Tensor]]] = []
        for number in range(method.shards):
            self.add(_name(number), decoder_linears(task.model))
            self.voters.votes.append((_name(number),))
            self.kept.append([self.voters.state(_name(number))])

    def learn(self, task: UnlearningTask) -> None:
        """Every shard, from its first slice."""
        for number in range(len(self.partition)):
            self._learn(number, 0, task)

    def delete(self, index: int) -> bool:
        """Forget an example of the pool by training its shard again from its slice on. False: that took training."""
        if (found := place(self.partition, index)) is None:
            raise ValueError(f"example {index} has been deleted before, or is none of the {len(self.pool)} of the pool")
        shard, first = found
        self.partition[shard][first].remove(index)
        del self.rows[index]
        self.voters.restore(_name(shard), self.kept[shard][first])
        del self.kept[shard][first + 1 :]
        self._learn(shard, first, None)
        return False

    def _learn(self, shard: int, first: int, task: UnlearningTask | None) -> None:
        """Learn the slices from `first` on."""
        for indices in self.partition[shard][first:]:
            self.teach([_name(shard)], indices, task)
            self.kept[shard].append(self.voters.state(_name(shard)))


def _name(shard: int) -> str:
    return f"shard{shard}"
