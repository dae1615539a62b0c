"""What a build of the site keeps for the next one: written in one piece, and believed while it is as it was written."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = ".cache"
"""Below the site's root."""


def read(path: Path) -> Any:
    """What was kept there; None where nothing was, or it is not what was written."""
    with suppress(OSError, ValueError):
        digest, _, text = path.read_bytes().partition(b"\n")
        if digest.decode() == hashlib.sha256(text).hexdigest():
            return json.loads(text)
    return None


def write(path: Path, value: Any) -> None:
    """Keep plain JSON. Where that can't be done the next build takes longer."""
    text = json.dumps(value).encode()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def write_whole(path: Path, data: bytes) -> None:
    """The file has either all of the data or what it had before, whatever ends this process."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def digest(path: Path) -> str | None:
    """Of a file's content; None where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def size(path: Path) -> int | None:
    """In bytes; None where there is no such file."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None
