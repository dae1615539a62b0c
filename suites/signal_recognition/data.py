"""The sets of the scales, under one name each."""

from functools import cache

from suites.signal_recognition import generated, radioml
from suites.signal_recognition.signals import Labelled, Split

NAMES = (*generated.COUNTS, radioml.NAME)


def missing(name: str) -> str | None:
    """What is not there to read the set, with what to do about it, or None."""
    if name not in NAMES:
        return f"there is no set of signals {name!r}, only {', '.join(NAMES)}"
    return radioml.missing() if name == radioml.NAME else None


@cache
def labelled(name: str, split: Split) -> Labelled:
    """Raises MissingAsset."""
    return radioml.signals(split) if name == radioml.NAME else generated.signals(name, split)
