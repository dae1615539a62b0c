"""Tasks of lm-finetuning on the toy model, for the tests of its methods."""

from typing import Any

import torch

from bench.contract import Limits
from suites._language.adapters import decoder_linears
from suites._language.toy import toy_model, toy_tokenizer
from suites.lm_finetuning.examples import TASKS, examples
from suites.lm_finetuning.lora import LoRA
from suites.lm_finetuning.task import FineTuningTask


def toy_task(
    tokens: int = 600, dtype: torch.dtype = torch.float32, result: Any = None, **fields: Any
) -> FineTuningTask:
    """A task of the track `adapt` unless `fields` say otherwise. result: limits, e.g. {"shipped_ratio": 0.01}."""
    settings: dict[str, Any] = {
        "scale": "tiny",
        "seed": 0,
        "limits": Limits(result=result or {}, supplies={"training_tokens": tokens}),
        "model": toy_model().to(dtype),
        "tokenizer": toy_tokenizer(),
        "examples": {name: examples("tiny", name, "training") for name in TASKS},
    }
    return FineTuningTask(**(settings | fields))


def random_lora(model: Any, rank: int, seed: int, scale: float = 2.0) -> LoRA:
    """Random updates of all linears of the blocks, neither half of them zero."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: model.get_submodule(name).weight.shape for name in decoder_linears(model)}
    return LoRA(
        {name: 0.1 * torch.randn(rank, inputs, generator=generator) for name, (_, inputs) in shapes.items()},
        {name: 0.1 * torch.randn(outputs, rank, generator=generator) for name, (outputs, _) in shapes.items()},
        scale,
    )
