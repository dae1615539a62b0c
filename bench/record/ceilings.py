"""What a machine can do at best, as measured: results/<hardware>/ceilings.json. Times below it are not believed."""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Ceilings(BaseModel):
    """The best rates ever seen on one hardware class.

    bandwidth: bytes per second that move when a buffer of so many bytes is read, or copied, again and again; small
    buffers stay in a cache. matrix: FLOPs per second of square matrix products by type of their elements.
    measured: when one of them last rose. versions: of the libraries that measured then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hardware: str
    bandwidth: dict[int, Rate] = Field(min_length=1)
    matrix: dict[str, Rate] = Field(min_length=1)
    measured: datetime
    versions: dict[str, str]

    def bandwidth_at(self, moved: float) -> float:
        """Bytes per second that a step can reach which moves `moved` bytes in all: the best of the table's sizes from
        the next smaller one upwards. Never less than the machine can do: a smaller buffer fits a faster cache, and a
        larger one that did better shows that this one could."""
        smaller = max((size for size in self.bandwidth if size <= moved), default=0)
        return max(rate for size, rate in self.bandwidth.items() if size >= smaller)

    @property
    def matrix_rate(self) -> float:
        """FLOPs per second of the fastest type."""
        return max(self.matrix.values())


class BrokenCeilings(ValueError):
    """The file is no readable table of ceilings."""


def ceilings_path(root: Path, hardware: str) -> Path:
    """The file that the ceilings of a hardware class belong in."""
    return root / hardware / "ceilings.json"


def read_ceilings(root: Path, hardware: str) -> Ceilings | None:
    """The ceilings of a hardware class, or None if they have not been measured. Raises BrokenCeilings."""
    path = ceilings_path(root, hardware)
    try:
        found = Ceilings.model_validate_json(path.read_bytes())
        why = None if found.hardware == hardware else f"it is of {found.hardware}"
    except FileNotFoundError:
        return None
    except ValidationError as error:
        why = error.errors()[0]["msg"]
    except OSError as error:
        why = error.strerror
    if why is not None:
        raise BrokenCeilings(f"{path} can't be read ({why}); delete it, it is measured anew")
    return found


def merged(old: Ceilings | None, new: Ceilings) -> Ceilings:
    """The best of both; `old` itself where nothing is better. Raises ValueError for two hardware classes."""
    if old is None:
        return new
    if old.hardware != new.hardware:
        raise ValueError(f"ceilings of {old.hardware} and {new.hardware} do not go together")
    bandwidth, matrix = _best(old.bandwidth, new.bandwidth), _best(old.matrix, new.matrix)
    if (bandwidth, matrix) == (old.bandwidth, old.matrix):
        return old
    return new.model_copy(update={"bandwidth": bandwidth, "matrix": matrix})


def store_ceilings(root: Path, new: Ceilings) -> Ceilings:
    """Merge into the file and return what stands there now. The file is whole at any moment; a broken one goes."""
    try:
        both = merged(read_ceilings(root, new.hardware), new)
    except BrokenCeilings:
        both = new
    path = ceilings_path(root, new.hardware)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(both.model_dump_json(indent=2) + "\n")
    part.rename(path)
    return both


def _best(one: dict[Any, float], other: dict[Any, float]) -> dict[Any, float]:
    return {key: max(one.get(key, 0.0), other.get(key, 0.0)) for key in sorted({*one, *other})}
