"""A small decoder with grouped queries, and tasks around it that weigh by parameters and linear FLOPs."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from bench.contract import Limits
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import task_around

VOCABULARY = 61


def random_model(kind: str = "llama", **changes: Any) -> PreTrainedModel:
    """Four layers of 6 query heads on 2 KV heads of size 8, and 64 neurons; float64 so that sums compare exactly."""
    torch.manual_seed(11)
    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "initializer_range": 0.2,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    } | changes
    model = Qwen2ForCausalLM(Qwen2Config(**shape)) if kind == "qwen2" else LlamaForCausalLM(LlamaConfig(**shape))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.2)
    return model.double().eval()


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
    def make(model: PreTrainedModel | None = None, **limits: float) -> CausalLMTask:
        model = model if model is not None else random_model()
        generator = torch.Generator().manual_seed(3)
        ids = torch.randint(1, VOCABULARY, (512,), generator=generator).tolist()
        training = torch.randint(1, VOCABULARY, (12 * 4 * 128,), generator=generator).tolist()
        return task_around(model, weigher(model), Limits(result=limits), calibration=ids, training=training)

    return make
