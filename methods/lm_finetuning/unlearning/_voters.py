"""Voters on one base: adapters that are switched on in turn, and an answer that is their mean; and what they forget."""

import copy
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast

from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.lm_finetuning.batches import Batch, Row, padding, side_by_side
from suites.lm_finetuning.learning import AnswerLearner, answer_loss
from suites.lm_finetuning.unlearn import Service, UnlearningTask


class Voters(nn.Module):
    """A language model whose next-token probabilities are the mean of its voters'. Called as the base is; its logits
    are the logarithm of that mean.

    A part is a LoRA (Hu et al., 2021; by peft) of some layers. A voter is the base with some parts switched on: `votes`
    lists the parts of each. Without voters the base answers. The base's weights are there once.
    most: voters that there can be; the KV cache has the layers of so many.
    """

    def __init__(self, base: Any, *, rank: int, alpha: float, most: int) -> None:
        super().__init__()
        self.rank, self.alpha, self.most = rank, alpha, most
        self.base = base.requires_grad_(False)
        self.votes: list[tuple[str, ...]] = []
        self.blocks = len(base.get_decoder().layers)
        self.config = copy.deepcopy(base.config)
        self.config.num_hidden_layers = self.blocks * most
        if getattr(self.config, "layer_types", None):
            self.config.layer_types = list(self.config.layer_types) * most
        self._peft: list[PeftModel] = []  # in a list, so that the base is no submodule twice

    def add(self, part: str, layers: Sequence[str], seed: int) -> None:
        """A new part on these layers, an update of zero; its random matrices are drawn from the seed and its name."""
        config = LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=list(layers))
        with torch.random.fork_rng():
            torch.manual_seed(random.Random(f"{part} {seed}").getrandbits(48))
            if self._peft:
                self._peft[0].add_adapter(part, config)
            else:
                self._peft.append(PeftModel(self.base, config, adapter_name=part))
        self.switch(())

    def weights(self, part: str) -> dict[str, nn.Parameter]:
        """The matrices A (rank, inputs) and B (outputs, rank) of a part, by layer."""
        found = {}
        for name, layer in self.base.named_modules():
            if isinstance(layer, LoraLayer) and part in layer.lora_A:
                found[f"{name}.a"], found[f"{name}.b"] = layer.lora_A[part].weight, layer.lora_B[part].weight
        return found

    def state(self, part: str) -> list[Tensor]:
        """A copy of a part's matrices."""
        return [weight.detach().clone() for weight in self.weights(part).values()]

    @torch.no_grad()
    def restore(self, part: str, state: Sequence[Tensor]) -> None:
        """Give a part these matrices."""
        for weight, kept in zip(self.weights(part).values(), state, strict=True):
            weight.copy_(kept)

    @torch.no_grad()
    def erase(self, part: str) -> None:
        """Leave nothing of what a part has learned."""
        for weight in self.weights(part).values():
            weight.zero_()

    def switch(self, parts: Sequence[str], trained: str | None = None) -> None:
        """Switch these parts on and all others off; only those of `trained` have gradients."""
        self._peft[0].base_model.set_adapter(list(parts), inference_mode=True)
        for weight in self.weights(trained).values() if trained else ():
            weight.requires_grad_(True)

    def shipped(self) -> dict[str, Tensor]:
        """The parts of all voters."""
        parts = dict.fromkeys(part for vote in self.votes for part in vote)
        return {f"{part}.{name}": w.detach() for part in parts for name, w in self.weights(part).items()}

    def forward(self, input_ids: Tensor, **call: Any) -> CausalLMOutputWithPast:
        cache = call.pop("past_key_values", None)
        if call.get("use_cache") and cache is None:
            cache = DynamicCache(config=self.config)
        found = []
        votes: list[tuple[str, ...]] = self.votes or [()]
        for number, parts in enumerate(votes):
            self.switch(parts)
            found.append(self.base(input_ids=input_ids, past_key_values=self._part_of(cache, number), **call).logits)
        if len(found) == 1:
            return CausalLMOutputWithPast(logits=found[0], past_key_values=cache)
        log_probs = torch.stack([logits.float().log_softmax(-1) for logits in found])
        mean = torch.logsumexp(log_probs, 0) - torch.tensor(float(len(found))).log()
        return CausalLMOutputWithPast(logits=mean.to(found[0].dtype), past_key_values=cache)

    def _part_of(self, cache: Any, number: int) -> Any:
        """A voter's own layers of the cache; what is added to them stays there."""
        if cache is None:
            return None
        own = copy.copy(cache)
        own.layers = cache.layers[number * self.blocks : (number + 1) * self.blocks]
        return own


class PartLearner(AnswerLearner):
    """The last of these parts learns, while they all are switched on."""

    def __init__(self, voters: Voters, parts: Sequence[str]) -> None:
        super().__init__(voters.base)
        self.voters, self.parts = voters, tuple(parts)
        self.switch()

    def switch(self) -> None:
        self.voters.switch(self.parts, trained=self.parts[-1])

    def trained(self) -> list[nn.Parameter]:
        return list(self.voters.weights(self.parts[-1]).values())

    def loss(self, batch: Batch) -> Tensor:
        self.switch()
        return answer_loss(self.model, batch)


@dataclass(frozen=True)
class Parts:
    """Voters without their base: the arguments that they are made with, who votes, and each part's layers and
    matrices."""

    rank: int
    alpha: float
    most: int
    votes: Sequence[tuple[str, ...]]
    layers: Mapping[str, Sequence[str]]
    weights: Mapping[str, Sequence[Tensor]]

    @classmethod
    def of(cls, voters: Voters, layers: Mapping[str, Sequence[str]]) -> "Parts":
        weights = {part: voters.state(part) for part in layers}
        return cls(voters.rank, voters.alpha, voters.most, list(voters.votes), dict(layers), weights)

    def on(self, base: Any) -> Voters:
        """Voters on another base, which is theirs from now on."""
        voters = Voters(base, rank=self.rank, alpha=self.alpha, most=self.most)
        for part, layers in self.layers.items():
            voters.add(part, layers, seed=0)  # whatever is drawn, it is replaced
            voters.restore(part, self.weights[part])
        voters.votes = list(self.votes)
        return voters.eval()


class VotingService(Service):
    """Voters that learn the examples of a pool, and forget them.

    It is written to disk without the base: until it is applied to one, its `voters` are Parts alone. rows: the examples
    that it was given, by their index in the pool. losses: of all steps so far.
    """

    voters: Any

    def __init__(self, task: UnlearningTask, voters: Voters, rate: float, batch: int) -> None:
        self.voters, self.rate, self.batch, self.seed = voters, rate, batch, task.seed
        self.pool = task.pool()
        self.rows: dict[int, Row] = {}
        self.losses: list[float] = []
        self._pad = padding(task.tokenizer)
        self._layers: dict[str, Sequence[str]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "voters": self._parts()}

    def _parts(self) -> Parts:
        return self.voters if isinstance(self.voters, Parts) else Parts.of(self.voters, self._layers)

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return self.voters.shipped()

    def applied(self, base: Any) -> Any:
        self.voters = self._parts().on(copy.deepcopy(base))
        return self.voters

    def add(self, part: str, layers: Sequence[str]) -> None:
        """A new part on these layers."""
        self._layers[part] = list(layers)
        self.voters.add(part, layers, self.seed)

    def teach(self, parts: Sequence[str], indices: Sequence[int], task: UnlearningTask | None) -> None:
        """Train the last of these parts on examples of the pool, in their order; drawn from the task, or with what is
        there already."""
        if task is not None:
            self.rows |= zip(indices, task.rows([self.pool[index] for index in indices]), strict=True)
        rows = [self.rows[index] for index in indices]
        device = next(self.voters.parameters()).device
        batches = [
            side_by_side(rows[start : start + self.batch], self._pad, device)
            for start in range(0, len(rows), self.batch)
        ]
        self.losses += train(Trainer(PartLearner(self.voters, parts)), batches, self.rate).losses


def split(indices: Sequence[int], shards: int, slices: int) -> list[list[list[int]]]:
    """The indices of each slice of each shard, sizes as equal as can be, in their order."""
    return [_cut(shard, slices) for shard in _cut(indices, shards)]


def _cut(indices: Sequence[int], parts: int) -> list[list[int]]:
    edges = [round(len(indices) * part / parts) for part in range(parts + 1)]
    return [list(indices[low:high]) for low, high in itertools.pairwise(edges)]


def place(partition: Sequence[Sequence[Sequence[int]]], index: int) -> tuple[int, int] | None:
    """(shard, slice) that holds an index, or None."""
    for shard, slices in enumerate(partition):
        for number, held in enumerate(slices):
            if index in held:
                return shard, number
    return None


def layer_groups(layers: Sequence[str], blocks: int, groups: int) -> list[list[str]]:
    """The layers (names with the number of their block) of each group of neighbouring blocks, from the top down."""
    chosen = []
    for numbers in _cut(range(blocks)[::-1], groups):
        marks = tuple(f".{number}." for number in numbers)
        chosen.append([name for name in layers if any(mark in name for mark in marks)])
    return chosen


def prefix_within(lengths: Sequence[int], allowed: int, times: int) -> int:
    """How many of the first examples, of these lengths in tokens, can be trained on so many times."""
    seen = 0
    for count, length in enumerate(lengths):
        seen += length
        if seen * times > allowed:
            return count
    return len(lengths)
