"""Measures what the machine can do at best: `python -m bench.measure.ceilings --device cpu --threads 1 --json`.

In a process of its own, with the threads of the runs that it judges. Every rate is the best of many repeats that are
spread over some seconds, so that a moment in which others kept the machine busy does not lower it.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
import torch

from bench.measure.clock import clock
from bench.record.ceilings import Ceilings, store_ceilings
from bench.record.environment import hardware_class, library_versions

KIB = 2**10
SIZES = tuple(64 * KIB * 4**power for power in range(8))
"""Bytes of the buffers, 64 KiB to 1 GiB: from the inner caches to beyond the outermost."""
MEMORY_SHARE = 8
"""No buffer takes more than this part of the memory that is free."""
LEAST_BYTES = {"cpu": 4 * 2**20, "cuda": 2**30}
"""Moved in one timed call, so that starting it counts for little."""
MATRIX_ORDERS = (256, 512, 1024, 2048, 4096, 8192)
CALL_SECONDS = 0.08
"""A cell whose call takes longer is not tried at the next larger size."""
TYPES = ("float32", "tf32", "float64", "bfloat16", "float16", "int8", "float8")


@dataclass(frozen=True)
class Cell:
    """One call to be timed and what it does: `amount` bytes or FLOPs, for the table and key that it belongs to."""

    table: str
    key: int | str
    amount: float
    run: Callable[[], object]


def measure_ceilings(device: str, threads: int, seconds: float = 8.0) -> Ceilings:
    """Measure all rates for about `seconds`, every cell at least twice. Sets torch's number of threads."""
    torch.set_num_threads(threads)
    best: dict[str, dict[int | str, float]] = {"bandwidth": {}, "matrix": {}}
    with torch.inference_mode():
        cells = [*_bandwidth_cells(device), *_matrix_cells(device)]
        deadline = time.perf_counter() + seconds
        rounds = 0
        while rounds < 2 or time.perf_counter() < deadline:
            rounds += 1
            for cell in cells:
                rate = cell.amount / clock(cell.run, device)
                best[cell.table][cell.key] = max(rate, best[cell.table].get(cell.key, 0.0))
    return Ceilings.model_validate(
        best
        | {
            "hardware": hardware_class(device, threads),
            "measured": datetime.now(UTC),
            "versions": library_versions(),
        }
    )


def _bandwidth_cells(device: str) -> Iterator[Cell]:
    """Reading a buffer in two ways, and copying it, which moves it twice. One call goes over a small buffer many
    times: a stride of zero repeats it without a copy."""
    free = torch.cuda.mem_get_info(device)[0] if device.startswith("cuda") else psutil.virtual_memory().available
    for size in SIZES:
        if size * MEMORY_SHARE > free:
            return
        source = torch.ones(size // 4, device=device)
        rows = max(1, LEAST_BYTES[torch.device(device).type] // size)
        repeated = source.expand(rows, len(source))
        target = torch.empty(len(source) // 2, device=device)
        half = source[: len(target)]
        yield Cell("bandwidth", size, size * rows, partial(repeated.sum, 1))
        yield Cell("bandwidth", size, size * rows, partial(repeated.amax, 1))
        yield Cell("bandwidth", size, size, partial(target.copy_, half))


def _matrix_cells(device: str) -> Iterator[Cell]:
    """Square products of each type that has a kernel here, of all orders up to one whose call takes too long."""
    for name in TYPES:
        for order in MATRIX_ORDERS:
            run = _product(name, order, device)
            if run is None:
                break
            try:
                run()
                taken = clock(run, device)
            except (RuntimeError, NotImplementedError):  # no kernel for this type, or no memory for this order
                break
            yield Cell("matrix", name, 2.0 * order**3, run)
            if taken * 8 > CALL_SECONDS:  # the next order takes eight times as long
                break


def _product(name: str, order: int, device: str) -> Callable[[], object] | None:
    """A product of two square matrices of a type; None for a type that only other devices have."""
    cuda = device.startswith("cuda")
    ones = partial(torch.ones, order, order, device=device)
    if name == "int8":
        return partial(torch._int_mm, ones(dtype=torch.int8), ones(dtype=torch.int8))
    if name == "tf32":
        return partial(_in_tf32, ones(), ones()) if cuda else None
    if name == "float8":
        if not cuda:
            return None
        scale = torch.ones((), device=device)
        x, y = ones().to(torch.float8_e4m3fn), ones().to(torch.float8_e4m3fn).t()
        return partial(torch._scaled_mm, x, y, scale, scale, out_dtype=torch.bfloat16, use_fast_accum=True)
    kind = getattr(torch, name)
    return partial(torch.mm, ones(dtype=kind), ones(dtype=kind))


def _in_tf32(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        return x @ y
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def main(argv: list[str] | None = None) -> None:
    """Print the ceilings, and store them with --results."""
    parser = argparse.ArgumentParser(prog="python -m bench.measure.ceilings", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; the hardware class names them")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long to measure")
    parser.add_argument("--results", type=Path, help="folder of records to merge them into")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    found = measure_ceilings(options.device, options.threads, options.seconds)
    if options.results is not None:
        found = store_ceilings(options.results, found)
    if options.json:
        print(found.model_dump_json())
        return
    print(found.hardware)
    for size, rate in found.bandwidth.items():
        print(f"{size / KIB:12.0f} KiB {rate / 1e9:10.1f} GB/s")
    for name, rate in found.matrix.items():
        print(f"{name:>16} {rate / 1e12:10.3f} TFLOP/s")


if __name__ == "__main__":
    main()
