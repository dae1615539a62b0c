"""Weight-only int8: rounding, kernel, bytes."""

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from bench.measure.flops import count_flops
from methods._techniques.int8 import KERNEL_ROWS, Int8Embedding, Int8Linear, quantise_rows
from methods.lm_compression.quantisation.int8_weight_only import Int8WeightOnly
from tests.methods.lm_compression.compression_toys import limited, task_around

IDS = torch.randint(0, 128, (2, 24), generator=torch.Generator().manual_seed(1))
VARIANTS = [Int8WeightOnly(), Int8WeightOnly(embeddings=False)]


def random_model(kind: str = "llama", dtype: torch.dtype = torch.bfloat16, tied: bool = True) -> PreTrainedModel:
    torch.manual_seed(5)
    shape = {
        "vocab_size": 128,
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.1,
        "tie_word_embeddings": tied,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    model = Qwen2ForCausalLM(Qwen2Config(**shape)) if kind == "qwen2" else LlamaForCausalLM(LlamaConfig(**shape))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.2)
    return model.to(dtype).eval()


def logits(model: nn.Module, ids: Tensor = IDS) -> Tensor:
    with torch.no_grad():
        return model(ids).logits.float()


def written(model: nn.Module) -> int:
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell()


def operators(run: Callable[[], object]) -> dict[str, int]:
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        run()
    return {event.key: event.count for event in trace.key_averages()}


@pytest.mark.parametrize("method", VARIANTS)
def test_embeddings_and_head_are_rounded_where_that_is_asked_for(method: Int8WeightOnly) -> None:
    candidate = method.build(task_around(random_model()))
    assert isinstance(candidate.model.layers[0].mlp.up_proj, Int8Linear)
    assert isinstance(candidate.model.embed_tokens, Int8Embedding) == method.embeddings
    assert isinstance(candidate.lm_head, Int8Linear) == method.embeddings


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rounding_is_to_the_nearest_level(dtype: torch.dtype) -> None:
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(2)).to(dtype)
    weight[3] = 0
    values, scale = quantise_rows(weight)
    assert values.dtype == torch.int8
    assert scale.dtype == dtype
    error = (weight.float() - values.float() * scale.float()[:, None]).abs()
    inner = values.abs() < 127
    assert (error <= scale.float()[:, None] * torch.where(inner, 0.5 + 1e-4, 1.0)).all()
    assert (values[3] == 0).all()
    # All 255 levels are in use: a row reaches its end of the range.
    assert values.abs().amax(1).tolist() == [0 if row == 3 else 127 for row in range(16)]


def test_integers_are_those_of_torchao() -> None:
    """The library quantises alike, up to a step where its scale is rounded another way."""
    torchao = pytest.importorskip("torchao.quantization")
    linear = nn.Linear(64, 32, bias=False)
    values, _ = quantise_rows(linear.weight)
    wrapped = nn.Sequential(linear)
    torchao.quantize_(wrapped, torchao.Int8WeightOnlyConfig())
    theirs = wrapped[0].weight.qdata
    assert (values.int() - theirs.int()).abs().max() <= 1
    assert (values == theirs).float().mean() > 0.5


@pytest.mark.parametrize("rows", [1, KERNEL_ROWS, KERNEL_ROWS + 1])
@pytest.mark.parametrize("inner", [64, 24, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_right_on_both_ways(rows: int, inner: int, dtype: torch.dtype) -> None:
    """inner 24 and 7: the kernel itself would read past the end of its rows."""
    torch.manual_seed(0)
    linear = nn.Linear(inner, 32).to(dtype)
    layer = Int8Linear(*quantise_rows(linear.weight), linear.bias.detach())
    x = torch.randn(2, rows // 2, inner, dtype=dtype) if rows % 2 == 0 else torch.randn(rows, inner, dtype=dtype)
    exact = x.double() @ (layer.weight.double() * layer.scale.double()[:, None]).T + linear.bias.double()
    bound = 1e-5 if dtype == torch.float32 else 2**-6
    assert (layer(x).double() - exact).abs().max() <= bound * exact.abs().max()


@pytest.mark.parametrize("method", VARIANTS)
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_logits_stay_near_the_dense_ones(kind: str, method: Int8WeightOnly) -> None:
    """Relative error of a product with rounded weights is about 0.4 %; a few layers deep we allow 5 %."""
    dense = random_model(kind, torch.float32)
    candidate = method.build(task_around(dense))
    error = (logits(candidate) - logits(dense)).norm() / logits(dense).norm()
    assert 1e-4 < error < 0.05


@pytest.mark.parametrize(("method", "calls"), [(VARIANTS[0], 3 * 7 + 1), (VARIANTS[1], 3 * 7)])
def test_decoding_runs_the_int8_kernel_for_every_matrix(method: Int8WeightOnly, calls: int) -> None:
    candidate = method.build(task_around(random_model()))
    ran = operators(lambda: logits(candidate, IDS[:1, :1]))
    assert ran["aten::_weight_int8pack_mm"] == calls
    assert ran.get("aten::linear", 0) == 22 - calls


def test_it_is_written_in_half_the_bytes() -> None:
    """Against 16 bits: one byte a weight, and two a row."""
    dense = random_model()
    whole, linear_only = (written(method.build(task_around(dense))) for method in VARIANTS)
    matrices = sum(p.numel() for name, p in dense.named_parameters() if "norm" not in name)
    rows = sum(len(p) for name, p in dense.named_parameters() if "norm" not in name)
    table = dense.model.embed_tokens.weight
    overhead = 0.06 * written(dense)  # of the file format: many small tensors here
    assert written(dense) - whole == pytest.approx(matrices - 2 * rows, abs=overhead)
    assert linear_only - whole == pytest.approx(table.numel() - 2 * len(table), abs=overhead)


def test_tied_embeddings_stay_tied_and_untied_ones_apart() -> None:
    tied, untied = (VARIANTS[0].build(task_around(random_model(tied=tied))) for tied in (True, False))
    assert isinstance(tied.model.embed_tokens, Int8Embedding)
    assert isinstance(tied.lm_head, Int8Linear)
    assert tied.lm_head.weight is tied.model.embed_tokens.weight
    assert untied.lm_head.weight is not untied.model.embed_tokens.weight
    kept = VARIANTS[1].build(task_around(random_model()))
    assert kept.lm_head.weight is kept.model.embed_tokens.weight
    assert kept.lm_head.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("method", VARIANTS)
def test_generation_works_with_and_without_cache(method: Int8WeightOnly) -> None:
    candidate = method.build(task_around(random_model(dtype=torch.float32)))
    settings = {"max_new_tokens": 8, "do_sample": False}
    cached = candidate.generate(IDS[:, :6], use_cache=True, **settings)
    assert torch.equal(cached, candidate.generate(IDS[:, :6], use_cache=False, **settings))


@pytest.mark.parametrize("method", VARIANTS)
def test_the_dense_model_is_left_unchanged_and_unshared(method: Int8WeightOnly) -> None:
    dense = random_model("qwen2")
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    candidate = method.build(task_around(dense))
    pointers = {tensor.data_ptr() for tensor in dense.state_dict().values()}
    assert pointers.isdisjoint(tensor.data_ptr() for tensor in candidate.state_dict().values())
    assert all(torch.equal(before[name], value) for name, value in dense.state_dict().items())


def test_it_is_deterministic() -> None:
    one, two = (VARIANTS[0].build(task_around(random_model())) for _ in range(2))
    assert torch.equal(logits(one), logits(two))


@pytest.mark.parametrize("method", VARIANTS)
def test_it_supports_just_the_sizes_that_it_reaches(method: Int8WeightOnly) -> None:
    dense = random_model()
    task = task_around(dense)
    candidate = method.build(task)

    def stored(model: nn.Module) -> int:
        distinct = {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values()}
        return sum(tensor.nbytes for tensor in distinct.values())

    reached = stored(candidate) / stored(dense)
    assert method.supports(limited(task, stored_ratio=reached + 1e-9)) is None
    assert f"{reached:.4f}" in str(method.supports(limited(task, stored_ratio=reached - 1e-9)))


def test_a_limit_on_flops_is_refused_and_no_limit_is_not() -> None:
    task = task_around(random_model())
    assert "flops_ratio" in str(VARIANTS[0].supports(limited(task, flops_ratio=0.75)))
    assert VARIANTS[0].supports(task) is None


@pytest.mark.gpu
def test_the_same_code_runs_on_a_gpu(cuda: str) -> None:
    dense = random_model().to(cuda)
    candidate = VARIANTS[0].build(task_around(dense))
    for ids in (IDS[:1, :1].to(cuda), IDS.to(cuda)):
        error = (logits(candidate, ids) - logits(dense, ids)).norm() / logits(dense, ids).norm()
        assert error < 0.05


@pytest.mark.parametrize("tokens", [1, 24])
def test_flops_are_those_of_the_dense_model(tokens: int) -> None:
    dense = random_model()
    candidate = VARIANTS[0].build(task_around(dense))
    dense_flops = count_flops(lambda: logits(dense, IDS[:1, :tokens]))
    assert count_flops(lambda: logits(candidate, IDS[:1, :tokens])) == dense_flops > 0
