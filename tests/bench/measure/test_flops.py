"""FLOPs against closed forms worked out by hand."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from bench.measure.flops import Flops, UncountedOperatorError, count_flops, count_operators, flops_of, is_product

BATCH, ROWS, INNER, COLUMNS = 2, 3, 8, 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [False, True])
def test_linear_is_two_flops_per_multiply_add(dtype: torch.dtype, bias: bool) -> None:
    layer = nn.Linear(INNER, COLUMNS, bias=bias, dtype=dtype)
    x = torch.randn(BATCH, ROWS, INNER, dtype=dtype)
    assert count_flops(lambda: layer(x)) == 2 * BATCH * ROWS * INNER * COLUMNS


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_count_does_not_depend_on_gradient_mode(mode: type) -> None:
    layer = nn.Linear(INNER, COLUMNS)
    with mode():
        assert count_flops(lambda: layer(torch.ones(ROWS, INNER))) == 2 * ROWS * INNER * COLUMNS


def test_backward_of_a_linear_layer_costs_twice_its_forward() -> None:
    layer = nn.Linear(INNER, COLUMNS)
    x = torch.randn(ROWS, INNER, requires_grad=True)
    assert count_flops(lambda: layer(x).sum().backward()) == 3 * 2 * ROWS * INNER * COLUMNS


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (lambda: torch.bmm(torch.ones(2, 3, 8), torch.ones(2, 8, 5)), 2 * 2 * 3 * 8 * 5),
        (lambda: torch.ones(2, 3, 8) @ torch.ones(8, 5), 2 * 2 * 3 * 8 * 5),
        (lambda: torch.einsum("bij,bjk->bik", torch.ones(2, 3, 8), torch.ones(2, 8, 5)), 2 * 2 * 3 * 8 * 5),
        (lambda: torch.addbmm(torch.ones(3, 5), torch.ones(2, 3, 8), torch.ones(2, 8, 5)), 2 * 2 * 3 * 8 * 5),
        (lambda: torch.ones(3, 8) @ torch.ones(8), 2 * 3 * 8),
        (lambda: torch.addmv(torch.ones(3), torch.ones(3, 8), torch.ones(8)), 2 * 3 * 8),
        (lambda: torch.ones(8) @ torch.ones(8), 2 * 8),
        (lambda: functional.conv1d(torch.ones(2, 4, 10), torch.ones(6, 4, 3)), 2 * 2 * 6 * 8 * 4 * 3),
        (lambda: torch.relu(torch.ones(3)) + 1, 0),
    ],
)
def test_closed_forms_of_products(run, expected) -> None:
    assert count_flops(run) == expected


def test_int8_weights_change_bytes_not_flops() -> None:
    x = torch.randn(ROWS, 64, dtype=torch.bfloat16)
    weight, scales = torch.ones(32, 64, dtype=torch.int8), torch.ones(32, dtype=torch.bfloat16)
    assert count_flops(lambda: torch.ops.aten._weight_int8pack_mm(x, weight, scales)) == 2 * ROWS * 64 * 32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_counts_the_whole_rectangle_for_every_query_head(dtype: torch.dtype, causal: bool) -> None:
    query = torch.randn(BATCH, 6, 7, 16, dtype=dtype)
    key = value = torch.randn(BATCH, 2, 7, 16, dtype=dtype)
    attend = partial(functional.scaled_dot_product_attention, query, key, value, is_causal=causal, enable_gqa=True)
    assert count_flops(attend) == 2 * (2 * BATCH * 6 * 7 * 7 * 16)


@pytest.mark.parametrize("kernel", ["flash", "efficient", "cudnn"])
def test_every_kernel_of_a_gpu_has_grouped_queries_too(kernel: str) -> None:
    """PyTorch's own formulas refuse them before 2.13. Nothing runs: the formula sees shapes alone."""
    query, key = (torch.empty(2, heads, 7, 16, device="meta") for heads in (6, 2))
    forward = getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}_attention").default
    backward = getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}_attention_backward").default
    product = 2 * 2 * 6 * 7 * 7 * 16
    assert flops_of(forward, (query, key, key), {}, query) == 2 * product
    assert flops_of(backward, (query, query, key, key), {}, (query, key, key)) == 5 * product


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_on_a_gpu_counts_what_it_does_on_a_cpu(cuda: str, dtype: torch.dtype) -> None:
    counts = []
    for device in ("cpu", cuda):
        query, key = (torch.randn(2, heads, 64, 16, device=device, dtype=dtype) for heads in (6, 2))
        counts.append(count_flops(partial(functional.scaled_dot_product_attention, query, key, key, enable_gqa=True)))
    assert counts[0] == counts[1]


def test_the_way_back_through_attention_is_five_products() -> None:
    query, key, value = (torch.randn(BATCH, 6, 7, 16, requires_grad=True) for _ in range(3))

    def both_ways() -> None:
        functional.scaled_dot_product_attention(query, key, value).sum().backward()

    assert count_flops(both_ways) == (2 + 5) * (2 * BATCH * 6 * 7 * 7 * 16)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_whole_llama_is_its_hand_formula(attention: str, dtype: torch.dtype) -> None:
    hidden, mlp, layers, heads, kv_heads, size, vocabulary, tokens = 48, 80, 3, 6, 2, 8, 64, 11
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        attn_implementation=attention,
    )
    model = LlamaForCausalLM(config).to(dtype).eval()
    ids = torch.ones(1, tokens, dtype=torch.long)
    per_token = layers * (2 * hidden * heads * size + 2 * hidden * kv_heads * size + 3 * hidden * mlp)
    products = layers * 2 * heads * size * tokens * tokens
    with torch.no_grad():
        counted = count_flops(lambda: model(ids))
    assert counted == 2 * (tokens * (per_token + hidden * vocabulary) + products)


def test_compiled_code_counts_as_it_was_written() -> None:
    """A backend whose kernels do not go through the dispatcher hides its products, as fused ones do."""
    layer = nn.Linear(INNER, COLUMNS)

    def hiding(graph: object, examples: object):
        return lambda *inputs: (torch.zeros(ROWS, COLUMNS),)

    compiled = torch.compile(layer, backend=hiding)
    with torch.no_grad():
        assert not compiled(torch.ones(ROWS, INNER)).any()
        flops = count_flops(lambda: compiled(torch.ones(ROWS, INNER)))
    assert flops == 2 * ROWS * INNER * COLUMNS


def test_a_product_without_a_formula_is_refused_by_name() -> None:
    @torch.library.custom_op("effbench_test::secret_mm", mutates_args=())
    def secret_mm(x: torch.Tensor) -> torch.Tensor:
        return x @ x

    with pytest.raises(UncountedOperatorError, match=r"effbench_test.secret_mm.*register_flop_formula"):
        count_flops(lambda: secret_mm(torch.ones(4, 4)))


@pytest.mark.parametrize(
    ("run", "elementwise"),
    [
        (lambda: torch.ones(3, 5) * 2, 15),
        (lambda: torch.relu(torch.ones(3)) + 1, 6),
        (lambda: torch.ones(3, 1) * torch.ones(1, 5), 15),  # as many as are made, however few are read
        (lambda: torch.ones(4, 6).sum(1), 24),  # as many as are put together, however few come out
        (lambda: torch.ones(4, 6).mean(), 24),
        (lambda: torch.ones(4, 6).cumsum(0), 24),
        (lambda: (torch.ones(3, 1, 8) * torch.ones(1, 5, 8)).sum(-1), 2 * 3 * 5 * 8),  # a product in disguise
        (lambda: torch.ones(3, 8) @ torch.ones(8, 5), 0),
        (lambda: torch.ones(4, 6).t()[1:].unsqueeze(0), 0),
    ],
)
def test_elementwise_operators_and_sums_are_counted_apart(run, elementwise) -> None:
    assert count_operators(run).elementwise == elementwise


def test_elementwise_work_is_reported_beyond_that_of_another_model() -> None:
    found = Flops(products=100, elementwise=30)
    assert found.beyond(30) == found.beyond(50) == 100
    assert found.beyond(10) == 120
    assert found.beyond(0) == 130


def test_a_product_that_is_written_elementwise_costs_no_less_than_the_product() -> None:
    x, weight = torch.randn(ROWS, INNER), torch.randn(COLUMNS, INNER)
    plain = count_operators(lambda: torch.relu(x @ weight.t()))
    disguised = count_operators(lambda: torch.relu((x[:, None] * weight).sum(-1)))
    assert disguised.beyond(plain.elementwise) == plain.beyond(plain.elementwise) == plain.products


@pytest.mark.parametrize(
    "way",
    [lambda x: x.numpy(), np.asarray, np.from_dlpack, lambda x: x.data_ptr()],
    ids=["numpy", "asarray", "from_dlpack", "data_ptr"],
)
def test_tensors_that_leave_torch_are_refused(way) -> None:
    """What NumPy, or a kernel that is given an address, does with them nobody counts."""
    x = torch.ones(4, 4)
    with pytest.raises(UncountedOperatorError, match=r"Tensor\.\w+ \(what is done outside of PyTorch\)"):
        count_operators(lambda: way(x))


def test_numbers_that_are_read_off_are_not() -> None:
    x = torch.ones(4, 4)
    assert count_operators(lambda: [x.sum().item(), x.tolist(), x.shape, x.dtype]).products == 0


@pytest.mark.parametrize(
    "name",
    [
        "aten.mm",
        "aten.addmm",
        "lib.int4_linear",
        "flash_attn._flash_attn_forward",
        "aten._cudnn_rnn",
        "x.conv2d",
        "onednn.qconv_pointwise",
    ],
)
def test_products_are_known_by_name(name: str) -> None:
    assert is_product(name)


@pytest.mark.parametrize(
    "name",
    [
        "onednn.qconv_prepack",
        "aten.cummax",
        "aten.upsample_bilinear2d",
        "aten._convert_weight_to_int4pack",
        "aten.silu",
        "aten.linspace",
    ],
)
def test_other_operators_are_not_taken_for_products(name: str) -> None:
    assert not is_product(name)


def test_a_recurrent_layer_counts_its_products_forward_and_back() -> None:
    """Each of 7 steps of 3 sequences: inputs and states times the matrices of four gates."""
    layers = torch.nn.LSTM(2, 5, num_layers=2, batch_first=True)
    x = torch.randn(3, 7, 2)
    by_hand = 2 * 3 * 7 * (20 * 2 + 20 * 5 + 20 * 5 + 20 * 5)
    with torch.no_grad():
        assert count_operators(lambda: layers(x)).products == by_hand
    trained = count_operators(lambda: layers(x)[0].sum().backward()).products
    assert trained == 3 * by_hand
