"""Peak memory of a training step, tensor by tensor: the same number on every machine of one kind, free of noise."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from suites._training.learner import BatchT
from suites._training.trainer import Trainer


def step_memory(trainer: Trainer[BatchT], batch: BatchT) -> dict[str, float]:
    """Bytes alive at the peak of one training step over `batch`: "total", and of it "weights" (of the model
    and of what its learner reads besides), "optimizer" (state and 32-bit copies), and "step": gradients, activations
    and what is passing. No weight moves.
    """
    trainer.probe(batch)  # the optimizer's state is there from the first step on
    models = [trainer.learner.model, *trainer.learner.references]
    weights = _bytes(tensor for model in models for tensor in [*model.parameters(), *model.buffers()])
    optimizer = float(trainer.optimizer_bytes)
    with _Alive() as alive:
        trainer.probe(batch)
    return {
        "total": weights + optimizer + alive.peak,
        "weights": weights,
        "optimizer": optimizer,
        "step": float(alive.peak),
    }


def _bytes(tensors: Iterable[Tensor]) -> float:
    """Of the distinct storages."""
    found = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return float(sum(found.values()))


class _Alive(TorchDispatchMode):
    """Bytes of the storages that operators made and that are still there; `peak`: the most at any time.

    (torch's own MemTracker hooks modules and fails on frozen ones, whose outputs have no gradient.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor) and id(leaf.untyped_storage()) not in given:
                self._take(leaf.untyped_storage())
        return made

    def _take(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._known:
            return

        def gone(_: Any) -> None:
            self.now -= size
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)
