"""What several commands share."""

import argparse
import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.registry import Registry, open_registry

if TYPE_CHECKING:
    from bench.record.schema import Record

ROOT = Path(__file__).resolve().parents[2]
INTERRUPTED = 130
LONGEST_RUN = 7 * 24 * 3600
MOST_THREADS = 1024
LARGEST_SEED = 2**31 - 1
"""What every library's generator takes."""


class NoRecords(LookupError):
    """A folder holds none; the message says which, and what to do."""


@dataclass(frozen=True)
class Commands:
    """The commands of a parser."""

    parsers: Any

    def add(
        self, name: str, run: Callable[[argparse.Namespace], None], summary: str, examples: str
    ) -> argparse.ArgumentParser:
        """A command that is carried out by `run`. examples: lines that its help shows."""
        parser: argparse.ArgumentParser = self.parsers.add_parser(
            name, help=summary, description=summary, epilog="examples:\n" + examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        parser.set_defaults(command=run)
        return parser


def add_json(parser: argparse.ArgumentParser, summary: str = "machine-readable") -> None:
    parser.add_argument("--json", action="store_true", help=summary)


def add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=folder, default=ROOT / "results", metavar="DIR", help="records folder")


def add_where(parser: argparse.ArgumentParser) -> None:
    """Device and threads of runs."""
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument(
        "--threads", type=whole(1, MOST_THREADS), default=1, help="processor threads of each run (default: 1)"
    )


def add_methods(parser: argparse.ArgumentParser) -> None:
    """Suites and methods that are to be run."""
    parser.add_argument("--suite", action="append", default=[], help="suite to run; repeat for more (default: all)")
    parser.add_argument(
        "--method", action="append", default=[], metavar="[SUITE/]SLUG[:VARIANT][@POINT]",
        help="repeat for more (default: all)",
    )  # fmt: skip


def folder(text: str) -> Path:
    """The type of an option that names a folder, which need not be there yet."""
    path = Path(text)
    try:
        found = any(each.exists() and not each.is_dir() for each in (path, *path.parents))
    except OSError as error:  # too long a name, say
        raise argparse.ArgumentTypeError(f"{text[:80]} can't be a folder ({error.strerror})") from error
    if found:
        raise argparse.ArgumentTypeError(f"{text} is no folder, or lies in what is none")
    return path


def new_file(text: str) -> Path:
    """The type of an option that names a file to be written."""
    path = Path(text)
    folder(str(path.parent))
    try:
        taken = path.is_dir()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text[:80]} can't be a file ({error.strerror})") from error
    if taken:
        raise argparse.ArgumentTypeError(f"{text} is a folder; name a file in it")
    return path


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an option that is a whole number in this range."""

    def read(text: str) -> int:
        return int(_within(text, int, low, high, "a whole number"))

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of an option that is a number in this range."""

    def read(text: str) -> float:
        return _within(text, float, low, high, "a number")

    return read


def duration(text: str) -> float:
    """Seconds of "90s", "45m", "2h" or "1.5h"."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    if unit is None:
        return number(0, LONGEST_RUN)(text)
    return unit * number(0, LONGEST_RUN / unit)(text[:-1])


def _within(text: str, kind: Callable[[str], float], low: float, high: float, what: str) -> float:
    try:
        value = kind(text) if text.isascii() and "_" not in text else math.nan  # Python takes more for numbers
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {low:g} to {high:g}")
    return value


def opened(root: Path = ROOT) -> Registry:
    """The registry of a checkout; what could not be read is told."""
    registry = open_registry(root)
    for fault in registry.faults:
        tell(fault)
    return registry


def read_records(results: Path) -> list["Record"]:
    """All of a folder; lines that are none are told, and take no other along. Raises NoRecords."""
    records = readable_records(results)
    if not records:
        raise NoRecords(f"there are no records in {results}; name another folder with --results DIR")
    return records


def readable_records(results: Path) -> list["Record"]:
    """The same of a folder that may hold none."""
    from bench.record import store

    records, broken = store.read_all(results)
    for problem in broken:
        tell(f"broken record {problem}")
    return records


def tell(line: str) -> None:
    print(f"effbench: {line}", file=sys.stderr)


def stop_like_ctrl_c() -> None:
    """Being told to stop is like Ctrl-C: tidy up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)


def write(text: str, path: Path | None) -> None:
    """To the file, or to the standard output without one."""
    if path is None:
        print(text, end="")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def print_json(value: Any) -> None:
    """In ASCII; two # side by side could be taken for a command of the log's reader (bench/record/plain.py)."""
    print(json.dumps(_finite(value), indent=1, default=str, allow_nan=False).replace("##", r"#\u0023"))


def _finite(value: Any) -> Any:
    """JSON knows no infinity: an open end of an interval is null."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines in which each column but the last is as wide as its longest entry."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
