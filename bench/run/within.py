"""What a party that runs a method's code does first: it goes behind the fence and makes its libraries repeatable."""

import importlib.metadata
import importlib.util
import os
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bench.contract.cache import cache_root
from bench.contract.exam import close_exam
from bench.run.bfloat16 import widen_products
from bench.run.channel import Channel
from bench.run.fence import Fence, enclose
from bench.run.order import Order
from bench.run.witness import bear_witness


def say(stage: str) -> None:
    """Into the log: what the run is about to do."""
    print(f"[effbench] {stage}", file=sys.stderr, flush=True)


def repeatable(order: Order) -> None:
    """Threads and generators of the libraries, which still draw from the global ones."""
    import torch

    torch.set_num_threads(order.threads)
    random.seed(order.seed)
    np.random.seed(order.seed)
    torch.manual_seed(order.seed)
    widen_products()


def go_behind_the_fence(
    order: Order,
    channel: Channel,
    *,
    writable: Sequence[Path] = (),
    readable: Sequence[Path] = (),
    models: bool = False,
) -> None:
    """From now on this process can't read the exam nor what other parties write, nor write a record, and the judge
    hears of it if it tries. writable, readable: beside its own folder. models: whether base models can be read."""
    folder = Path.cwd()
    hidden = out_of_reach(order, models=models)
    os.environ["EFFBENCH_CACHE"] = str(cache_root())  # which is found by the home folder, where nobody has named it
    for name in ("HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR"):
        os.environ[name] = str(folder)
    enclose(Fence((folder, *writable), tuple(hidden), tuple(readable), network=order.scale == "full"))
    bear_witness(channel, hidden, [folder, *writable, *readable], [Path(each) for each in order.protected])
    close_exam()


def out_of_reach(order: Order, *, models: bool) -> list[Path]:
    """Files and folders that hold data or an exam, what other parties of the run write, and base models where those
    can't be had."""
    cache = cache_root()
    hidden = [Path(order.folder), cache / "data", cache / "baselines", *packages_of(order.data)]
    if not models:
        hidden.append(cache / "models")
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    return [*hidden, home / "datasets", *hub.glob("datasets--*")]


def packages_of(distributions: Iterable[str]) -> list[Path]:
    """Where the packages of these distributions lie; of those that are installed."""
    found = []
    for name in distributions:
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        tops = {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}
        site = Path(str(importlib.metadata.distribution(name).locate_file("")))
        found += [site / top for top in tops if not top.endswith(".dist-info")]
    return found
