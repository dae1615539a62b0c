"""All records in one file, beside the single ones: as Parquet, and the single files in a zip."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from pyarrow import parquet  # type: ignore[import-untyped]

from bench.publish import kept
from bench.publish.parquet import SCHEMA

PARQUET, ZIP = "data/records.parquet", "data/records.zip"
"""Below the site's root."""


def write_bundle(output: Path, downloads: Sequence[str]) -> list[str]:
    """Write both, unless they are of these files as they stand; the addresses, none where there is no record.

    downloads: addresses of the single Parquet files.
    """
    if not downloads:
        return []
    cache = output / kept.FOLDER / "bundle.json"
    made_of = {address: kept.digest(output / address) for address in downloads}
    known = kept.read(cache) or {}
    if known.get("of") != made_of or known.get("made") != _digests(output):
        _write_parquet(output / PARQUET, [output / address for address in downloads])
        _write_zip(output / ZIP, output / "data", [output / address for address in downloads])
        kept.write(cache, {"of": made_of, "made": _digests(output)})
    return [PARQUET, ZIP]


def _digests(output: Path) -> list[str | None]:
    return [kept.digest(output / address) for address in (PARQUET, ZIP)]


def _write_parquet(path: Path, parts: Sequence[Path]) -> None:
    """File after file, so that no more than one is in memory."""
    partial = path.with_name(f".{path.name}.part")
    with parquet.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
        for part in parts:
            writer.write_table(parquet.read_table(part, schema=SCHEMA))
    partial.replace(path)


def _write_zip(path: Path, root: Path, parts: Sequence[Path]) -> None:
    """The same bytes for the same files: no time of day. They are compressed already."""
    partial = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as bundle:
        for part in parts:
            bundle.writestr(zipfile.ZipInfo(part.relative_to(root).as_posix()), part.read_bytes())
    partial.replace(path)
