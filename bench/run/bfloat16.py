"""Products of bfloat16 on processors that have no instructions for them.

On a CPU without AVX-512, PyTorch multiplies matrices of bfloat16 with loops of its own. They take 8 times (a linear
layer) to 40 times (its way back) as long as the library's products of float32: a model that is read in half a second
would train for hours, and ratios would be to a baseline that nobody runs. There a run's process computes them in
float32 and rounds the result, which is what the instructions do where there are any.
"""

import warnings
from typing import Any

import torch
from torch import Tensor

ROWS = 8
"""Fewer rows, times a matrix that lies as linear layers keep it, are read faster by PyTorch's own loop."""

_replaced: list[torch.library.Library] = []


def slow_products() -> bool:
    """Whether products of bfloat16 are slow on this machine's CPU."""
    return not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def widen_products() -> None:
    """Replace the products of this process, once, where they are slow; those of other types stay what they are."""
    if _replaced or not slow_products():
        return
    library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*Overriding a previously registered kernel")
        for name, worth in _WIDENED.items():
            library.impl(name, _widened(name, worth), "CPU", with_keyset=True)  # type: ignore[no-untyped-call]
    _replaced.append(library)


def _widened(name: str, worth: Any) -> Any:
    stock = torch.library.get_kernel(f"aten::{name}", "CPU")

    def product(keyset: Any, *args: Any, **kwargs: Any) -> Any:
        if args[1].dtype is not torch.bfloat16 or not worth(*args):
            return stock.call_boxed(keyset, *args, **kwargs)
        wide = [each.float() if _narrow(each) else each for each in args]
        return _rounded(stock.call_boxed(keyset, *wide, **kwargs))

    return product


def _narrow(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype is torch.bfloat16


def _rounded(found: Any) -> Any:
    return found.bfloat16() if isinstance(found, Tensor) else tuple(each.bfloat16() for each in found)


def _is_worth(x: Tensor, y: Tensor) -> bool:
    return x.shape[-2] >= ROWS or y.stride(-1) == 1


_WIDENED = {
    "mm": _is_worth,
    "bmm": _is_worth,
    "addmm": lambda _, x, y: _is_worth(x, y),
    "baddbmm": lambda _, x, y: _is_worth(x, y),
    "_scaled_dot_product_flash_attention_for_cpu_backward": lambda *_: True,
}
"""By operator: whether it is worth it for these operands."""
