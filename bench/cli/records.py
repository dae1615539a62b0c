"""`effbench records`"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.cli.common import ROOT, Commands, add_json, add_results, columns, opened, print_json, read_records

if TYPE_CHECKING:
    from bench.record.schema import Record

FILTERS = ("suite", "method", "point", "scale", "hardware", "status")
FIELDS = (
    "id", "suite", "method", "variant", "point", "scale", "base", "seed", "hardware", "status", "reason", "started",
    "seconds", "command", "hyperparameters",
)  # fmt: skip


def add(commands: Commands) -> None:
    parser = commands.add(
        "records", run, "List records with their scores.",
        "  effbench records --suite operator-data\n  effbench records --method flap --json\n"
        "  effbench records --stale         the newest of each seed that today's code did not make, and what changed\n"
        "  effbench records --schema        JSON Schema of the stored records",
    )  # fmt: skip
    for name in FILTERS:
        parser.add_argument(f"--{name}", help=f"only this {name}")
    parser.add_argument("--stale", action="store_true", help="only what is no longer of today's code, and why")
    add_json(parser, "machine-readable, with quality and cost")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema and stop")
    add_results(parser)


def run(arguments: argparse.Namespace) -> None:
    from bench.analyse.summary import costs, quality
    from bench.record.plain import one_line
    from bench.record.schema import Record
    from bench.registry.names import UnknownName

    if arguments.schema:
        print_json(Record.model_json_schema())
        return
    records = read_records(arguments.results)
    for name in FILTERS:
        wanted, known = getattr(arguments, name), {str(getattr(record, name)) for record in records}
        if wanted is not None and str(wanted) not in known:
            raise UnknownName(f"{name} among the records", str(wanted), known)
        records = [record for record in records if wanted in (None, getattr(record, name))]
    why = _stale(records) if arguments.stale else {}
    if arguments.stale:
        records = [record for record in records if record.id in why]
        if not records:
            print("nothing is stale" if not arguments.json else "[]")
            return
    if arguments.json:
        print_json(
            [
                record.model_dump(mode="json", include=set(FIELDS))
                | {"quality": {name: vars(estimate) for name, estimate in quality(record).items()}}
                | {"cost": {name: vars(cost) for name, cost in costs(record).items()}}
                | ({"stale": why[record.id]} if arguments.stale else {})
                for record in records
            ]
        )
        return
    rows = []
    for record in records:
        name = record.method + ("" if record.variant == "default" else f":{record.variant}")
        scores = "  ".join(f"{score}={estimate.value:.4g}" for score, estimate in quality(record).items())
        said = one_line(record.reason) if record.reason else scores
        if arguments.stale:
            said = "; ".join(why[record.id])
        rows.append((record.suite, record.point, name, str(record.seed), record.status, said))
    print(*columns(rows), sep="\n")


def _stale(records: Sequence["Record"]) -> dict[str, list[str]]:
    """Of the newest record of each seed of each configuration, by its id, what is not today's; without those of which
    all is."""
    from bench.publish.freshness import read_freshness

    newest: dict[tuple[object, ...], Record] = {}
    for record in sorted(records, key=lambda record: record.started):
        place = record.suite, record.hardware, record.scale, record.base, record.point
        newest[*place, record.method, record.variant, record.seed] = record
    freshness = read_freshness(opened(), {record.environment.commit or "" for record in newest.values()}, ROOT)
    ages = {record.id: list(freshness.of(record).stale) for record in newest.values()}
    return {id: reasons for id, reasons in ages.items() if reasons}
