"""A decoder, block by block over calibration text: each block sees what the blocks before it give, as they are by then.

The model that is walked is a candidate's copy: blocks may be changed on the way, and later ones are calibrated on it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


class _Reached(Exception):
    pass


@torch.no_grad()
def first_inputs(model: Any, windows: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """What enters the first block for windows (count, length): the residual stream (count, length, hidden), and the
    keyword arguments (mask, rotary embeddings...) that every block gets with one window. `model` is left unchanged.
    """
    caught: dict[str, Any] = {}

    def catch(_: nn.Module, args: tuple[Any, ...], context: dict[str, Any]) -> None:
        caught.update(context)
        raise _Reached

    decoder = model.get_decoder()
    handle = decoder.layers[0].register_forward_pre_hook(catch, with_kwargs=True)
    try:
        decoder(input_ids=windows[:1], use_cache=False)
    except _Reached:
        pass
    finally:
        handle.remove()
    return model.get_input_embeddings()(windows), caught


@dataclass
class BlockOverText:
    """A block and what enters it. states: (windows, length, hidden)."""

    index: int
    block: Any
    states: Tensor
    context: dict[str, Any]
    batch: int

    @torch.no_grad()
    def outputs(self) -> Tensor:
        """What leaves the block as it is now: (windows, length, hidden)."""
        return torch.cat([self.block(part, **self.context) for part in self.states.split(self.batch)])

    @torch.no_grad()
    def observe(self, linears: Sequence[nn.Module], see: Sequence[Callable[[Tensor], None]]) -> Tensor:
        """Run the block, and hand the input of each of these layers, (batch, length, in), to the function beside it.

        Returns the outputs of the block. Raises FloatingPointError, with the layer's name, for an input that is not
        finite: nothing can be fitted to it.
        """
        names = {module: name for name, module in self.block.named_modules()}

        def hook(function: Callable[[Tensor], None]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                finite = inputs[0].isfinite()
                if not finite.all():
                    raise FloatingPointError(
                        f"block {self.index}: {int((~finite).sum())} of {finite.numel()} inputs of {names[module]} are "
                        "not finite; the model overflows on this text, or what was changed before the block broke it"
                    )
                function(inputs[0])

            return look

        with ExitStack() as stack:
            for linear, function in zip(linears, see, strict=True):
                stack.callback(linear.register_forward_pre_hook(hook(function)).remove)
            return self.outputs()


@torch.no_grad()
def walk_blocks(model: Any, windows: Tensor, batch: int = 8) -> Iterator[BlockOverText]:
    """Yield the blocks of `model` in order, each with what enters it over windows (count, length).

    What is done to a block before the next one is asked for is what the next one sees.
    """
    states, context = first_inputs(model, windows)
    for index, block in enumerate(model.get_decoder().layers):
        step = BlockOverText(index, block, states, context, batch)
        yield step
        states = step.outputs()
