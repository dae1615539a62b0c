"""`effbench verify`"""

import argparse
import sys
from pathlib import Path

from bench.cli.common import (
    MOST_THREADS,
    Commands,
    add_json,
    add_results,
    opened,
    print_json,
    read_records,
    readable_records,
    tell,
    whole,
)
from bench.cli.confined import add_sandbox, runs

EXIT_CODES = {"reproduced": 0, "not reproduced": 1, "not comparable": 3}


def add(commands: Commands) -> None:
    parser = commands.add(
        "verify", run,
        "Run one record again and say for every figure whether it is reproduced: what is counted must be equal, scores "
        "are compared item by item, times by their intervals and on the same hardware only. Exits with 0 (reproduced), "
        "1 (not reproduced) or 3 (nothing could be compared).",
        "  effbench verify 6c16e01ed807\n  effbench verify 6c16e01ed807 --threads 1 --json\n"
        "  effbench verify smaller           what `effbench build` made, judged as it is",
    )  # fmt: skip
    parser.add_argument(
        "record", metavar="RECORD_ID|DIR", help="its id, or how it begins; or a folder with an artefact"
    )
    parser.add_argument("--device", help="cpu or cuda (default: as it was)")
    parser.add_argument("--threads", type=whole(1, MOST_THREADS), help="processor threads (default: as it was)")
    add_sandbox(parser)
    add_json(parser)
    add_results(parser)


def run(arguments: argparse.Namespace) -> None:
    from bench.nightly.audit import markdown_of
    from bench.nightly.verify import NotVerifiable, find_record, verify
    from bench.run import shipped

    artefact = Path(arguments.record) if Path(arguments.record).is_dir() else None
    records = read_records(arguments.results) if artefact is None else readable_records(arguments.results)
    record = find_record(records, arguments.record) if artefact is None else shipped.read(artefact)
    where = {"device": arguments.device, "threads": arguments.threads, "artefact": artefact}
    gpu = arguments.device.startswith("cuda") if arguments.device else record.environment.gpu is not None
    try:
        with runs(arguments.sandbox, gpu=gpu, visible=[artefact.resolve()] if artefact else []) as options:
            done = verify(opened(), record, records, arguments.results, **where, **options)
    except NotVerifiable as reason:
        tell(f"record {record.id} can't be run again: {reason}")
        sys.exit(2)
    if arguments.json:
        checks = [vars(check) for check in done.checks]
        print_json({"id": record.id, "command": record.command, "outcome": done.outcome, "checks": checks})
    else:
        print(markdown_of(done))
    sys.exit(EXIT_CODES[done.outcome])
