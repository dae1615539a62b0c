"""`effbench verify`"""

import argparse
import sys

from bench.cli.common import MOST_THREADS, Commands, add_json, add_results, opened, print_json, tell, whole

EXIT_CODES = {"reproduced": 0, "not reproduced": 1, "not comparable": 3}


def add(commands: Commands) -> None:
    parser = commands.add(
        "verify", run,
        "Run one record again and say for every figure whether it is reproduced: what is counted must be equal, scores "
        "are compared item by item, times by their intervals and on the same hardware only. Exits with 0 (reproduced), "
        "1 (not reproduced) or 3 (nothing could be compared).",
        "  effbench verify 6c16e01ed807\n  effbench verify 6c16e01ed807 --threads 1 --json",
    )  # fmt: skip
    parser.add_argument("record", metavar="RECORD_ID", help="its id, or how it begins")
    parser.add_argument("--device", help="cpu or cuda (default: as it was)")
    parser.add_argument("--threads", type=whole(1, MOST_THREADS), help="processor threads (default: as it was)")
    add_json(parser)
    add_results(parser)


def run(arguments: argparse.Namespace) -> None:
    from bench.nightly.audit import markdown_of
    from bench.nightly.verify import NotVerifiable, find_record, verify
    from bench.record import store

    records, _ = store.read_all(arguments.results)
    record = find_record(records, arguments.record)
    try:
        done = verify(opened(), record, records, arguments.results, device=arguments.device, threads=arguments.threads)
    except NotVerifiable as reason:
        tell(f"record {record.id} can't be run again: {reason}")
        sys.exit(2)
    if arguments.json:
        checks = [vars(check) for check in done.checks]
        print_json({"id": record.id, "command": record.command, "outcome": done.outcome, "checks": checks})
    else:
        print(markdown_of(done))
    sys.exit(EXIT_CODES[done.outcome])
