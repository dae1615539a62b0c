"""The shapes of points in a picture: methods, controls, and what lies beyond the edge of the picture."""

import math

RADIUS = 5.0
SHAPES = ("circle", "square", "triangle", "down", "left", "right")


def marker(shape: str, r: float = RADIUS) -> str:
    """SVG path of a marker around the origin."""
    if shape == "circle":
        return f"M{-r:.1f} 0a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
    corners, turn = {
        "square": (4, 45.0), "triangle": (3, 0.0), "down": (3, 180.0), "left": (3, 270.0), "right": (3, 90.0),
    }[shape]  # fmt: skip
    angles = [math.radians(turn + 360 * i / corners) for i in range(corners)]
    return "M" + "L".join(f"{1.25 * r * math.sin(a):.1f} {-1.25 * r * math.cos(a):.1f}" for a in angles) + "z"
