"""`effbench audit`"""

import argparse
import sys

from bench.cli.common import (
    LARGEST_SEED,
    Commands,
    add_json,
    add_results,
    new_file,
    opened,
    print_json,
    read_records,
    whole,
    write,
)
from bench.cli.confined import add_sandbox, runs


def add(commands: Commands) -> None:
    parser = commands.add(
        "audit", run,
        "Verify records of the board that are drawn at random, and report how far the figures spread. Exits with 1 if "
        "more is not reproduced than chance explains.",
        "  effbench audit --count 5 --seed 1 --output build/audit.md\n"
        "  effbench audit --count 20 --seed 7 --hardware cpu-amd-epyc-1t --json",
    )  # fmt: skip
    parser.add_argument("--count", type=whole(1, 100_000), default=5, help="records to draw (default: 5)")
    parser.add_argument("--seed", type=whole(0, LARGEST_SEED), default=0, help="of the draw: the same draws the same")
    parser.add_argument("--hardware", help="only records of this hardware class (default: all)")
    parser.add_argument("--output", type=new_file, metavar="FILE", help="where the Markdown goes (default: printed)")
    add_sandbox(parser)
    add_json(parser, "machine-readable, printed")
    add_results(parser)


def run(arguments: argparse.Namespace) -> None:
    from bench.nightly.audit import as_json, as_markdown, audit, draw, passes
    from bench.registry.names import UnknownName

    records = read_records(arguments.results)
    known = {record.hardware for record in records}
    if arguments.hardware is not None and arguments.hardware not in known:
        raise UnknownName("hardware class", arguments.hardware, known)
    drawn = draw(records, arguments.count, arguments.seed, arguments.hardware)
    with runs(arguments.sandbox, gpu=any(record.environment.gpu for record in drawn)) as options:
        done, refused = audit(
            opened(), records, arguments.results, count=arguments.count, seed=arguments.seed,
            hardware=arguments.hardware, tell=lambda line: print(line, file=sys.stderr, flush=True), **options,
        )  # fmt: skip
    if arguments.json:
        print_json(as_json(done, refused, arguments.seed))
    else:
        write(as_markdown(done, refused, arguments.seed), arguments.output)
    sys.exit(0 if passes(done) else 1)
