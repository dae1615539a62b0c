"""`effbench nightly`"""

import argparse
import sys

from bench.cli.common import (
    INTERRUPTED,
    Commands,
    add_methods,
    add_results,
    add_where,
    duration,
    new_file,
    opened,
    stop_like_ctrl_c,
    tell,
    write,
)
from bench.cli.confined import add_sandbox, runs
from bench.cli.selection import methods_by_suite


def add(commands: Commands) -> None:
    parser = commands.add(
        "nightly", run,
        "Run what changed or is oldest, most valuable first, within a time limit; hold it against the history on the "
        "same hardware; measure again what looks changed. Exits with 1 if a regression is confirmed "
        "or a run failed, with 2 if nothing was run, else 0.",
        "  effbench nightly --time 2h --summary build/night.md\n"
        "  effbench nightly --time 20m --suite operator-data --threads 1",
    )  # fmt: skip
    add_methods(parser)
    parser.add_argument("--time", type=duration, default=7200.0, metavar="2h", help="limit: 90s, 45m, 2h (default)")
    parser.add_argument("--scale", default="embedded", help="tiny, embedded (default) or full")
    add_where(parser)
    add_sandbox(parser)
    parser.add_argument("--summary", type=new_file, metavar="FILE", help="where the Markdown goes (default: printed)")
    add_results(parser)


def run(arguments: argparse.Namespace) -> None:
    from bench.nightly.night import run_night
    from bench.nightly.summary import summary
    from bench.record.schema import FAILURES
    from bench.run.plan import Selection, make_plan

    registry = opened()
    where = {"scale": arguments.scale, "device": arguments.device, "threads": arguments.threads}
    jobs = [
        job
        for suite, methods in methods_by_suite(registry, arguments.suite, arguments.method)
        for job in make_plan(registry, Selection(suite, methods, **where))
    ]
    stop_like_ctrl_c()
    try:
        with runs(arguments.sandbox, gpu=arguments.device.startswith("cuda")) as options:
            night = run_night(
                registry,
                jobs,
                arguments.results,
                seconds=arguments.time,
                confined=arguments.sandbox,
                tell=lambda line: print(line, file=sys.stderr, flush=True),
                **options,
            )
    except KeyboardInterrupt:
        tell(f"stopped; every finished record is in {arguments.results}")
        sys.exit(INTERRUPTED)
    write(summary(night), arguments.summary)
    if not night.records:
        tell(f"nothing was run: no run is expected to end within {arguments.time:g} seconds; give it more by --time")
        sys.exit(2)
    sys.exit(1 if night.regressions or any(record.status in FAILURES for record in night.records) else 0)
