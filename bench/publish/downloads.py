"""The data behind the pages: every record as JSON and as CSV, and the schema of the JSON."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.analyse.summary import Cost, costs, quality
from bench.record.schema import Record

IDENTITY = (
    "id", "suite", "suite_version", "method", "variant", "point", "scale", "base", "seed", "hardware", "status",
    "reason", "started", "seconds", "command",
)  # fmt: skip


def write_downloads(records: Sequence[Record], folder: Path) -> None:
    """Write records.json, records.csv and schema.json into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = [_plain(record.model_dump(mode="json")) for record in records]
    (folder / "records.json").write_text(json.dumps(plain, allow_nan=False), encoding="utf-8")
    (folder / "schema.json").write_text(json.dumps(Record.model_json_schema(), indent=1), encoding="utf-8")
    with (folder / "records.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*IDENTITY, "metric", "kind", "value", "low", "high", "n", "unit"])
        for record in records:
            identity = [_cell(getattr(record, name)) for name in IDENTITY]
            found = _all(record)
            for name, cost in found.items():
                numbers = ["" if cost.value is None else cost.value, cost.low, cost.high, cost.n]
                writer.writerow([*identity, _cell(name), cost.kind, *numbers, _cell(cost.unit)])
            if not found:
                writer.writerow([*identity, *[""] * 7])


def _all(record: Record) -> dict[str, Cost]:
    scores = {name: Cost(e.value, e.low, e.high, e.n, "", "measured") for name, e in quality(record).items()}
    return scores | costs(record)


def _plain(value: Any) -> Any:
    """Numbers that JSON does not know become "Infinity", "-Infinity" and "NaN", which the schema's reader accepts."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets a quote in front."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
