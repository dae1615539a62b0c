"""Shared fixtures. The toy plug-in is found by its entry points, in this process and in the parties of a run."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.registry import Registry, open_registry

# As in a run: `datasets` reads this when it is imported, and would tell its makers what is loaded.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

TOY = Path(__file__).parent / "toy_plugin"

# A shell that starts the tests in the background has them ignore Ctrl-C, and so all that they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

torch.set_num_threads(1)  # toy models lose more than they win with several threads on a busy machine


@pytest.fixture
def toy_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The registry with the toy suite and its methods, here and in child processes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(TOY), os.environ.get("PYTHONPATH")])))
    monkeypatch.syspath_prepend(str(TOY))
    open_registry.cache_clear()
    yield open_registry()
    open_registry.cache_clear()
    for name in [name for name in sys.modules if name.startswith("effbench_toy")]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def cuda() -> str:
    """The CUDA device, or skip."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return "cuda"
