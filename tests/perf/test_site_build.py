"""How long the site takes to build, what it weighs, and what one night more costs.

On demand: `python tests/perf/test_site_build.py --records 10000 50000 100000`. The test only sees that it runs.
"""

import argparse
import gzip
import json
import multiprocessing
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.publish.site import build_site
from tests.perf import site_records

FIRST_LOAD = ("assets/style.css", "assets/theme.js", "assets/tables.js", "assets/vendor/tablesort.min.js")
ON_BOARD = ("assets/choose.js", "assets/explorer.js")
ON_COMPARE = ("assets/compare.js", "data/boards.js")


def measure(folder: Path, records: int, layout: str = "five") -> dict[str, Any]:
    """Write the records, build the site from nothing, then with 100 records more, in two ways."""
    results, output = folder / "results", folder / "site"
    started = time.perf_counter()
    configurations = site_records.write(results, records, layout)
    report: dict[str, Any] = {
        "records": records,
        "configurations": configurations,
        "input_mb": megabytes(results),
        "generated_s": round(time.perf_counter() - started, 1),
    }
    report["cold"] = in_process(build, results, output, layout)
    report["output_mb"] = megabytes(output)
    report["pages"] = sum(1 for _ in output.rglob("*.html"))
    report["again"] = in_process(build, results, output, layout)
    site_records.add(results, 100, spread=False)
    report["one night more"] = in_process(build, results, output, layout)
    site_records.add(results, 100, spread=True)
    report["spread over everything"] = in_process(build, results, output, layout)
    report["weights_kb"] = weights(output)
    report["heaviest_kb"] = heaviest(output)
    return report


def build(results: Path, output: Path, layout: str) -> None:
    """One build in this process and its workers."""
    build_site([results], site_records.make_registry(layout), output)


def in_process(work: Callable[..., None], *arguments: Any) -> dict[str, float]:
    """Seconds (wall; processor of all processes) and peak memory (proportional share of all processes) of the work."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_timed, args=(sender, work, arguments))
    process.start()
    stop, peak = threading.Event(), [0]
    watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), stop, peak))
    watcher.start()
    wall, cpu = receiver.recv()
    process.join()
    stop.set()
    watcher.join()
    return {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), "peak_mb": round(peak[0] / 1e6)}


def _timed(sender: Any, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    started = time.perf_counter()
    work(*arguments)
    wall = time.perf_counter() - started
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    sender.send((wall, sum(each.ru_utime + each.ru_stime for each in used)))


def _watch(process: psutil.Process, stop: threading.Event, peak: list[int]) -> None:
    while not stop.wait(0.5):
        total = 0
        try:
            for each in (process, *process.children(recursive=True)):
                total += each.memory_full_info().pss
        except psutil.Error:
            continue
        peak[0] = max(peak[0], total)


def megabytes(folder: Path) -> float:
    """Size of all files of a folder."""
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1)


def weights(output: Path) -> dict[str, dict[str, float]]:
    """For each kind of page the heaviest first load, gzipped, in kB, and what loads after it."""
    kinds: dict[str, tuple[str, tuple[str, ...], Callable[[Path], list[Path]]]] = {
        "index": ("index.html", (), _nothing),
        "suite": ("suites/*.html", (), _nothing),
        "section": ("suites/*/*/*.html", ON_BOARD, _nothing),
        "board": ("suites/*/*/*/*.html", ON_BOARD, _board_scripts),
        "pairs": ("suites/*/*/*/*/pairs.html", (), _nothing),
        "record": ("suites/*/*/*/*/*/*/*.html", (), _nothing),
        "method": ("methods/*/*.html", (), _nothing),
        "history": ("history*.html", (), _nothing),
        "compare": ("compare.html", ON_COMPARE, _nothing),
        "data": ("data.html", (), _nothing),
    }
    found = {}
    for kind, (pattern, scripts, later) in kinds.items():
        pages = list(output.glob(pattern))
        heaviest = max(pages, key=lambda page: len(gzip.compress(page.read_bytes(), 6)))
        first = [heaviest, *(output / name for name in (*FIRST_LOAD, *scripts))]
        found[kind] = {"pages": len(pages), "first": _zipped(first), "after": _zipped(later(heaviest))}
    return found


def heaviest(output: Path) -> tuple[str, float]:
    """The page that is largest when compressed, and its size in kB."""
    largest = sorted(output.rglob("*.html"), key=lambda page: -page.stat().st_size)[:200]
    page = max(largest, key=lambda page: _zipped([page]))
    return page.relative_to(output).as_posix(), _zipped([page])


def _nothing(page: Path) -> list[Path]:
    return []


def _board_scripts(page: Path) -> list[Path]:
    root = next(parent for parent in page.parents if (parent / "assets").is_dir())
    return [root / "assets/vendor/d3.min.js", page.with_suffix(".js")]


def _zipped(paths: list[Path]) -> float:
    return round(sum(len(gzip.compress(path.read_bytes(), 6)) for path in paths) / 1000, 1)


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path) -> None:
    report = measure(tmp_path, 4000)
    assert report["pages"] > 1000
    assert report["output_mb"] > 1


@pytest.mark.slow
def test_twenty_suites_are_built_within_their_budget(tmp_path: Path) -> None:
    """20 suites, 235 methods, 20,000 records, on two cores; a night of one suite on one machine more. Where others take
    the processors meanwhile, their time is not the build's."""
    assert [len(site_records.LAYOUTS["twenty"]), sum(site_records.LAYOUTS["twenty"].values())] == [20, 235]
    report = measure(tmp_path, 20_000, "twenty")
    taken = {name: min(report[name]["wall_s"], report[name]["cpu_s"] / 2) for name in ("cold", "one night more")}
    assert taken["cold"] <= 120, report
    assert taken["one night more"] <= 15, report
    assert report["cold"]["peak_mb"] <= 2048, report
    assert report["heaviest_kb"][1] <= 100, report


def main() -> None:
    """Print a report, as JSON, for each number of records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="+", default=[10_000])
    parser.add_argument("--layout", choices=site_records.LAYOUTS, default="five", help="how many suites")
    parser.add_argument("--keep", type=Path, help="leave results and site in this folder")
    arguments = parser.parse_args()
    for records in arguments.records:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(arguments.keep or Path(folder), records, arguments.layout), indent=1), flush=True)


if __name__ == "__main__":
    main()
