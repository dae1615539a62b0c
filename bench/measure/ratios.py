"""Figures as ratios to the baseline's."""

from collections.abc import Callable, Mapping


def ratio_of(name: str, absolute: Callable[[str], float | None], reference: Mapping[str, float]) -> float | None:
    """Of "X_ratio": X, or X_bytes, over the baseline's; None for another name, or where one of them is not known."""
    if not name.endswith("_ratio"):
        return None
    for whole in (name.removesuffix("_ratio"), f"{name.removesuffix('_ratio')}_bytes"):
        if reference.get(whole) and (found := absolute(whole)) is not None:
            return found / reference[whole]
    return None
