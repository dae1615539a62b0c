"""The `effbench` command: one file a command. What one needs is imported when it runs, so that others start at once."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from bench.cli.common import Commands, NoRecords

COMMANDS = (
    "list", "show", "new", "check", "tune", "build", "run", "records", "selfcheck", "site", "report", "nightly",
    "verify", "audit",
)  # fmt: skip
"""Modules of this package; each adds its command by `add`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; exits with 0, 1 (something did not work), 2 (bad input) or 130 (interrupted)."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if not isinstance(error, _refusals()):
            raise
        print(f"effbench: {error}", file=sys.stderr)
        sys.exit(2)


def _refusals() -> tuple[type[Exception], ...]:
    """What is no fault of the program: the message says what was wrong, and what to do."""
    from bench.contract import MissingAsset
    from bench.record.environment import NoSuchDevice
    from bench.record.store import ResultsNotWritable
    from bench.registry.names import AmbiguousName, UnknownName
    from bench.run.cluster import ClusterUnusable
    from bench.run.sandbox import NoSandbox
    from bench.run.shipped import NotShipped
    from bench.run.tune import NothingToTune
    from bench.submit import Refused

    return (
        UnknownName, AmbiguousName, Refused, NothingToTune, NotShipped, NoSuchDevice, ResultsNotWritable,
        MissingAsset, NoRecords, NoSandbox, ClusterUnusable,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="effbench", description="Benchmark efficient model methods and render the leaderboard."
    )
    commands = Commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    for name in COMMANDS:
        importlib.import_module(f"bench.cli.{name}").add(commands)
    return parser
