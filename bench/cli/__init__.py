"""The `effbench` command: one file a command. What one needs is imported when it runs, so that others start at once."""

import argparse
import errno
import importlib
import locale
import os
import sys
from collections.abc import Sequence

from bench.cli.common import INTERRUPTED, Commands, NoRecords, tell
from bench.record.plain import printed_plainly

COMMANDS = (
    "list", "show", "new", "check", "tune", "build", "plan", "run", "records", "selfcheck", "site", "report", "nightly",
    "verify", "audit",
)  # fmt: skip
"""Modules of this package; each adds its command by `add`."""


_OF_THE_MACHINE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip
"""What a system refuses by these is not for the program to mend: rights, room, names."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; exits with 0, 1 (something did not work), 2 (bad input) or 130 (interrupted)."""
    if argv is None:
        _begin_in_utf8()
    with printed_plainly():
        arguments = _parser().parse_args(argv)
        try:
            arguments.command(arguments)
        except BrokenPipeError:  # the reader (head, less) has seen enough
            sys.stderr.close()
            sys.exit(1)
        except KeyboardInterrupt:
            tell("stopped")
            sys.exit(INTERRUPTED)
        except Exception as error:
            said = _said(error)
            if said is None:
                sys.excepthook(type(error), error, error.__traceback__)  # here, as it has words of others in it
                sys.exit(1)
            tell(said)
            sys.exit(2)


def _begin_in_utf8() -> None:
    """Files and names of files are UTF-8, whatever the locale says: where it says otherwise begin anew in Python's mode
    for that, which all processes of a run then have."""
    if sys.flags.utf8_mode or os.environ.get("PYTHONUTF8") == "1" or locale.getencoding().lower() in ("utf-8", "utf8"):
        return
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | {"PYTHONUTF8": "1"})


def _said(error: Exception) -> str | None:
    """What is to be told of an error that is no fault of the program, else None."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.partition(".")[0]
        how = "pip install -c constraints.txt -e '.[EXTRA]', with the extra of the suite's area (pyproject.toml)"
        return None if name in ("bench", "methods", "suites") else f"{name} is not installed here: {how}"
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        return f"{error.filename or 'a file'}: {error.strerror}"
    try:
        return str(error) if isinstance(error, _refusals()) else None
    except ModuleNotFoundError as missing:
        return _said(missing)


def _refusals() -> tuple[type[Exception], ...]:
    """What is no fault of the program: the message says what was wrong, and what to do."""
    from bench.contract import MissingAsset
    from bench.contract.cache import CacheNotWritable
    from bench.publish.about import BadSite
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
        MissingAsset, NoRecords, NoSandbox, ClusterUnusable, CacheNotWritable, BadSite,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="effbench", description="Benchmark efficient model methods and render the leaderboard."
    )
    commands = Commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    for name in COMMANDS:
        importlib.import_module(f"bench.cli.{name}").add(commands)
    return parser
