"""How far a removal moves a decoder: the features of the later blocks (the trajectory), and the logits.

Features are compared by their Gram matrices over all positions of the text, of unit vectors: what is compared is how
tokens lie to each other (manifold distillation; Khaki and Plataniotis, 2024, section 3). Logits are compared by the
KL divergence of the next token. Both are sums, over blocks or positions.

A removal's effect can be measured by running the model without (`Decoder.effect`), or estimated for all neurons at
once. Both distances are zero at the dense model and smooth, so to second order a removal that changes the Gram matrices
by J d and the logits by z costs |J d|^2 and z' F z / 2, with F the Fisher matrix of the softmax. For v of independent
entries of unit variance the mean of (v' J d)^2 is |J d|^2, and v' J is one backward pass, which serves every d
(Hutchinson, 1989). A neuron's d is its activation times its output column, at every position.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, normalize

from methods.lm_compression.structured_pruning._cut import layers
from suites._language.blocks import first_inputs


@dataclass(frozen=True)
class Effect:
    """What removals cost: squared change of the later Gram matrices, and KL divergence in nats, both summed; of one
    removal (), or of many (removals,), float32."""

    trajectory: Tensor
    divergence: Tensor


class Decoder:
    """The dense model over windows (count, length): what enters and leaves each block, Gram matrices and logits."""

    def __init__(self, model: Any, windows: Tensor) -> None:
        self.model: Any = model
        self.blocks: list[Any] = list(layers(model))
        states, self.context = first_inputs(model, windows)
        self.states = [states]
        with torch.no_grad():
            for block in self.blocks:
                self.states.append(block(self.states[-1], **self.context))
            self.grams = [gram(state) for state in self.states[1:]]
            self.log_probabilities = log_softmax(self.logits(self.states[-1]), dim=-1)

    def logits(self, states: Tensor) -> Tensor:
        """float32 (positions, vocabulary) of the final residual stream."""
        logits: Tensor = self.model.get_output_embeddings()(self.model.get_decoder().norm(states))
        return logits.flatten(0, 1).float()

    @torch.no_grad()
    def effect(self, index: int, projection: nn.Linear, channels: Tensor) -> Effect:
        """Measured: these input channels of a projection of block `index` are silenced."""

        def silence(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            return (inputs[0].index_fill(-1, channels.to(inputs[0].device), 0),)

        with ExitStack() as stack:
            stack.callback(projection.register_forward_pre_hook(silence).remove)
            states = self.blocks[index](self.states[index], **self.context)
        trajectory = torch.zeros((), device=states.device)
        for later in range(index, len(self.blocks)):
            if later > index:
                states = self.blocks[later](states, **self.context)
            if self.counts(index, later):
                trajectory += (gram(states) - self.grams[later]).square().sum()
        changed = log_softmax(self.logits(states), dim=-1)
        divergence = kl_div(changed, self.log_probabilities, reduction="sum", log_target=True)
        return Effect(trajectory.cpu(), divergence.clamp_min(0).cpu())

    def counts(self, index: int, later: int) -> bool:
        """Whether the features of block `later` are of the trajectory of a removal in block `index`: the blocks after
        it; the last block, which has none after it, counts its own."""
        return later > index or index == len(self.blocks) - 1

    @torch.no_grad()
    def estimate(self, probes: int, generator: torch.Generator) -> list[Effect]:
        """Estimated to second order, for every neuron: (neurons,) per block; relative error about sqrt(2 / probes)."""
        seen: list[Tensor] = []

        def see(_: nn.Module, inputs: tuple[Tensor]) -> None:
            seen.append(inputs[0])

        projections = [block.mlp.down_proj for block in self.blocks]
        with ExitStack() as stack, torch.enable_grad():
            for projection in projections:
                stack.callback(projection.register_forward_pre_hook(see).remove)
            outputs = [self.states[0].detach().requires_grad_(True)]
            for block in self.blocks:
                outputs.append(block(outputs[-1], **self.context))
            logits = self.logits(outputs[-1])
        trajectory = [torch.zeros(projection.in_features, device=logits.device) for projection in projections]
        divergence = [torch.zeros_like(part) for part in trajectory]
        for _ in range(probes):
            pulls = [self._pull(state, generator) for state in outputs[1:]]
            gradients = torch.autograd.grad(outputs[1:], seen, pulls, retain_graph=True)
            for index, (inputs, gradient) in enumerate(zip(seen, gradients, strict=True)):
                # The pull on the block's own features has come this way, too; a removal's trajectory is without it.
                own = 0 if self.counts(index, index) else pulls[index] @ projections[index].weight
                trajectory[index] += _along(inputs, gradient - own).square() / probes
            gradients = torch.autograd.grad(logits, seen, self._fisher_probe(generator), retain_graph=True)
            for index, (inputs, gradient) in enumerate(zip(seen, gradients, strict=True)):
                divergence[index] += _along(inputs, gradient).square() / (2 * probes)
        return [Effect(*(part.cpu() for part in parts)) for parts in zip(trajectory, divergence, strict=True)]

    def _pull(self, state: Tensor, generator: torch.Generator) -> Tensor:
        """Gradient of <V, Gram> with regard to the features, for V of random signs: the shape of the features."""
        with torch.enable_grad():
            free = state.detach().requires_grad_(True)
            matrix = gram(free)
            signs = _signs(matrix.shape, generator).to(matrix.device)
            (pull,) = torch.autograd.grad((matrix * signs).sum(), free)
        return pull

    def _fisher_probe(self, generator: torch.Generator) -> Tensor:
        """v of (positions, vocabulary) with mean v v' = F at every position: one-hot of a drawn token less the
        probabilities, with a random sign that makes positions independent."""
        probabilities = self.log_probabilities.exp()
        drawn = torch.multinomial(probabilities.cpu(), 1, generator=generator).to(probabilities.device)
        signs = _signs((len(drawn), 1), generator).to(probabilities.device)
        return -probabilities.scatter_add(1, drawn, -torch.ones_like(probabilities[:, :1])) * signs


def gram(states: Tensor) -> Tensor:
    """Inner products of the unit vectors of all positions: float32 (positions, positions)."""
    unit = normalize(states.flatten(0, 1).float(), dim=-1)
    return unit @ unit.T


def _along(inputs: Tensor, gradient: Tensor) -> Tensor:
    """Derivative by a factor on each channel, the same at every position: float32 (channels,)."""
    return (inputs.detach().float() * gradient.float()).flatten(0, -2).sum(0)


def _signs(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, tuple(shape), generator=generator).float() * 2 - 1
