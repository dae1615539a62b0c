"""Control: SISA (Bourtoule et al., 2021), https://arxiv.org/abs/1912.03817, with LoRA adapters as the models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from bench.contract import Card, Limits, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, best_rate, rates_for
from methods.lm_finetuning.unlearning._voters import PartLearner, Voters, place, split
from suites._language.adapters import decoder_linears
from suites._training.training import Curve, Learner, Trainer, train
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.examples import Example
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import unsupported


@dataclass(frozen=True)
class SISA(Method[FineTuningTask]):
    """Sharded, isolated, sliced, aggregated training: a deletion trains again only what has seen the example.

    The examples are cut into shards, each with an adapter of its own; the adapters' probabilities are averaged. A shard
    is cut into slices that its adapter learns one after the other; its weights are kept after each. A deleted example's
    shard goes back to what was kept before its slice, and learns on from there without the example.

    shards, slices: of each shard. batch: examples of a step: fewer than elsewhere, as a slice has a few dozen.
    rank, alpha_over_rank: of the adapters, as in `lora`.
    """

    card = Card(
        slug="sisa",
        suite="lm-finetuning",
        title="SISA",
        paper="Control: Bourtoule et al., 2021. Machine Unlearning",
        url="https://arxiv.org/abs/1912.03817",
        control=True,
        stochastic=True,
        notes="The models are LoRA adapters on one base, which are switched, instead of whole networks. A slice is "
        "learned once, alone; the paper learns all slices so far at each stage, which passes the budget of tokens. The "
        "optimizer starts anew with each slice, so that what is kept of a stage is the adapter. The learning rate is "
        "chosen once and stays, as the paper has it for hyper-parameters; the search for it has seen examples that may "
        "be deleted later. The variant full-retraining has one shard of one slice: every deletion trains from the "
        "beginning. Tokens of training again are counted apart from the budget.",
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

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        return unsupported(task, ["unlearn"])

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        service = Service(self, task, best_rate(task, lambda: self._trial(task), rates_for(task, self)))
        service.learn()
        return Tuned(
            model=service.voters.eval(),
            shipped=service.voters.shipped(),
            trainer=Trainer(PartLearner(service.voters, service.voters.votes[0])),
            rate=service.rate,
            curve=service.curve,
            delete=service.delete,
        )

    def _trial(self, task: FineTuningTask) -> Learner:
        voters = self.voters(task)
        voters.add("trial", decoder_linears(task.model), task.seed)
        return PartLearner(voters, ["trial"])

    def voters(self, task: FineTuningTask) -> Voters:
        """The base, with no adapter yet."""
        return Voters(task.copied(), rank=self.rank, alpha=self.alpha_over_rank * self.rank, most=self.shards)


class Service:
    """The shards, their slices (indices of the pool) and what is kept of the adapters before each slice."""

    def __init__(self, method: SISA, task: FineTuningTask, rate: float) -> None:
        self.task, self.rate, self.batch = task, rate, method.batch
        self.pool: Sequence[Example] = task.pool()
        self.partition = split(range(len(self.pool)), method.shards, method.slices)
        self.voters = method.voters(task)
        self.curve = Curve()
        self.kept: list[list[list[Tensor]]] = []
        for number in range(method.shards):
            self.voters.add(_name(number), decoder_linears(task.model), task.seed)
            self.voters.votes.append((_name(number),))
            self.kept.append([self.voters.state(_name(number))])

    def learn(self) -> None:
        """Every shard, from its first slice."""
        for number in range(len(self.partition)):
            self.curve.losses += self._learn(number, 0, "training")

    def delete(self, index: int) -> bool:
        """Forget an example of the pool by training its shard again from its slice on. False: that took training."""
        if (found := place(self.partition, index)) is None:
            raise ValueError(f"example {index} has been deleted before, or is none of the {len(self.pool)} of the pool")
        shard, first = found
        self.partition[shard][first].remove(index)
        self.voters.restore(_name(shard), self.kept[shard][first])
        del self.kept[shard][first + 1 :]
        self._learn(shard, first, "retraining")
        return False

    def _learn(self, shard: int, first: int, use: str) -> list[float]:
        """Learn the slices from `first` on; the losses of the steps."""
        losses: list[float] = []
        for indices in self.partition[shard][first:]:
            batches = self.task.batches_of([self.pool[i] for i in indices], use, self.batch)
            losses += train(Trainer(PartLearner(self.voters, [_name(shard)])), batches, self.rate).losses
            self.kept[shard].append(self.voters.state(_name(shard)))
        return losses


def _name(shard: int) -> str:
    return f"shard{shard}"
