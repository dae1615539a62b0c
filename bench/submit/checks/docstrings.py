"""Check: the file names its source, and the class says what it does."""

import ast
import re
from collections.abc import Iterator

from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject

SHORTEST_SUMMARY = 60


def problems(subject: MethodSubject) -> Iterator[str]:
    card, summary = subject.listed.card, subject.listed.doc
    head = ast.get_docstring(ast.parse(subject.text)) or ""
    if not head:
        yield f"{subject.name} does not begin with a docstring"
    if not card.control and not _names_source(head + summary, card.paper, card.url):
        yield f"no docstring of {subject.name} names the paper, by its url or by the year with authors or title"
    if len(summary) < SHORTEST_SUMMARY:
        yield (
            f"the docstring of {subject.listed.name} has fewer than {SHORTEST_SUMMARY} characters; "
            "it is the summary on the site"
        )


def _names_source(text: str, paper: str, url: str | None) -> bool:
    """Whether the text has the url, or shares the year and a longer word with the citation."""
    shared = set(re.findall(r"\w{4,}", paper.lower())) & set(re.findall(r"\w{4,}", text.lower()))
    years = {word for word in shared if re.fullmatch(r"(19|20)\d\d", word)}
    return (url is not None and url in text) or (bool(years) and shared > years)


CHECK = Check(
    "docstrings",
    guards="the file names its source, and the class tells the algorithm to the readers of the site",
    mend="begin the file with the paper's title, authors, year and address; describe the algorithm under `class`",
    problems=problems,
)
