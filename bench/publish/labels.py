"""Names in a picture: each stands at one of its points, where it covers nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_CHARACTER, _LINE, _POINT = 6.4, 14.0, 6.0
"""Size of the letters and of a point, in pixels."""
_PLACES = (
    (10, 4, "start"), (-10, 4, "end"), (0, -11, "middle"), (0, 20, "middle"),
    (9, -8, "start"), (9, 17, "start"), (-9, -8, "end"), (-9, 17, "end"),
)  # fmt: skip
"""Around a point, the best first: how far away, and which end of the text stands there."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""
Label = tuple[float, float, str, str]
"""Where it stands (x, y), which end of it does, and its text."""


@dataclass(frozen=True)
class Named:
    """A point that may carry its name, in pixels."""

    name: str
    x: float
    y: float


def place_labels(points: Sequence[Named], names: Sequence[str], obstacles: Sequence[Box], frame: Box) -> list[Label]:
    """One label for each of the names that has room, the first ones first, at the first of its points that has.

    points: all that are drawn, and that no label may cover.
    """
    taken = [*obstacles, *((p.x - _POINT, p.y - _POINT, p.x + _POINT, p.y + _POINT) for p in points)]
    placed = []
    for name in names:
        spots = (spot for point in points if point.name == name for spot in _spots(point, frame))
        free = next((spot for spot in spots if not any(_overlap(spot[1], box) for box in taken)), None)
        if free is not None:
            label, box = free
            taken.append(box)
            placed.append(label)
    return placed


def _spots(point: Named, frame: Box) -> Iterator[tuple[Label, Box]]:
    """Places for the name around its point, within the frame, and what it would cover there."""
    width = _CHARACTER * len(point.name)
    for dx, dy, anchor in _PLACES:
        x, y = point.x + dx, point.y + dy
        left = x if anchor == "start" else x - width if anchor == "end" else x - width / 2
        box = (left, y - _LINE + 3, left + width, y + 3)
        if box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]:
            yield (round(x, 1), round(y, 1), anchor, point.name), box


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
