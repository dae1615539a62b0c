"""FLOPs of what really ran: the operators that a call executes, each by its closed form.

One multiply-add is two FLOPs. Counted are matrix products, convolutions and attention, which is where a network's work
lies. Attention counts the whole rectangle of queries x keys, causal or not, as is usual. Elementwise operators are
counted by themselves, one FLOP for each number that they make, and sums one for each that they take: they are next to
nothing in a plain network, and may stand for a product in another. The counting itself is PyTorch's
(torch.utils.flop_counter); here are the formulas that it, or an older one, lacks, and the refusal to return a number
that leaves work out.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry, shape_wrapper

Shape = Sequence[int]
Formula = Callable[..., int]


class UncountedOperatorError(RuntimeError):
    """A product ran whose FLOPs nobody knows: the count would be too low, and a method would look cheaper than it is.

    Mended by `torch.utils.flop_counter.register_flop_formula` in the module that brings the operator.
    """

    def __init__(self, operators: Sequence[str]) -> None:
        super().__init__(
            f"no FLOP formula for {', '.join(operators)}; register one with "
            "torch.utils.flop_counter.register_flop_formula where the operator is defined"
        )
        self.operators = tuple(operators)


@dataclass(frozen=True)
class Flops:
    """products: of matrix products, convolutions, attention. elementwise: of all operators that go number by number."""

    products: int
    elementwise: int

    def beyond(self, elementwise: float) -> float:
        """What is reported: the products, and the elementwise work beyond that of another model."""
        return self.products + max(0.0, self.elementwise - elementwise)


def count_flops(run: Callable[[], object]) -> int:
    """Of the products alone; see `count_operators`."""
    return count_operators(run).products


def count_operators(run: Callable[[], object]) -> Flops:
    """FLOPs of the operators that `run()` executes, forward and backward, on any device.

    PyTorch runs compiled functions as they were written while operators are observed, so fused kernels hide nothing
    (tested). Kernels that are launched without going through PyTorch's dispatcher (bare Triton) are not seen.
    Raises UncountedOperatorError if an operator that looks like a product has no formula, or if tensors leave PyTorch
    on the way (for NumPy, say), where anything may be done with them.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_formulas())
    # The observer is entered first, so it sees an operator after the counter has taken composite ones apart.
    with _Leaving() as leaving, _Observer() as observer, counter:
        run()
    unknown = sorted(str(op) for op in observer.seen if is_product(op) and op not in counter.flop_registry)
    if unknown or leaving.seen:
        raise UncountedOperatorError([*unknown, *sorted(leaving.seen)])
    return Flops(int(counter.get_total_flops()), observer.elementwise)


def flops_of(operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> int:
    """FLOPs of one call of an operator; 0 where no formula is known."""
    packet = operator.overloadpacket
    own = _formulas().get(packet)
    formula = flop_registry.get(packet) if own is None else shape_wrapper(own)  # type: ignore[no-untyped-call]
    return 0 if formula is None else int(formula(*args, **kwargs, out_val=out))


def _packed_product(x: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Input (..., K) times a matrix stored in any layout, giving (..., N)."""
    return 2 * math.prod(x) * out_shape[-1]


def _added_product(_added: Shape, x: Shape, y: Shape, *_: Any, **__: Any) -> int:
    """Product x (..., M, K) times y (..., K, N) with something added, which counts as nothing."""
    return 2 * math.prod(x) * y[-1]


def _grouped_product(x: Shape, y: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Products in groups of rows; where both are flat (2-d) the groups split the inner dimension instead."""
    return 2 * math.prod(x) * y[-1] if len(x) == len(y) == 2 else 2 * math.prod(out_shape) * x[-1]


def _packed_convolution(_x: Shape, _step: Any, _zero: Any, weight: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Weights (outputs, inputs of a group, height, width), whatever their layout, giving (n, outputs, ...)."""
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def _matrix_vector(x: Shape, *_: Any, **__: Any) -> int:
    return 2 * math.prod(x)


def _added_matrix_vector(_added: Shape, x: Shape, *_: Any, **__: Any) -> int:
    return 2 * math.prod(x)


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """Shapes (batch, heads, tokens, head size); fewer key heads than query heads are shared among them, which PyTorch
    before 2.13 does not know. Two products: scores, and probabilities times values."""
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _attention_backward(_gradient: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """Five products: the scores once more, and a gradient of each of queries and keys, of the head size of these;
    a gradient of each of probabilities and values, of the head size of the values."""
    return 2 * math.prod(query[:-1]) * key[-2] * (3 * query[-1] + 2 * value[-1])


def _recurrent_layer(x: Shape, of_inputs: Shape, of_states: Shape, *_: Any, **__: Any) -> int:
    """Inputs (steps, batch, width) and the states before, times their matrices, (gates, width) and (gates, states)."""
    return 2 * math.prod(x[:2]) * (math.prod(of_inputs) + math.prod(of_states))


def _recurrent_layer_backward(x: Shape, of_inputs: Shape, of_states: Shape, *_: Any, **__: Any) -> int:
    """A gradient of each of what was multiplied."""
    return 2 * _recurrent_layer(x, of_inputs, of_states)


_KERNELS = ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention",
            "fused_attention_overrideable")  # fmt: skip

_LACKING: Mapping[str, Formula] = {
    **{f"aten._scaled_dot_product_{kernel}": _attention for kernel in _KERNELS},
    **{f"aten._scaled_dot_product_{kernel}_backward": _attention_backward for kernel in _KERNELS},
    "aten._weight_int8pack_mm": _packed_product,
    "aten._weight_int4pack_mm": _packed_product,
    "aten._weight_int4pack_mm_for_cpu": _packed_product,
    "aten._weight_int4pack_mm_with_scales_and_zeros": _packed_product,
    "aten._dyn_quant_matmul_4bit": _packed_product,
    "aten._int_mm": _packed_product,
    "aten.mkldnn_linear": _packed_product,
    "aten.mkldnn_rnn_layer": _recurrent_layer,
    "aten.mkldnn_rnn_layer_backward": _recurrent_layer_backward,
    "quantized.linear": _packed_product,
    "quantized.linear_dynamic": _packed_product,
    "onednn.qlinear_pointwise": _packed_product,
    "onednn.qconv_pointwise": _packed_convolution,
    "aten.addbmm": _added_product,
    "aten._addmm_activation": _added_product,
    "aten._grouped_mm": _grouped_product,
    "aten._scaled_grouped_mm": _grouped_product,
    "aten.mv": _matrix_vector,
    "aten.dot": _matrix_vector,
    "aten.vdot": _matrix_vector,
    "aten.addmv": _added_matrix_vector,
}


def _formulas() -> dict[Any, Formula]:
    """_LACKING by operator. An operator that this build of PyTorch does not have cannot run, so it is left out."""
    found = {}
    for name, formula in _LACKING.items():
        namespace, operator = name.split(".")
        packet = getattr(getattr(torch.ops, namespace), operator, None)
        if packet is not None:
            found[packet] = formula
    return found


_PRODUCT = re.compile(
    r"(?:^|_)(?:[a-z0-9]*mm|mv|addmv|v?dot|[a-z]*matmul|[a-z]*linear|[a-z]*conv(?:olution)?(?:\d?d)?|attention|attn|einsum|"
    r"lstm|gru|rnn|addr)(?:_|$)"
)


def is_product(operator: Any) -> bool:
    """Whether the name says a matrix product, a convolution or attention, in any namespace; not what packs weights."""
    name = str(operator).rsplit(".", 1)[-1].lower()
    return _PRODUCT.search(name) is not None and not name.endswith("_prepack")


_SUMS = {
    "sum",
    "nansum",
    "mean",
    "cumsum",
    "prod",
    "cumprod",
    "logsumexp",
    "linalg_vector_norm",
    "norm",
    "segment_reduce",
}
"""Operators that put numbers together."""


class _Observer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers which operators ran, in `seen`, and counts the numbers that elementwise ones made and sums took."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[Any] = set()
        self.elementwise = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(func.overloadpacket)
        out = func(*args, **(kwargs or {}))
        numbers: Any = ()
        if torch.Tag.pointwise in func.tags:
            numbers = out
        elif func.overloadpacket.__name__ in _SUMS:
            numbers = args
        self.elementwise += sum(each.numel() for each in tree_leaves(numbers) if isinstance(each, torch.Tensor))
        return out


_WAYS_OUT = ("numpy", "__array__", "__dlpack__", "data_ptr")
"""Methods of a tensor by which its memory is handed to somebody else."""


class _Leaving(TorchFunctionMode):
    """Remembers by which ways tensors left PyTorch, in `seen`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _WAYS_OUT:
            self.seen.add(f"Tensor.{name} (what is done outside of PyTorch)")
        return func(*args, **(kwargs or {}))
