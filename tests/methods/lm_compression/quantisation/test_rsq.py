"""RSQ: rotations keep the function, tokens weigh what they should, the quantised model is better for it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.quantisation import rsq
from methods.lm_compression.quantisation._gptq import Rounding, quantise_blocks
from methods.lm_compression.quantisation._precision import borrowing_copy
from methods.lm_compression.quantisation._rotation import hadamard, is_tied, random_rotation, rotate, unrotatable
from methods.lm_compression.quantisation.gptq import GPTQ
from methods.lm_compression.quantisation.rsq import RSQ, attention_received, token_weights
from methods.lm_compression.quantisation.rtn import RTN
from suites._language.blocks import walk_blocks
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import text_of

Make = Callable[..., CausalLMTask]
SMALL: dict[str, Any] = {"samples": 4, "length": 64}
RSQ_HOW = Rounding(bits=3, group=64, clip=True, damping=0.01, act_order=False)


def random_model(kind: str = "llama", tied: bool = True, hidden: int = 48) -> Any:
    """float64, gains and biases far from 1 and 0."""
    torch.manual_seed(3)
    shape: dict[str, Any] = {
        "vocab_size": 61,
        "hidden_size": hidden,
        "intermediate_size": 80,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
        "tie_word_embeddings": tied,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    model = Qwen2ForCausalLM(Qwen2Config(**shape)) if kind == "qwen2" else LlamaForCausalLM(LlamaConfig(**shape))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
        elif "norm" in name:
            nn.init.uniform_(parameter, 0.3, 3.0)
    return model.double().eval()


def logits(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(ids).logits


IDS = torch.randint(1, 61, (2, 20), generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("size", [1, 2, 12, 16, 20, 28, 36, 64, 76, 140, 576, 1536])
def test_hadamard_matrices_are_orthogonal_signs(size: int) -> None:
    matrix = hadamard(size)
    assert matrix is not None
    assert set(matrix.flatten().tolist()) <= {-1.0, 1.0}
    assert torch.equal(matrix @ matrix.T, size * torch.eye(size, dtype=torch.float64))


@pytest.mark.parametrize("size", [3, 9, 18])
def test_where_there_is_no_hadamard_matrix_any_rotation_will_do(size: int) -> None:
    assert hadamard(size) is None
    rotation = random_rotation(size, torch.Generator().manual_seed(0))
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(size, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("hidden", [48, 72])
def test_a_rotated_model_equals_the_unrotated_one_in_float64(kind: str, tied: bool, hidden: int) -> None:
    """RMSNorm of transformers computes in float32: single precision is all that can be asked of more than its input."""
    model, rotated = (random_model(kind, tied, hidden) for _ in range(2))
    for each in (model, rotated):
        for module in each.modules():
            if type(module).__name__.endswith("RMSNorm"):
                module.forward = lambda x, norm=module: (
                    norm.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + norm.variance_epsilon)
                )
    rotate(rotated, seed=1)
    torch.testing.assert_close(logits(rotated, IDS), logits(model, IDS), rtol=1e-9, atol=1e-9)
    assert is_tied(rotated) == tied
    for name, parameter in model.named_parameters():
        if name.endswith("proj.weight") or "embed" in name:
            assert (rotated.get_parameter(name) - parameter).norm() > 0.5 * parameter.norm(), name


def test_rotation_spreads_an_outlier_over_all_channels() -> None:
    model = random_model()
    with torch.no_grad():
        model.model.layers[1].self_attn.q_proj.weight[:, 7] *= 50
    before = model.model.layers[1].self_attn.q_proj.weight.square().sum(0)
    rotate(model, seed=1)
    after = model.model.layers[1].self_attn.q_proj.weight.square().sum(0)
    assert before.max() > 30 * before.median()
    assert after.max() < 3 * after.median()


def test_seeds_give_other_rotations_and_the_same_seed_the_same() -> None:
    first, again, other = (random_model() for _ in range(3))
    for model, seed in ((first, 1), (again, 1), (other, 2)):
        rotate(model, seed)
    weight = "model.layers.0.mlp.down_proj.weight"
    assert torch.equal(first.get_parameter(weight), again.get_parameter(weight))
    assert not torch.equal(first.get_parameter(weight), other.get_parameter(weight))


def test_layers_with_other_norms_are_refused() -> None:
    model = random_model()
    model.model.norm = nn.LayerNorm(48)
    assert "LayerNorm" in str(unrotatable(model))
    model = random_model()
    model.model.layers[1].mlp.up_proj = nn.Identity()
    assert "layer 1 has no linear up_proj" in str(unrotatable(model))


def test_attention_received_is_that_of_the_model_itself() -> None:
    """Against the probabilities that the model gives with eager attention."""
    model = random_model().float()
    eager = random_model().float()
    eager.set_attn_implementation("eager")
    with torch.no_grad():
        expected = [layer.sum((1, 2)) for layer in eager(IDS, output_attentions=True).attentions]
    for step, wanted in zip(walk_blocks(model, IDS, batch=1), expected, strict=True):
        found = attention_received(step)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        assert found.sum(1).allclose(torch.tensor(4.0 * 20))
    assert model.config._attn_implementation == "sdpa"
    assert all(layer.self_attn.config is model.config for layer in model.model.layers)


def test_token_weights_span_their_range_and_have_mean_one() -> None:
    received = torch.tensor([[3.0, 1.0, 2.0, 1.5], [7.0, 7.0, 7.0, 7.0]])
    weights = token_weights(received, 0.005)
    torch.testing.assert_close(weights.mean(1), torch.ones(2))
    torch.testing.assert_close(weights[0, 1] / weights[0, 0], torch.tensor(0.005))
    torch.testing.assert_close(weights[0, 2] / weights[0, 0], torch.tensor(0.5025))
    torch.testing.assert_close(weights[1], torch.ones(4))


def test_without_rotation_and_weights_it_is_gptq(toy_task: Make) -> None:
    task = toy_task()
    ours = RSQ(rotation=False, importance=False, clip=False, bits=3, **SMALL).build(task).state_dict()
    theirs = GPTQ(bits=3, **SMALL).build(toy_task()).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_tokens_are_weighed_in_the_build(toy_task: Make) -> None:
    plain, weighed = (
        RSQ(rotation=False, importance=importance, bits=3, **SMALL).build(toy_task()).state_dict()
        for importance in (False, True)
    )
    assert any(not torch.equal(value, weighed[name]) for name, value in plain.items())


def test_equal_weights_are_no_weights_and_the_attention_s_are_not(toy_task: Make) -> None:
    built = {}
    for name, importance in {
        "none": None,
        "equal": lambda step: torch.ones(step.states.shape[:2]),
        "attention": lambda step: token_weights(attention_received(step), 0.005),
    }.items():
        task = toy_task()
        candidate = borrowing_copy(task.model)
        quantise_blocks(candidate, calibration_batch(task, 4, 64), RSQ_HOW, importance)
        built[name] = candidate.model.layers[0].mlp.down_proj.low
    assert torch.equal(built["none"], built["equal"])
    assert not torch.equal(built["none"], built["attention"])


def test_the_build_weighs_tokens_by_the_attention_that_they_receive(
    toy_task: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the model as it is rotated, and down to the weight that it is told."""
    weights = []

    def watch(candidate: Any, windows: torch.Tensor, how: Rounding, importance: Any) -> None:
        for step in walk_blocks(candidate, windows):
            weights.append((importance(step), token_weights(attention_received(step), 0.3)))

    monkeypatch.setattr(rsq, "quantise_blocks", watch)
    RSQ(bits=3, least_weight=0.3, **SMALL).build(toy_task())
    assert len(weights) == 6
    for found, wanted in weights:
        assert torch.equal(found, wanted)
        assert found.std() > 0.1


def test_few_bits_hurt_less_in_rotated_coordinates_where_channels_stand_out(toy_task: Make) -> None:
    """Gains of a few channels a hundred times as large as the others', as trained models have them."""
    task = toy_task()
    model = task.model.float()
    with torch.no_grad():
        for layer in model.model.layers:
            for norm, readers in (
                (layer.input_layernorm, (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)),
                (layer.post_attention_layernorm, (layer.mlp.gate_proj, layer.mlp.up_proj)),
            ):
                norm.weight[::16] /= 30
                for reader in readers:
                    reader.weight[:, ::16] *= 30
    ids = text_of(task)[None, :64]
    dense = logits(model, ids)

    def error(candidate: nn.Module) -> float:
        return float((logits(candidate, ids) - dense).norm() / dense.norm())

    plain = error(RSQ(rotation=False, importance=False, bits=4, **SMALL).build(toy_task(model)))
    rotated = error(RSQ(importance=False, bits=4, **SMALL).build(toy_task(model)))
    assert rotated < plain


def test_it_meets_the_limit_with_the_most_bits(toy_task: Make) -> None:
    """The matrix before the head counts: a limit that rtn just meets leaves less for RSQ."""
    task = toy_task()
    exact = task.weigh(RSQ(bits=3, **SMALL).build(task))["stored_ratio"]
    assert exact > task.weigh(RTN(bits=3).build(task))["stored_ratio"]
    tight = toy_task(stored_ratio=exact)
    assert RSQ().supports(tight) is None
    built = RSQ(**SMALL).build(tight)
    assert tight.weigh(built)["stored_ratio"] == exact


def test_it_is_deterministic_stays_tied_and_leaves_the_dense_model(toy_task: Make) -> None:
    task = toy_task(seed=5)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    one = RSQ(bits=4, **SMALL).build(task)
    two = RSQ(bits=4, **SMALL).build(toy_task(seed=5)).state_dict()
    other = RSQ(bits=4, **SMALL).build(toy_task(seed=6)).state_dict()
    assert all(torch.equal(value, two[name]) for name, value in one.state_dict().items())
    assert any(not torch.equal(value, other[name]) for name, value in one.state_dict().items())
    assert one.get_input_embeddings().low is one.get_output_embeddings().low
    assert all(torch.equal(before[name], value) for name, value in task.model.state_dict().items())
    ids = text_of(task)[None, :6]
    assert one.generate(ids, max_new_tokens=4, do_sample=False).shape == (1, 10)
