"""A small random decoder, and tasks around it that weigh as the suite does: by parameters and by linear FLOPs."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from bench.contract import Limits
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import task_around

BLOCKS = 4
VOCABULARY = 61


def random_model(kind: str = "llama", blocks: int = BLOCKS, attention: str = "sdpa") -> PreTrainedModel:
    """Grouped-query attention and tied embeddings as in the real ones; weights large enough to have clear opinions."""
    torch.manual_seed(7)
    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": blocks,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "initializer_range": 0.25,
        "tie_word_embeddings": True,
        "attn_implementation": attention,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    if kind == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**shape)).eval()
    return LlamaForCausalLM(LlamaConfig(**shape)).eval()


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def linear_flops(model: nn.Module) -> int:
    return sum(2 * module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))


def weigher(dense: nn.Module) -> Callable[[Any], Mapping[str, float]]:
    return lambda candidate: {
        "stored_ratio": parameters(candidate) / parameters(dense),
        "flops_ratio": linear_flops(candidate) / linear_flops(dense),
    }


@pytest.fixture
def make_task() -> Callable[..., CausalLMTask]:
    def make(
        model: PreTrainedModel | None = None,
        seed: int = 0,
        supplies: Mapping[str, int] | None = None,
        **limits: float,
    ) -> CausalLMTask:
        model = model if model is not None else random_model()
        ids = torch.randint(1, VOCABULARY, (600,), generator=torch.Generator().manual_seed(3)).tolist()
        return task_around(
            model, weigher(model), Limits(result=limits, supplies=supplies or {}), calibration=ids, seed=seed
        )

    return make


@pytest.fixture
def prompt() -> torch.Tensor:
    """(2, 9) token ids without the padding token."""
    return torch.randint(1, VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(5))


def reference_without(model: PreTrainedModel, dropped: Any, ids: torch.Tensor) -> torch.Tensor:
    """Logits of the dense model whose dropped sub-layers add zero: what dropping must be equal to."""
    silenced = []
    for index, kind in dropped:
        block = model.model.layers[index]
        silenced.append((block.self_attn.o_proj if kind == "attention" else block.mlp.down_proj).weight)
    saved = [weight.detach().clone() for weight in silenced]
    with torch.no_grad():
        for weight in silenced:
            weight.zero_()
        logits = model(ids).logits
        for weight, old in zip(silenced, saved, strict=True):
            weight.copy_(old)
    return logits
