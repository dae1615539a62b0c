"""`effbench records`"""

import argparse

from bench.cli.common import Commands, add_json, add_results, columns, print_json, read_records

FILTERS = ("suite", "method", "point", "scale", "hardware", "status")
FIELDS = (
    "id", "suite", "method", "variant", "point", "scale", "base", "seed", "hardware", "status", "reason", "started",
    "seconds", "command", "hyperparameters",
)  # fmt: skip


def add(commands: Commands) -> None:
    parser = commands.add(
        "records", run, "List records with their scores.",
        "  effbench records --suite operator-data\n  effbench records --method flap --json\n"
        "  effbench records --schema        JSON Schema of the stored records",
    )  # fmt: skip
    for name in FILTERS:
        parser.add_argument(f"--{name}", help=f"only this {name}")
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
    if arguments.json:
        print_json(
            [
                record.model_dump(mode="json", include=set(FIELDS))
                | {"quality": {name: vars(estimate) for name, estimate in quality(record).items()}}
                | {"cost": {name: vars(cost) for name, cost in costs(record).items()}}
                for record in records
            ]
        )
        return
    rows = []
    for record in records:
        name = record.method + ("" if record.variant == "default" else f":{record.variant}")
        scores = "  ".join(f"{score}={estimate.value:.4g}" for score, estimate in quality(record).items())
        said = one_line(record.reason) if record.reason else scores
        rows.append((record.suite, record.point, name, str(record.seed), record.status, said))
    print(*columns(rows), sep="\n")
