"""The training step: one for all, so that methods differ in what they are."""

from typing import Generic

import torch
from torch import Tensor, nn

from suites._training.learner import BatchT, Learner, Moment

CLIP = 1.0


class Trainer(Generic[BatchT]):
    """Makes training steps of a learner: forward, backward, clipping to the norm `clip`, update.

    rows: examples that go through the model at a time, all of a batch if None. Fewer need less memory for activations;
    the gradient is the same, up to rounding, where the loss is a mean. steps: made so far.
    """

    def __init__(self, learner: Learner[BatchT], rows: int | None = None, clip: float = CLIP) -> None:
        self.learner, self.rows, self.clip = learner, rows, clip
        self.steps = 0
        self._trained: list[nn.Parameter] = []
        self._masters: list[Tensor] = []
        self._optimizer: torch.optim.Optimizer | None = None

    def step(self, batch: BatchT, rate: float, moment: Moment) -> float:
        """One step with the learning rate `rate`; the loss before it."""
        self.learner.before_step(moment)
        self._follow()
        loss = self._backward(batch)
        self.learner.before_update(moment)
        self._update(rate)
        self.learner.after_update(moment)
        self.steps += 1
        return loss.item()

    def probe(self, batch: BatchT) -> Tensor:
        """The loss, and the work of a step that moves no weight: to be weighed."""
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

    def _backward(self, batch: BatchT) -> Tensor:
        total = torch.zeros((), device=self._masters[0].device)
        for part, share in batch.parts(self.rows):
            loss = self.learner.loss(part) * share
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
        torch.nn.utils.clip_grad_norm_(self._masters, self.clip)
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
