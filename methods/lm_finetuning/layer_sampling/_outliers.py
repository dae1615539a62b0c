"""How many outliers a block has: the layerwise outlier distribution of OWL (Yin et al., 2024), 2310.05175."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from suites._language.adapters import decoder_linears
from suites.lm_finetuning.batches import Batch


@torch.no_grad()
def outlier_shares(model: Any, batches: Sequence[Batch], times: float) -> Tensor:
    """Share of each block's weights that stand out, float64 (blocks,), on the CPU.

    A weight counts as its magnitude times the norm of its input over the tokens of `batches`; it stands out when that
    is more than `times` the mean over all linear layers of its block.
    """
    energy: dict[nn.Module, Tensor] = {}

    def take(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        squares = inputs[0].detach().float().square().flatten(0, -2).sum(0)
        energy[module] = energy.get(module, torch.zeros_like(squares)) + squares

    linears = [model.get_submodule(name) for name in decoder_linears(model)]
    hooks = [module.register_forward_pre_hook(take) for module in linears]
    try:
        for batch in batches:
            for example in batch.split(1):  # alone, so that no padding is counted
                model(input_ids=example.input_ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    shares = []
    for block in model.get_decoder().layers:
        scores = [m.weight.float().abs() * energy[m].sqrt() for m in block.modules() if m in energy]
        mean = sum(s.sum() for s in scores) / sum(s.numel() for s in scores)
        shares.append(float(sum((s > times * mean).sum() for s in scores)) / sum(s.numel() for s in scores))
    return torch.tensor(shares, dtype=torch.float64)
