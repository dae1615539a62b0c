"""How many tokens fit side by side, and what an allocator says when they did not."""

from typing import Any

import psutil
import torch
from torch import nn

BATCH_TOKENS = {"cpu": 512, "cuda": 16384}
"""More at once are no faster."""

SHARE = 0.5
"""Of the free memory; the rest is for what the estimate leaves out."""


def fitting_tokens(candidate: nn.Module, device: torch.device, *, all_logits: bool) -> int:
    """Tokens that can be computed side by side in the free memory, as far as the configuration tells.

    A token needs room for its largest tensors that are alive at once: about eight of the hidden size and three of the
    MLP's; with all_logits also its logits, in the candidate's precision and twice in float32.
    """
    config: Any = getattr(candidate, "config", None)
    item = max((p.element_size() for p in candidate.parameters() if p.is_floating_point()), default=4)
    hidden = getattr(config, "hidden_size", 4096)
    width = 8 * hidden + 3 * getattr(config, "intermediate_size", 4 * hidden)
    bytes_each = item * width + (getattr(config, "vocab_size", 0) * (item + 8) if all_logits else 0)
    most = BATCH_TOKENS.get(device.type, BATCH_TOKENS["cuda"])
    return max(1, min(most, int(SHARE * _free_bytes(device) / bytes_each)))


def _free_bytes(device: torch.device) -> int:
    """Free memory of the device, with what torch holds of it in reserve."""
    if device.type == "cuda":
        reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reserve
    return int(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was short: by torch's error, numpy's, or the CPU allocator's, which its text alone tells."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return "DefaultCPUAllocator: can't allocate memory" in text or "CUBLAS_STATUS_ALLOC_FAILED" in text
