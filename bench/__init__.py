"""effbench: benchmark suite and leaderboard for efficient model methods."""

import sys
from importlib.abc import MetaPathFinder
from typing import Any

__version__ = "0.1.0"

_NAMED_AT_IMPORT = ("nms", "qnms")
"""Operators of torchvision that its Python files speak of while they are imported."""


class _WithoutKernels(MetaPathFinder):
    """torchvision's wheel holds kernels for one build of torch. Beside another (torch for CPUs alone) they can't be
    loaded, and the import then stops at their names, transformers' with it; all that is Python works without them. So
    the names are declared first, where the kernels have not done so. Nobody here calls them."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name == "torchvision._meta_registrations" and not sys.modules["torchvision.extension"]._has_ops():
            import torch

            for operator in _NAMED_AT_IMPORT:
                if not hasattr(torch.ops.torchvision, operator):
                    torch.library.define(
                        f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                    )


sys.meta_path.insert(0, _WithoutKernels())
