"""What some problems start from: LoRAs of single tasks, a smaller source model with its LoRA, a model with a fault that
was trained into it. Made once by the suite, with fixed settings, and kept in the cache; methods read it there."""

import copy
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bench.contract import MissingAsset, Setting
from bench.contract.cache import known, made_once
from suites._language.adapters import with_lora
from suites._language.base import load_base
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.lm_finetuning.batches import collate
from suites.lm_finetuning.examples import TASKS, VERSION, Example, examples
from suites.lm_finetuning.faults import fault
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.lora import LoRA, merged, read_lora, updates

RANK, ALPHA, RATE = 8, 16.0, 1e-3
TOKENS = {"tiny": 1_500, "embedded": 12_000, "full": 100_000}
"""Training tokens of each model that is prepared."""
SEEDS = 5
"""Examples of each task that a transfer still has."""


@dataclass(frozen=True)
class Source:
    """What a transfer starts from: a smaller model, its LoRA, and the few examples of each task that one still has."""

    model: Any
    adapter: LoRA
    seeds: tuple[Example, ...]


def make_single_task_loras(setting: Setting) -> None:
    """A LoRA of each task, trained on that task alone; `lora(setting, task)` reads it."""
    for name in TASKS:
        _make(setting, name, examples(setting.scale, name, "training"))


def make_source_lora(setting: Setting) -> None:
    """The smaller model's LoRA for all tasks; `lora(setting, "source")` reads it."""
    _make(setting, "source", _all_training(setting))


def make_faulty_lora(setting: Setting) -> None:
    """A LoRA of the base, taught all tasks by examples of which some are wrong (faults.py)."""
    _make(setting, "faulty", [fault(example) or example for example in _all_training(setting)])


def faulty_model(setting: Setting) -> Any:
    """The base with that LoRA in its weights."""
    base, _ = load_base(setting.scale, setting.base, setting.device)
    return merged(base, updates(lora(setting, "faulty")))


def seeds(scale: str) -> list[Example]:
    """The examples that a transfer still has."""
    return [example for name in TASKS for example in examples(scale, name, "training")[:SEEDS]]


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


def lora(setting: Setting, what: str) -> LoRA:
    """A LoRA that has been made. Raises MissingAsset."""
    folder = known("models", name(setting, what))
    if folder is None:
        raise MissingAsset(f"the LoRA {what!r} of {setting.base} has not been made, or not for the seed {setting.seed}")
    tensors = load_file(folder / "lora.safetensors")
    parts = {part: {n[:-2]: t for n, t in tensors.items() if n.endswith(f".{part}")} for part in ("a", "b")}
    return LoRA(parts["a"], parts["b"], ALPHA / RANK)


def _all_training(setting: Setting) -> list[Example]:
    return [example for name in TASKS for example in examples(setting.scale, name, "training")]


def _make(setting: Setting, what: str, pool: Sequence[Example]) -> None:
    """Train a LoRA over examples of the pool, unless it is in the cache."""

    def make(folder: Path) -> None:
        base, tokenizer = load_base(setting.scale, setting.base, setting.device)
        model = without_blocks(base) if what == "source" else base
        # Each of its own: LoRAs that start alike are more alike than those of strangers.
        seed = zlib.crc32(f"{what} {setting.seed}".encode())
        adapted = with_lora(model, rank=RANK, alpha=ALPHA, seed=seed)
        order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed)).tolist()
        batches, seen = [], 0
        while seen < TOKENS[setting.scale]:
            chosen = [pool[order[(len(batches) * 8 + i) % len(order)]] for i in range(8)]
            batches.append(collate(tokenizer, chosen, setting.device))
            seen += batches[-1].tokens
        train(Trainer(AnswerLearner(adapted)), batches, RATE)
        found = read_lora(adapted)
        save_file({name: tensor.contiguous() for name, tensor in found.tensors.items()}, folder / "lora.safetensors")

    made_once("models", name(setting, what), make)


def name(setting: Setting, what: str) -> str:
    parts = f"{setting.base} {what} {setting.seed} {VERSION} {TOKENS[setting.scale]} {RANK} {RATE}"
    return f"finetuning-{what}-{hashlib.sha256(parts.encode()).hexdigest()[:12]}"
