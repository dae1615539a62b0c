"""BCT: rounding by blocks, integer products and functions, and the model made of them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from methods._techniques.block_linear import BlockEmbedding, BlockLinear
from methods._techniques.blockwise import (
    Blocks,
    blank,
    block_matrix,
    exponent_for,
    integer_product,
    power_of_two,
    product,
    to_blocks,
)
from methods._techniques.integer_functions import (
    DIGIT,
    HIDDEN,
    digits,
    fixed_point,
    inverse_root,
    rms_normalised,
    silu,
    softmax_weights,
)
from methods.lm_compression.quantisation._integer_modules import integer_attention
from methods.lm_compression.quantisation._precision import block_linears
from methods.lm_compression.quantisation.bct import BCT
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import limited, text_of

Make = Callable[..., CausalLMTask]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def floats(matrix: object) -> Tensor:
    return matrix.floats_of(torch.arange(matrix.rows))  # type: ignore[attr-defined]


def sample(task: CausalLMTask, tokens: int = 48) -> Tensor:
    return text_of(task)[: 2 * tokens].view(2, tokens)


def logits(model: nn.Module, ids: Tensor, **settings: object) -> Tensor:
    with torch.no_grad():
        return model(ids, **settings).logits.float()


def test_powers_of_two_are_exact_and_exponents_the_least() -> None:
    exponent = torch.arange(-126, 128)
    assert torch.equal(power_of_two(exponent).double(), torch.exp2(exponent.double()))
    largest = torch.tensor([0.0, 127.0, 127.0001, 254.0, 63.5, 1e-3, 3e4])
    found = exponent_for(largest, 127)
    assert found.tolist()[:5] == [0, 0, 1, 1, -1]
    assert (largest <= 127 * power_of_two(found)).all()
    assert (largest[1:] > 127 * power_of_two(found - 1)[1:]).all()


@pytest.mark.parametrize(("bits", "block"), [(8, 16), (8, None), (16, 16)])
def test_activations_are_rounded_to_the_nearest_within_half_a_step(bits: int, block: int | None) -> None:
    x = normal(5, 64) * 10 ** normal(5, 64, seed=1)
    blocks = to_blocks(x, block, bits)
    assert blocks.values.abs().max() <= 2 ** (bits - 1) - 1
    step = power_of_two(blocks.exponent).repeat_interleave(block or 64, -1)
    assert ((blocks.floats - x).abs() <= step / 2).all()
    again = to_blocks(blocks.floats, block, bits)
    assert torch.equal(again.floats, blocks.floats)
    assert torch.equal(to_blocks(x[2:3], block, bits).values, blocks.values[2:3])  # a token's own


@pytest.mark.parametrize("bits", [8, 4])
def test_codes_are_packed_and_come_back(bits: int) -> None:
    weight = normal(70, 96)
    matrix = block_matrix(weight, bits, 32)
    assert matrix.codes.dtype == torch.int8
    assert matrix.codes.nbytes == 70 * 96 * bits // 8
    assert matrix.exponent.nbytes == 3 * 3
    assert matrix.columns == 96
    whole = matrix.integers(slice(None))
    limit = 2 ** (bits - 1) - 1
    assert whole.abs().max() == limit
    by_hand = (whole.double() * matrix.scale.double()[..., None]).permute(1, 0, 2).flatten(1)
    assert torch.equal(floats(matrix).double(), by_hand)
    tile = slice(32, 64)
    step = float(power_of_two(matrix.exponent[1, 1]))
    inside = weight[tile, tile].abs() <= limit * step
    error = (floats(matrix)[tile, tile] - weight[tile, tile]).abs()
    assert (error[inside] <= step / 2).all()
    empty = blank(weight, bits, 32)
    assert (empty.codes.shape, empty.exponent.shape) == (matrix.codes.shape, matrix.exponent.shape)


def test_a_tile_takes_the_exponent_of_least_error() -> None:
    tile = normal(16, 16)
    found = int(block_matrix(tile, 4, 16).exponent)

    def error(exponent: int) -> float:
        step = 2.0**exponent
        return float(((tile / step).round().clamp(-7, 7) * step - tile).square().sum())

    assert error(found) == pytest.approx(min(error(exponent) for exponent in range(-12, 8)))


@pytest.mark.parametrize("bits", [8, 4])
def test_blocks_are_never_worse_than_one_scale_and_far_better_beside_an_outlier(bits: int) -> None:
    weight = normal(64, 64)
    weight[3, 5] = 300.0
    errors = [
        float((floats(block_matrix(weight, bits, block)) - weight).square().sum()) for block in (8, 16, 32, 64, None)
    ]
    assert errors == sorted(errors)
    assert errors[0] < 0.15 * errors[-1]
    assert errors[3] == errors[4]
    x = normal(4, 64)
    x[:, 0] = 200.0
    by_block, by_token = ((to_blocks(x, block).floats - x).square().sum() for block in (16, None))
    assert by_block < 0.3 * by_token


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("block", [1, 2, 16, 48, None])
@pytest.mark.parametrize("tokens", [1, 7, 80])
def test_products_are_those_of_the_rounded_numbers(bits: int, block: int | None, tokens: int) -> None:
    """Numbers of like size, so that even the sum over blocks is exact in float32."""
    if bits == 4 and block == 1:
        return
    x, weight = to_blocks(normal(tokens, 96).clamp(-2, 2), block), block_matrix(normal(130, 96, seed=1), bits, block)
    exact = x.floats.double() @ floats(weight).double().T
    assert (product(x, weight).double() - exact).abs().max() <= 2**-21 * exact.abs().max()
    if block == 48:
        assert torch.equal(product(x, weight).double(), exact)


@pytest.mark.parametrize("inner", [1, 2, 15, 64, 577])
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_the_integer_product_takes_every_layout(rows: int, inner: int) -> None:
    def integers(*shape: int) -> Tensor:
        return torch.randint(-127, 128, shape, generator=torch.Generator().manual_seed(rows * inner), dtype=torch.int8)

    a = integers(rows, inner + 1)[:, :-1]
    for b in (
        integers(inner, 9),
        integers(inner, 10)[:, :-1],
        integers(9, inner).t(),
        integers(9, inner + 1)[:, 1:].t(),
    ):
        out = torch.full((rows, 9), 77, dtype=torch.int32)
        integer_product(a, b, out)
        assert torch.equal(out.long(), a.long() @ b.long())


def test_softmax_weights_are_within_their_bound_and_sum_up() -> None:
    scores = 6 * normal(7, 300).double()
    keep = torch.rand(7, 300, generator=torch.Generator().manual_seed(1)) > 0.3
    fixed = fixed_point(scores.float(), keep)
    weights = softmax_weights(fixed)
    assert weights.dtype == torch.int32
    assert (weights[~keep] == 0).all()
    assert (weights.amax(-1) == 2**22).all()
    exact = torch.exp2((fixed - fixed.amax(-1, keepdim=True)).double() / 256 + 22)
    assert ((weights - exact)[keep].abs() <= 1.5 + 2**-21 * exact[keep]).all()
    probabilities = weights / weights.sum(-1, keepdim=True)
    true = torch.softmax(scores.masked_fill(~keep, -torch.inf) * torch.log(torch.tensor(2.0)).double(), -1)
    assert (probabilities - true).abs().max() < 0.003
    assert probabilities.sum(-1) == pytest.approx(torch.ones(7), abs=1e-6)
    hidden = softmax_weights(torch.full((1, 4), HIDDEN, dtype=torch.int32))
    assert (hidden == 2**22).all()  # a row that sees nothing stays finite


def test_two_digits_hold_fourteen_bits() -> None:
    weights = torch.rand(6, 100, generator=torch.Generator().manual_seed(0)) * 1e6
    high, low, exponent = digits(weights)
    assert high.dtype == low.dtype == torch.int8
    assert min(high.min(), low.min()) >= 0
    values = ((high.int() << DIGIT) + low) * power_of_two(exponent)
    assert ((values - weights).abs() <= power_of_two(exponent - 1)).all()
    assert (power_of_two(exponent) <= 2 * weights.amax(-1, keepdim=True) / (2**14 - 1)).all()


def test_the_table_of_silu_is_within_half_a_unit_for_every_entry() -> None:
    q = torch.arange(-127, 128, dtype=torch.int8).expand(20, -1)
    exponent = torch.arange(-14, 6, dtype=torch.int32)[:, None]
    values, unit = silu(Blocks(q[:, None], exponent))
    x = q.double() * torch.exp2(exponent.double())
    found = values[:, 0].double() * torch.exp2(unit.double())
    assert ((found - nn.functional.silu(x)).abs() <= torch.exp2(unit.double() - 1) * 1.0001).all()
    for outside in (-20, 9):
        values, unit = silu(Blocks(q[:1, None], torch.tensor([[outside]], dtype=torch.int32)))
        x = q[0].double() * 2.0**outside
        error = (values[0, 0].double() * 2.0 ** float(unit) - nn.functional.silu(x)).abs()
        assert (error <= 0.5 * 2.0 ** (outside - 8) + 0.005 * nn.functional.silu(x).abs()).all()


def test_the_inverse_root_is_within_its_bound() -> None:
    numbers = torch.cat([torch.arange(1, 5000), 2 ** torch.arange(1, 52), 3 * 2 ** torch.arange(1, 50) - 1])
    root, shift = inverse_root(numbers)
    assert root.max() <= 2**15
    exact = numbers.double().rsqrt()
    assert ((root.double() * torch.exp2(-15.0 - shift.double()) - exact).abs() <= 2**-11 * exact).all()


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 3e3, 1e6])
def test_the_norm_is_within_its_bound_at_every_size(size: float) -> None:
    x = size * normal(4, 96) * torch.cat([torch.ones(64), torch.full((32,), 1e-3)])
    x[0] = 0
    values, exponent = rms_normalised(to_blocks(x, 32, 16, -30), 1e-5)
    assert values.abs().max() < 2**15
    found = (values.double() * torch.exp2(exponent.double())[..., None]).flatten(1)
    exact = x.double() / (x.double().square().mean(-1, keepdim=True) + 1e-5).sqrt()
    step = 2.0**-14 * exact.abs().unflatten(-1, (3, 32)).amax(-1).repeat_interleave(32, -1)
    floor = 1.5 * 2.0**-30 / 1e-5**0.5  # half a unit of an input and of a result, at the least exponent
    assert ((found - exact).abs() <= 2**-10 * exact.abs() + 2 * step + floor).all()


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_near_the_real_one(masked: bool) -> None:
    """8-bit operands: about half a per cent each."""
    query, key, value = (normal(2, heads, 30, 16, seed=heads).double() for heads in (6, 2, 3))
    value = value[:, :2]
    keep = torch.rand(2, 1, 30, 30, generator=torch.Generator().manual_seed(0)) > 0.5 if masked else None
    if keep is not None:
        keep |= torch.eye(30, dtype=torch.bool)
    visible = torch.ones(30, 30, dtype=torch.bool).tril() if keep is None else keep
    exact = nn.functional.scaled_dot_product_attention(query, key, value, visible, enable_gqa=True)

    def packed(x: Tensor) -> Tensor:
        blocks = to_blocks(x, None)
        return torch.cat((blocks.values.flatten(-2), blocks.exponent.to(torch.int8)), -1)

    operands = packed(query), packed(key), packed(value)
    found = integer_attention(*operands, keep, 0.25)
    assert (found - exact).norm() < 0.02 * exact.norm()
    if keep is not None:
        added = torch.zeros(keep.shape).masked_fill(~keep, torch.finfo(torch.float32).min)
        assert torch.equal(integer_attention(*operands, added, 0.25), found)
    last = integer_attention(operands[0][:, :, 20:], *operands[1:], None if keep is None else keep[:, :, 20:], 0.25)
    assert torch.equal(last, found[:, :, 20:])


def test_a_sink_leaves_the_other_probabilities_alone() -> None:
    """One key has 99 % of the weight and a small value: an 8-bit probability would round the others to zero."""
    query, key, value = torch.zeros(1, 1, 1, 16), torch.zeros(1, 1, 200, 16), normal(1, 1, 200, 16)
    query[..., 0], key[0, 0, 0, 0], value[0, 0, 0] = 1.0, 40.0, 0.0

    def packed(x: Tensor) -> Tensor:
        blocks = to_blocks(x, None)
        return torch.cat((blocks.values.flatten(-2), blocks.exponent.to(torch.int8)), -1)

    exact = nn.functional.scaled_dot_product_attention(query, key, value + 1, scale=0.25)
    value = value + 1
    found = integer_attention(packed(query), packed(key), packed(value), None, 0.25)
    assert (found - exact).norm() < 0.03 * exact.norm()


def test_the_model_comes_near_the_dense_one_as_bits_and_parts_allow(toy_task: Make) -> None:
    task = toy_task(model=toy_task().model.float())
    dense = logits(task.model, sample(task))

    def error(method: BCT) -> float:
        candidate = method.build(task)
        return float((logits(candidate, sample(task)) - dense).norm() / dense.norm())

    eight, linear, four, columns = error(BCT()), error(BCT(nonlinear=False)), error(BCT(bits=4)), error(BCT(block=1))
    assert columns < 0.06
    assert eight < 0.12
    assert linear < eight < 0.3 * four


@pytest.mark.parametrize("method", [BCT(), BCT(block=None), BCT(bits=4), BCT(block=16)])
def test_a_token_hangs_on_nothing_but_what_is_before_it(toy_task: Make, method: BCT) -> None:
    """Bit by bit: alone or in a batch, padded or not, with a cache or without."""
    task = toy_task()
    candidate, ids = method.build(task), sample(task)
    whole = logits(candidate, ids)
    assert torch.equal(logits(candidate, ids[:1]), whole[:1])
    assert torch.equal(logits(candidate, ids[:, :20]), whole[:, :20])
    with torch.no_grad():
        first = candidate(ids[:, :1], use_cache=True)
        parts, cache = [first.logits], first.past_key_values
        for step in (ids[:, 1:30], ids[:, 30:31], ids[:, 31:48]):
            parts.append(candidate(step, past_key_values=cache, use_cache=True).logits)
    assert torch.equal(torch.cat(parts, 1).float(), whole)
    padded = torch.cat((torch.zeros_like(ids[:, :5]), ids), 1)
    mask = (torch.arange(53) >= 5).long().expand(2, -1)
    positions = (torch.arange(53) - 5).clamp(min=0).expand(2, -1)
    assert torch.equal(logits(candidate, padded, attention_mask=mask, position_ids=positions)[:, 5:], whole)


def test_the_cache_holds_bytes(toy_task: Make) -> None:
    task = toy_task()
    with torch.no_grad():
        cache = BCT().build(task)(sample(task), use_cache=True).past_key_values
    assert (
        {layer.keys.dtype for layer in cache.layers} == {layer.values.dtype for layer in cache.layers} == {torch.int8}
    )
    assert cache.layers[0].keys.shape == (2, 2, 48, 17)


def test_generation_works_with_and_without_cache(toy_task: Make) -> None:
    task = toy_task()
    candidate = BCT().build(task)
    settings = {"max_new_tokens": 6, "do_sample": False}
    cached = candidate.generate(sample(task)[:, :6], use_cache=True, **settings)
    assert cached.shape == (2, 12)
    assert torch.equal(cached, candidate.generate(sample(task)[:, :6], use_cache=False, **settings))


@pytest.mark.parametrize("bits", [8, 4])
def test_no_float_is_stored_but_the_last_norm(toy_task: Make, bits: int) -> None:
    task = toy_task()
    dense = task.model
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    candidate = BCT(bits=bits).build(task)
    state = candidate.state_dict()
    assert [name for name, value in state.items() if value.is_floating_point()] == ["model.norm.weight"]
    assert candidate.lm_head.codes is candidate.model.embed_tokens.codes
    stored = sum(value.nbytes for value in {value.data_ptr(): value for value in state.values()}.values())
    names = [*block_linears(dense), "lm_head"]
    shapes = [dense.get_submodule(name).weight.shape for name in names]
    codes = sum(rows * columns * bits // 8 for rows, columns in shapes)
    shifts = sum(-(-rows // 64) * (columns // 64) for rows, columns in shapes)
    norms = 12 * (64 + 1) + 2 * 64
    assert stored == codes + shifts + norms
    pointers = {tensor.data_ptr() for tensor in before.values()} | {
        tensor.data_ptr() for tensor in dense.state_dict().values()
    }
    assert pointers.isdisjoint(tensor.data_ptr() for tensor in state.values())
    assert all(torch.equal(before[name], value) for name, value in dense.state_dict().items())


def test_a_state_dict_restores_a_candidate(toy_task: Make) -> None:
    task = toy_task()
    one, other = BCT(bits=4).build(task), BCT(bits=4).build(toy_task())
    for value in other.state_dict().values():
        value.zero_()
    other.load_state_dict(one.state_dict())
    assert torch.equal(logits(one, sample(task)), logits(other, sample(task)))


def test_a_limit_is_met_by_the_most_bits(toy_task: Make) -> None:
    task = toy_task()
    ratios = {}
    for bits in (8, 4):
        candidate = BCT(bits=bits).build(task)
        ratios[bits] = task.weigh(candidate)["stored_ratio"]
    eight = toy_task(stored_ratio=ratios[8])
    assert BCT().supports(eight) is None
    assert task.weigh(BCT().build(eight))["stored_ratio"] == ratios[8]
    between = toy_task(stored_ratio=ratios[8] - 1e-6)
    built = BCT().build(between)
    assert isinstance(built.get_input_embeddings(), BlockEmbedding)
    assert built.get_input_embeddings().bits == 4
    assert {module.bits for module in built.model.layers.modules() if isinstance(module, BlockLinear)} == {8}
    four = toy_task(stored_ratio=ratios[4])
    assert task.weigh(BCT().build(four))["stored_ratio"] == ratios[4]
    below = toy_task(stored_ratio=ratios[4] - 1e-6)
    assert f"still {ratios[4]:.4f}" in str(BCT().supports(below))


def test_what_is_not_supported_is_said(toy_task: Make) -> None:
    task = toy_task()
    assert BCT().supports(task) is None
    assert "flops_ratio" in str(BCT().supports(limited(task, flops_ratio=0.75)))
    assert "4 bits" in str(BCT(bits=4).supports(limited(task, stored_ratio=0.5)))
    assert "even number" in str(BCT(bits=4, block=1).supports(task))
    task.model.config.hidden_act = "gelu"
    assert "gelu" in str(BCT().supports(task))
    with pytest.raises(ValueError, match="4 or 8"):
        block_matrix(normal(8, 8), 3, 8)


def test_biases_are_kept_as_integers_too(toy_task: Make) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 258, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2}
    model = Qwen2ForCausalLM(Qwen2Config(**sizes, num_attention_heads=4, num_key_value_heads=2, initializer_range=0.1))
    for layer in model.model.layers:
        nn.init.normal_(layer.self_attn.q_proj.bias)
    task = toy_task(model=model.eval())
    assert BCT().supports(task) is None
    candidate = BCT().build(task)
    assert candidate.model.layers[0].self_attn.q_proj.bias.dtype == torch.int8
    dense = logits(model, sample(task))
    assert (logits(candidate, sample(task)) - dense).norm() < 0.12 * dense.norm()


@pytest.mark.gpu
def test_the_same_code_runs_on_a_gpu(cuda: str, toy_task: Make) -> None:
    x, weight = to_blocks(normal(3, 96), 48), block_matrix(normal(50, 96, seed=1), 4, 48)
    moved = replace(weight, codes=weight.codes.to(cuda), exponent=weight.exponent.to(cuda))
    on_gpu = product(Blocks(x.values.to(cuda), x.exponent.to(cuda)), moved)
    assert torch.equal(on_gpu.cpu(), product(x, weight))
    task = toy_task()
    on_cpu = logits(BCT().build(task), sample(task))
    there = toy_task(model=task.model.to(cuda))
    found = logits(BCT().build(there), sample(task).to(cuda)).cpu()
    assert (found - on_cpu).norm() < 0.1 * on_cpu.norm()
