"""Check: the card of a method is complete."""

import re
from collections.abc import Iterator

from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject

LONGEST_NOTES = 300
LONGEST_DIFFERENCE = 250
"""Characters of one point."""


def problems(subject: MethodSubject) -> Iterator[str]:
    card = subject.listed.card
    for name in ("title", "paper"):
        if not getattr(card, name).strip():
            yield f"{name} is empty"
    if len(card.notes) > LONGEST_NOTES:
        yield f"notes have {len(card.notes)} characters, more than {LONGEST_NOTES}: what differs stands in differences"
    for point in card.differences:
        if not 0 < len(point.strip()) <= LONGEST_DIFFERENCE:
            yield f"differences: {point[:40]!r} has {len(point)} characters; a point has 1 to {LONGEST_DIFFERENCE}"
    if card.control:
        return
    if not card.url:
        yield "url is missing: where can the paper be read?"
    if not re.search(r"\b(19|20)\d\d\b", card.paper):
        yield f"paper={card.paper!r} names no year: authors, year, title"


CHECK = Check(
    "card",
    guards="the card says what the leaderboard shows before any number: title, paper with its year, address",
    mend="fill in the fields of Card(...) that are named; a control needs no url and no year; cut what is long to what "
    "a reader needs, a point in differences for each thing that differs from the paper or its code",
    problems=problems,
)
