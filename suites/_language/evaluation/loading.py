"""Loads what the `effbench` model is given by name on lm-eval's command line."""

from typing import Any

import torch
from torch import nn

from suites._language.base import SMOLLM2, TOYS, load_base

PACKAGED = {SMOLLM2: "embedded"} | dict.fromkeys(TOYS, "tiny")
"""Bases that need no hub, by the scale that has them."""

UNUSED = {"logits_cache"}
"""Options of lm-eval's `hf` that change its speed alone."""

REFUSED = {"softmax_dtype", "mixed_precision_dtype", "truncation"}
"""Options of lm-eval's `hf` that would change its scores, and that we do not have."""


def load(
    pretrained: str, tokenizer: Any, device: str | None, dtype: str | torch.dtype, options: dict[str, Any]
) -> tuple[nn.Module, Any]:
    """(model, tokenizer) on the device, by default the GPU where there is one.

    A packaged base is known by its name. All else is loaded by lm-eval's `hf`, so that every option of loading
    (revision, trust_remote_code, peft, gguf_file, parallelize, attn_implementation...) means here what it means there.
    Raises MissingAsset, or ValueError for an option or a model that cannot be honoured.
    """
    options = {name: value for name, value in options.items() if name not in UNUSED}
    if refused := sorted(REFUSED & options.keys()):
        raise ValueError(f"effbench has no option {', '.join(refused)}: it scores by float32 log-probabilities")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if pretrained not in PACKAGED:
        return _by_hf(pretrained, tokenizer, device, dtype, options)
    options.pop("trust_remote_code", None)  # lm-eval adds it to every model; a packaged base has no remote code
    if options or tokenizer is not None:
        raise ValueError(f"the packaged base {pretrained} takes a dtype and a device, not {[*options, 'tokenizer'][0]}")
    model, tokenizer = load_base(PACKAGED[pretrained], pretrained, device)
    if dtype != "auto":
        model = model.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype)
    return model, tokenizer


def _by_hf(
    pretrained: str, tokenizer: Any, device: str, dtype: str | torch.dtype, options: dict[str, Any]
) -> tuple[nn.Module, Any]:
    from lm_eval.models.huggingface import HFLM

    loaded = HFLM(pretrained, tokenizer=tokenizer, device=device, dtype=dtype, **options)
    if loaded.backend != "causal":
        raise ValueError(f"{pretrained} is no causal language model; score it with --model hf")
    if loaded.world_size > 1:
        raise ValueError("effbench runs in one process; start it without a distributed launcher")
    return loaded.model, loaded.tokenizer
