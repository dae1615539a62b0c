"""The shapes of points in a picture: shapes, not only colours, tell the methods apart."""

import math

COLOURS = 7
RADIUS = 5.5
SHAPES = ("circle", "square", "triangle", "diamond", "down", "pentagon", "star", "hexagon")


def marker(shape: str, r: float = RADIUS) -> str:
    """SVG path of a marker around the origin."""
    if shape == "circle":
        return f"M{-r:.1f} 0a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
    corners, turn, inner = {
        "square": (4, 45.0, 1.0),
        "triangle": (3, 0.0, 1.0),
        "diamond": (4, 0.0, 1.0),
        "down": (3, 180.0, 1.0),
        "pentagon": (5, 0.0, 1.0),
        "star": (5, 0.0, 0.45),
        "hexagon": (6, 30.0, 1.0),
    }[shape]
    steps = corners * (2 if inner < 1 else 1)
    points = []
    for i in range(steps):
        angle = math.radians(turn + 360 * i / steps)
        radius = 1.25 * r * (inner if steps > corners and i % 2 else 1.0)
        points.append(f"{radius * math.sin(angle):.1f} {-radius * math.cos(angle):.1f}")
    return "M" + "L".join(points) + "z"
