"""Check: the card of a method is complete."""

import re
from collections.abc import Iterator

from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject


def problems(subject: MethodSubject) -> Iterator[str]:
    card = subject.listed.card
    for name in ("title", "paper"):
        if not getattr(card, name).strip():
            yield f"{name} is empty"
    if card.control:
        return
    if not card.url:
        yield "url is missing: where can the paper be read?"
    if not re.search(r"\b(19|20)\d\d\b", card.paper):
        yield f"paper={card.paper!r} names no year: authors, year, title"


CHECK = Check(
    "card",
    guards="the card says what the leaderboard shows before any number: title, paper with its year, address",
    mend="fill in the fields of Card(...) that are named; a control needs no url and no year",
    problems=problems,
)
