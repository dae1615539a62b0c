"""What the tracks start from: LoRAs of single tasks, a smaller source model with its LoRA, a model with a fault that
was trained into it. Made once by the suite, with its own loop and fixed settings, and kept in the cache."""

import copy
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from suites._cache import made_once
from suites._language.adapters import with_lora
from suites._training.training import Learner, Trainer, train
from suites.lm_finetuning.examples import TASKS, VERSION, Example
from suites.lm_finetuning.faults import fault
from suites.lm_finetuning.lora import LoRA, merged, read_lora, updates
from suites.lm_finetuning.task import FineTuningTask

RANK, ALPHA, RATE = 8, 16.0, 1e-3
TOKENS = {"tiny": 1_500, "embedded": 12_000, "full": 100_000}
"""Training tokens of each model that is prepared."""


@dataclass(frozen=True)
class Source:
    """Of the track `transfer`: a smaller model, its LoRA, and the few examples of each task that one still has."""

    model: Any
    adapter: LoRA
    seeds: tuple[Example, ...]


def single_task_loras(task: FineTuningTask, base: str) -> dict[str, LoRA]:
    """A LoRA of each task, trained on that task alone."""
    return {name: _trained(task, base, task.model, name, (name,), task.examples[name]) for name in TASKS}


def source(task: FineTuningTask, base: str, seeds: int = 5) -> Source:
    """The base without every fifth block, its LoRA for all tasks, and `seeds` examples of each task."""
    model = without_blocks(task.model)
    pool = [example for name in TASKS for example in task.examples[name]]
    adapter = _trained(task, base, model, "source", TASKS, pool)
    return Source(model, adapter, tuple(example for name in TASKS for example in task.examples[name][:seeds]))


def faulty_model(task: FineTuningTask, base: str) -> Any:
    """The base, taught all tasks by examples of which some are wrong (faults.py)."""
    pool = [fault(example) or example for name in TASKS for example in task.examples[name]]
    return merged(task.model, updates(_trained(task, base, task.model, "faulty", TASKS, pool)))


def without_blocks(model: Any, every: int = 5) -> Any:
    """A copy without every fifth block of the decoder, numbered anew for the KV cache."""
    smaller = copy.deepcopy(model)
    decoder = smaller.get_decoder()
    decoder.layers = torch.nn.ModuleList(b for i, b in enumerate(decoder.layers) if (i + 1) % every)
    for index, block in enumerate(decoder.layers):
        block.self_attn.layer_idx = index
    smaller.config = copy.deepcopy(smaller.config)
    smaller.config.num_hidden_layers = len(decoder.layers)
    if getattr(smaller.config, "layer_types", None):
        smaller.config.layer_types = smaller.config.layer_types[: len(decoder.layers)]
    decoder.config = smaller.config
    return smaller.eval()


def _trained(
    task: FineTuningTask, base: str, model: Any, what: str, tasks: Sequence[str], pool: Sequence[Example]
) -> LoRA:
    """The LoRA of `model` over examples of the pool, from the cache if it is there."""

    def make(folder: Path) -> None:
        from suites.lm_finetuning.batches import collate

        # Each of its own: LoRAs that start alike are more alike than those of strangers.
        seed = zlib.crc32(f"{what} {task.seed}".encode())
        adapted = with_lora(copy.deepcopy(model), rank=RANK, alpha=ALPHA, seed=seed)
        order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed)).tolist()
        batches, seen = [], 0
        while seen < TOKENS[task.scale]:
            chosen = [pool[order[(len(batches) * 8 + i) % len(order)]] for i in range(8)]
            batches.append(collate(task.tokenizer, chosen, task.device))
            seen += batches[-1].tokens
        train(Trainer(Learner(adapted)), batches, RATE)
        found = read_lora(adapted)
        save_file({name: tensor.contiguous() for name, tensor in found.tensors.items()}, folder / "lora.safetensors")

    name = hashlib.sha256(
        f"{base} {what} {task.seed} {VERSION} {TOKENS[task.scale]} {RANK} {RATE}".encode()
    ).hexdigest()
    tensors = load_file(made_once(f"finetuning-{what}-{name[:12]}", make) / "lora.safetensors")
    parts = {part: {n[:-2]: t for n, t in tensors.items() if n.endswith(f".{part}")} for part in ("a", "b")}
    return LoRA(parts["a"], parts["b"], ALPHA / RANK)
