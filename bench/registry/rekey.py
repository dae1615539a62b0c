"""Gives records the key that today's code makes of them, after the rule of what a key holds was mended.

`python -m bench.registry.rekey FRESH.json [RESULTS]`. FRESH.json: the ids of the records that were not stale by
the rule before; only these get a key, and of their lines nothing else is touched.
"""

import json
import sys
from collections.abc import Collection
from pathlib import Path

from bench import measure
from bench.record.schema import Record
from bench.record.store import files
from bench.registry.key import key_of, run_of
from bench.registry.registry import ROOT, Registry, open_registry


def rekeyed(line: bytes, fresh: Collection[str], registry: Registry) -> bytes:
    """A record's line with today's key, if it was fresh; else as it is."""
    record = Record.model_validate_json(line)
    if record.id not in fresh:
        return line
    old, new = (f'"key":"{key}"'.encode() for key in (record.key, key_of(registry, run_of(record), measure.VERSION)))
    if line.count(old) != 1:
        raise ValueError(f"record {record.id}: its key is not written as expected")
    return line.replace(old, new)


def main() -> None:
    fresh = set(json.loads(Path(sys.argv[1]).read_text()))
    registry = open_registry(plugins=False)
    for path in files(Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "results"):
        lines = path.read_bytes().splitlines(keepends=True)
        draft = path.with_suffix(".draft")
        draft.write_bytes(b"".join(rekeyed(line, fresh, registry) for line in lines))
        draft.rename(path)


if __name__ == "__main__":
    main()
