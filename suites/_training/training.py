"""How a model learns here: one loop and one training step for all, so that methods differ in what they are.

A method derives a `Learner` that says what trains and what happens around a step. The `Trainer` makes the steps. It
stays with the candidate: the suite weighs and times one more step of it.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.reading import answer_logits

WARM_UP = 0.1
CLIP = 1.0
STAGES = 4
"""How often the loss over the validation examples is taken while a model learns."""


@dataclass(frozen=True)
class Moment:
    """Step number `step` of `steps`. done: the part of the training that is over, by its steps or by its clock,
    whichever is further on."""

    step: int
    steps: int
    done: float = 0.0


class Learner:
    """A model while it learns. Methods derive from it what they do otherwise.

    model: called as the base is; what requires a gradient trains. 16-bit weights that train are kept in 32 bits too.
    references: frozen models that a step reads besides (a teacher, say); they are weighed with it.
    """

    references: Sequence[nn.Module] = ()

    def __init__(self, model: Any) -> None:
        self.model = model

    def trained(self) -> list[nn.Parameter]:
        """What trains now. May change from step to step: the optimizer forgets what is gone."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def optimizer(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        """One for these weights; the trainer sets the rate of its groups, times their "scale" if they have one."""
        return torch.optim.AdamW(weights, lr=0.0, weight_decay=0.0)

    def loss(self, batch: Batch) -> Tensor:
        """What the data say: a scalar."""
        return answer_loss(self.model, batch)

    def penalty(self) -> Tensor | None:
        """What is added to the loss besides."""
        return None

    def before_step(self, moment: Moment) -> None:
        """Before the forward pass."""

    def before_update(self, moment: Moment) -> None:
        """When the weights have their gradients."""

    def after_update(self, moment: Moment) -> None:
        """When the weights have moved."""


def answer_loss(model: Any, batch: Batch) -> Tensor:
    """Mean cross entropy of the answers' tokens, nats."""
    return cross_entropy(answer_logits(model, batch).float(), batch.wanted)


class Trainer:
    """Makes training steps of a learner: forward, backward, clipping to the norm CLIP, update.

    rows: examples that go through the model at a time, all of a batch if None. Fewer need less memory for activations;
    the gradient is the same (of `answer_loss`, up to rounding).
    """

    def __init__(self, learner: Learner, rows: int | None = None) -> None:
        self.learner, self.rows = learner, rows
        self._trained: list[nn.Parameter] = []
        self._masters: list[Tensor] = []
        self._optimizer: torch.optim.Optimizer | None = None

    def step(self, batch: Batch, rate: float, moment: Moment) -> float:
        """One step with the learning rate `rate`; the loss before it."""
        self.learner.before_step(moment)
        self._follow()
        loss = self._backward(batch)
        self.learner.before_update(moment)
        self._update(rate)
        self.learner.after_update(moment)
        return loss.item()

    def probe(self, batch: Batch) -> Tensor:
        """The loss, and all the work of a step, that moves no weight: for the suite, to time and to weigh."""
        self._follow()
        loss = self._backward(batch)
        self._update(0.0)
        return loss

    @property
    def optimizer_bytes(self) -> int:
        """Bytes of the optimizer's state and of the 32-bit copies of 16-bit weights."""
        tensors = [master for master, weight in self.pairs if master is not weight]
        for state in self._optimizer.state.values() if self._optimizer else ():
            tensors += [value for value in state.values() if torch.is_tensor(value)]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        return self._optimizer

    @property
    def pairs(self) -> list[tuple[Tensor, nn.Parameter]]:
        """What the optimizer moves, and the weight that it stands for (itself where that has 32 bits)."""
        return list(zip(self._masters, self._trained, strict=True))

    def _follow(self) -> None:
        """Take up what trains now; what trained before and no longer does loses its copy and its state."""
        trained = self.learner.trained()
        if self._optimizer is not None and list(map(id, trained)) == list(map(id, self._trained)):
            return
        known = {id(weight): master for master, weight in self.pairs}
        masters = [known[id(weight)] if id(weight) in known else _master(weight) for weight in trained]
        optimizer = self.learner.optimizer(masters)
        if self._optimizer is not None:
            for master in masters:
                if master in self._optimizer.state:
                    optimizer.state[master] = self._optimizer.state[master]
        self._trained, self._masters, self._optimizer = trained, masters, optimizer

    def _backward(self, batch: Batch) -> Tensor:
        total = torch.zeros((), device=batch.input_ids.device)
        for part in batch.split(self.rows or len(batch.tasks)):
            loss = self.learner.loss(part) * (part.taught / batch.taught)
            loss.backward()
            total += loss.detach()
        if (penalty := self.learner.penalty()) is not None:
            penalty.backward()
        return total

    @torch.no_grad()
    def _update(self, rate: float) -> None:
        assert self._optimizer is not None
        for master, weight in self.pairs:
            if master is not weight:
                master.grad = None if weight.grad is None else weight.grad.float()
                weight.grad = None
        torch.nn.utils.clip_grad_norm_(self._masters, CLIP)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        self._optimizer.step()
        for master, weight in self.pairs:
            if master is not weight and rate:
                weight.copy_(master)
            master.grad = None


def _master(weight: nn.Parameter) -> Tensor:
    """What the optimizer moves: the weight itself, or a copy of 32 bits, as steps are smaller than 16 bits can hold."""
    return weight if weight.dtype == torch.float32 else weight.detach().float().clone()


@dataclass
class Curve:
    """How a training went. losses: of each step. validation: loss over the validation examples at the start and after
    each of STAGES equal parts; tokens, seconds: trained on by then (the seconds without the validation)."""

    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def train(
    trainer: Trainer,
    batches: Sequence[Batch],
    rate: float,
    *,
    validation: Sequence[Batch] = (),
    seconds: float | None = None,
) -> Curve:
    """Train on the batches in order: linear warm-up over the share WARM_UP, then linear decay to zero.

    seconds: stop when they are over; the decay then follows whichever of steps and time is further on.
    The model ends in eval mode, without gradients. Raises FloatingPointError when a loss is not finite.
    """
    curve, spent, seen = Curve(), 0.0, 0
    model = trainer.learner.model
    marks = {round(part * len(batches) / STAGES) for part in range(STAGES + 1)}

    def look() -> None:
        curve.validation.append(validation_loss(trainer.learner, validation))
        curve.tokens.append(seen)
        curve.seconds.append(spent)

    for index, batch in enumerate(batches):
        if validation and index in marks:
            look()
        start = time.perf_counter()
        share = (index + 1) / len(batches)
        left = 1 - index / len(batches) if seconds is None else min(1 - index / len(batches), 1 - spent / seconds)
        if left <= 0:
            break
        model.train()
        moment = Moment(index, len(batches), 1 - left)
        loss = trainer.step(batch, rate * min(1.0, share / WARM_UP, left / (1 - WARM_UP)), moment)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} after {index} steps at the learning rate {rate:g}")
        spent += time.perf_counter() - start
        seen += batch.tokens
        curve.losses.append(loss)
    model.eval()
    if validation:
        look()
    return curve


@torch.no_grad()
def validation_loss(learner: Learner, batches: Sequence[Batch]) -> float:
    """Mean of the answers' cross entropy over batches, nats."""
    learner.model.eval()
    return sum(float(answer_loss(learner.model, batch)) for batch in batches) / len(batches)
