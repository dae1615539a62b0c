"""Compulsory work against closed forms: never more than what must be read and executed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from bench.measure.regions import distinct_bytes, region
from bench.measure.work import count_work

ROWS, INNER, COLUMNS = 3, 64, 32
X = torch.randn(ROWS, INNER)


def bytes_of(run: Callable[[], object]) -> float:
    with torch.inference_mode():
        return count_work(run).bytes


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize(("dtype", "width"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_linear_reads_weight_bias_and_input_once(dtype: torch.dtype, width: int, mode: Any) -> None:
    layer = nn.Linear(INNER, COLUMNS, dtype=dtype)
    x = X.to(dtype)
    with mode():
        work = count_work(lambda: layer(x))
    assert work.bytes == width * (INNER * COLUMNS + COLUMNS + ROWS * INNER)
    assert work.flops == 2 * ROWS * INNER * COLUMNS


def test_reading_a_weight_again_is_free() -> None:
    weight = torch.randn(INNER, INNER)
    assert bytes_of(lambda: X @ weight @ weight.t() @ weight) == 4 * (INNER * INNER + ROWS * INNER)


def test_what_the_call_makes_is_not_compulsory() -> None:
    weight = torch.randn(INNER, INNER)
    assert bytes_of(lambda: torch.ones(ROWS, INNER) @ weight) == 4 * INNER * INNER


@pytest.mark.parametrize(
    ("views", "elements"),
    [
        ([lambda w: w[:5]], 5 * INNER),
        ([lambda w: w[:5], lambda w: w[3:9]], 9 * INNER),  # overlap
        ([lambda w: w[:, :5]], 5 * INNER),
        ([lambda w: w[:, :5], lambda w: w[:, 5:]], INNER * INNER),
        ([lambda w: w[:, :5], lambda w: w[:, 3:9], lambda w: w[:2]], 9 * INNER + 2 * (INNER - 9)),
        ([lambda w: w[::2, ::2]], (INNER // 2) ** 2),
        ([lambda w: w[:1].expand(7, INNER)], INNER),
    ],
)
def test_views_drag_no_storage_along(views: list[Callable[[Tensor], Tensor]], elements: int) -> None:
    weight = torch.randn(INNER, INNER)

    def run() -> None:
        for view in views:
            operand = view(weight)
            torch.ones(2, operand.shape[0]) @ operand

    assert bytes_of(run) == 4 * elements


shapes = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(shapes, st.tuples(*[st.integers(0, 12)] * 3), st.integers(0, 20)), min_size=1, max_size=4))
def test_the_union_of_any_views_is_exact(views: list[tuple[tuple[int, ...], tuple[int, ...], int]]) -> None:
    """Overlapping and repeating views of one storage, against marking each element that they reach."""
    storage = torch.zeros(256, dtype=torch.int16)
    taken = []
    for shape, stride, offset in views:
        view = storage.as_strided(shape, stride, offset)
        taken.append(region(view))
        index = sum(
            (
                torch.arange(count).view([-1 if d == axis else 1 for d in range(3)]) * step
                for axis, (count, step) in enumerate(zip(shape, stride, strict=True))
            ),
            start=torch.tensor(offset),
        )
        storage[index.flatten()] = 1
    assert distinct_bytes(set(taken)) == 2 * int(storage.sum())


def test_a_lookup_gives_rows_and_a_tied_head_reads_the_table_once() -> None:
    table = nn.Embedding(100, 16)
    ids = torch.tensor([[3, 3, 99, 4]])
    assert bytes_of(lambda: table(ids)) == 4 * 3 * 16
    assert bytes_of(lambda: table.weight[ids]) == 4 * 3 * 16
    assert bytes_of(lambda: table.weight.index_select(0, ids[0])) == 4 * 3 * 16
    assert bytes_of(lambda: table(ids) @ table.weight.t()) == 4 * 100 * 16


def test_packed_int8_weights_count_as_stored() -> None:
    x = X.to(torch.bfloat16)
    weight, scales = torch.ones(COLUMNS, INNER, dtype=torch.int8), torch.ones(COLUMNS, dtype=torch.bfloat16)
    run = lambda: torch.ops.aten._weight_int8pack_mm(x, weight, scales)  # noqa: E731
    assert bytes_of(run) == COLUMNS * INNER + 2 * COLUMNS + 2 * ROWS * INNER


def test_weights_that_are_widened_first_count_as_stored() -> None:
    weight, scale = torch.ones(COLUMNS, INNER, dtype=torch.int8), torch.ones(COLUMNS, 1)
    x = torch.ones(ROWS, INNER)
    assert bytes_of(lambda: x @ (weight.float() * scale).t()) == COLUMNS * INNER + 4 * COLUMNS + 4 * ROWS * INNER


def test_a_part_of_widened_weights_is_not_the_whole() -> None:
    weight = torch.ones(COLUMNS, INNER, dtype=torch.int8)
    x = torch.ones(ROWS, INNER)
    assert bytes_of(lambda: x @ weight.float()[:1].t()) == 4 * ROWS * INNER


def test_a_buffer_that_the_call_fills_need_not_be_read() -> None:
    weight, buffer = torch.ones(COLUMNS, INNER, dtype=torch.int8), torch.empty(COLUMNS, INNER)

    def run() -> None:
        buffer.copy_(weight)
        torch.ones(ROWS, INNER) @ buffer.t()

    assert bytes_of(run) == 0


def test_in_place_arithmetic_keeps_what_it_is_made_of() -> None:
    weight = torch.ones(COLUMNS, INNER, dtype=torch.int8)
    x = torch.ones(ROWS, INNER)
    assert bytes_of(lambda: x @ weight.float().mul_(2).t()) == COLUMNS * INNER + 4 * ROWS * INNER


def test_torchao_weights_count_as_stored() -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    model = nn.Sequential(nn.Linear(INNER, COLUMNS, bias=False)).to(torch.bfloat16)
    quantize_(model, Int8WeightOnlyConfig())
    x = X.to(torch.bfloat16)
    counted = bytes_of(lambda: model(x))
    assert counted == COLUMNS * INNER + 2 * ROWS * INNER


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_weights_packed_out_of_sight_count_as_stored() -> None:
    packed = torch.ops.quantized.linear_prepack(
        torch.quantize_per_tensor(torch.ones(COLUMNS, INNER), 1, 0, torch.qint8)
    )
    assert bytes_of(lambda: torch.ops.quantized.linear_dynamic(X, packed)) == COLUMNS * INNER + 4 * ROWS * INNER


def test_convolution_reads_its_kernel_and_input() -> None:
    x, kernel = torch.ones(2, 4, 10), torch.ones(6, 4, 3)
    assert bytes_of(lambda: functional.conv1d(x, kernel)) == 4 * (x.numel() + kernel.numel())


@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (5, 9), (9, 5), (1, 7)])
def test_causal_attention_counts_its_triangle_alone(queries: int, keys: int) -> None:
    heads, size = 2, 8
    query, key, value = (torch.randn(1, heads, n, size) for n in (queries, keys, keys))
    with torch.inference_mode():
        causal = count_work(lambda: functional.scaled_dot_product_attention(query, key, value, is_causal=True))
        whole = count_work(lambda: functional.scaled_dot_product_attention(query, key, value))
    pairs = int(torch.ones(queries, keys).tril().sum())
    assert causal.flops == pytest.approx(2 * 2 * heads * size * pairs)
    assert causal.bytes == 4 * heads * size * (queries + 2 * min(queries, keys))
    assert whole.flops == 2 * 2 * heads * size * queries * keys
    assert whole.bytes == 4 * heads * size * (queries + 2 * keys)


def test_attention_under_a_mask_of_its_own_counts_nothing() -> None:
    query = key = torch.randn(1, 2, 5, 8)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    with torch.inference_mode():
        work = count_work(lambda: functional.scaled_dot_product_attention(query, key, key, attn_mask=mask))
    assert (work.flops, work.bytes) == (0, 0)
    assert work.products == 2 * 2 * 2 * 5 * 5 * 8  # as it is reported, nothing left out


def test_what_is_reported_stands_beside_the_least() -> None:
    layer = nn.Linear(INNER, COLUMNS)
    with torch.inference_mode():
        work = count_work(lambda: torch.relu(layer(X)))
    assert work.products == work.flops == 2 * ROWS * INNER * COLUMNS
    assert work.elementwise == ROWS * COLUMNS


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_sparse_matrix_is_read_as_stored_and_its_flops_are_in_doubt() -> None:
    dense = torch.zeros(COLUMNS, INNER)
    dense[::4, ::8] = 1
    sparse = dense.to_sparse_csr()
    with torch.no_grad():
        work = count_work(lambda: sparse @ X.t().contiguous())
    values = COLUMNS // 4 * (INNER // 8)
    assert work.bytes <= 12 * values + 8 * (COLUMNS + 1) + 4 * ROWS * INNER
    assert work.flops <= 2 * values * ROWS


def test_training_reads_each_weight_once() -> None:
    layer = nn.Linear(INNER, COLUMNS, bias=False)
    x = X.clone().requires_grad_()
    work = count_work(lambda: layer(x).sum().backward())
    assert work.bytes == 4 * (INNER * COLUMNS + ROWS * INNER)
    assert work.flops == 3 * 2 * ROWS * INNER * COLUMNS


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_decode_step_reads_all_weights_and_the_cache(attention: str) -> None:
    hidden, mlp, layers, heads, kv_heads, size, vocabulary, past = 48, 80, 2, 6, 2, 8, 64, 11
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        attn_implementation=attention,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).eval()
    cache = DynamicCache(config=config)
    with torch.inference_mode():
        model(torch.ones(1, past, dtype=torch.long), past_key_values=cache, use_cache=True)
        work = count_work(lambda: model(torch.ones(1, 1, dtype=torch.long), past_key_values=cache, use_cache=True))
    weights = (
        layers * (2 * hidden * heads * size + 2 * hidden * kv_heads * size + 3 * hidden * mlp) + hidden * vocabulary
    )
    norms = (2 * layers + 1) * hidden
    kept = layers * 2 * kv_heads * size * past
    rotation = work.bytes / 4 - weights - norms - kept  # the table of frequencies, a product too
    assert rotation in {0, size // 2}
    assert work.flops >= 2 * weights
