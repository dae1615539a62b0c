"""Names that people type."""

import difflib
from collections.abc import Iterable

MOST_KNOWN = 20
"""Names that a message lists."""


class UnknownName(LookupError):
    """A suite, method, variant, point or scale that does not exist; the message names the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        more = f" and {len(known) - MOST_KNOWN} more" if len(known) > MOST_KNOWN else ""
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known[:MOST_KNOWN]) or 'none'}{more}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")


class AmbiguousName(LookupError):
    """A slug that several suites have; the message names them all."""

    def __init__(self, slug: str, suites: Iterable[str]) -> None:
        super().__init__(f"{slug!r} is ambiguous: {' or '.join(f'{suite}/{slug}' for suite in sorted(suites))}")


def split_selection(name: str) -> tuple[str | None, str, str | None, str | None]:
    """(suite, slug, variant, point) of "slug", "suite/slug", "slug:variant", "slug@point" or all of them."""
    rest, _, point = name.partition("@")
    rest, _, variant = rest.partition(":")
    suite, _, slug = rest.rpartition("/")
    return suite or None, slug, variant or None, point or None
