"""`effbench selfcheck`"""

import argparse
import sys

from bench.cli.common import MOST_THREADS, Commands, add_json, number, print_json, whole
from bench.record.plain import terminal


def add(commands: Commands) -> None:
    parser = commands.add(
        "selfcheck", run,
        "Try the speed instrument on this machine: comparisons of equal things (how often does it see a difference?) "
        "and of known cost ratios (does its interval hold the truth?), and what may spoil a measurement here. Takes "
        "about five minutes. Exits with 1 if the targets are missed.",
        "  effbench selfcheck\n  effbench selfcheck --quick\n  effbench selfcheck --seconds 2 --repeats 100 --json",
    )  # fmt: skip
    parser.add_argument("--seconds", type=number(0.01, 3600), help="measuring time of each comparison (default: 0.5)")
    parser.add_argument(
        "--repeats", type=whole(1, 100_000),
        help="comparisons of equal things (default: 120); other ratios a quarter",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a few seconds in all; the rates are rough")
    parser.add_argument(
        "--in-process", action="store_true", help="both sides in this process, in place of servers as in a run"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=whole(1, MOST_THREADS), default=1, help="processor threads (default: 1)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    from contextlib import nullcontext

    import torch

    from bench.measure.selfcheck import selfcheck, sides_here
    from bench.measure.selfcheck_text import as_text
    from bench.record.environment import check_device
    from bench.run.selfcheck_sides import served_sides

    device, threads, quick = arguments.device, arguments.threads, arguments.quick
    check_device(device)
    torch.set_num_threads(threads)
    where = (
        nullcontext(lambda ratio: sides_here(ratio, device)) if arguments.in_process else served_sides(device, threads)
    )
    try:
        with where as sides:
            report = selfcheck(
                sides,
                seconds=arguments.seconds or (0.1 if quick else 0.5),
                repeats=arguments.repeats or (16 if quick else 120),
                device=device,
                progress=_progress,
            )
    finally:
        print(file=sys.stderr)
    if arguments.json:
        print_json(report.as_json())
    else:
        print(as_text(report) + ("\n(--quick: rates from so few comparisons are rough)" if quick else ""))
    sys.exit(0 if report.targets_met else 1)


def _progress(done: int, total: int) -> None:
    """In place on a terminal; elsewhere ten lines in all."""
    drawn = terminal(sys.stderr)
    if drawn.isatty():
        print(f"\rcomparison {done} of {total}", end="", file=drawn, flush=True)
    elif 10 * done // total > 10 * (done - 1) // total:
        print(f"comparison {done} of {total}", file=sys.stderr, flush=True)
