"""Check: the file names its source, and the class says what it does."""

import ast
import inspect
import re
from collections.abc import Iterator

from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject

SHORTEST_SUMMARY = 60


def problems(subject: MethodSubject) -> Iterator[str]:
    card = subject.method.card
    head = ast.get_docstring(ast.parse(subject.file.read_text())) or ""
    if not head:
        yield f"{subject.file.name} does not begin with a docstring"
    elif not card.control and not _names_source(head, card.paper, card.url):
        yield f"the docstring at the top of {subject.file.name} names neither the paper's title or authors nor its url"
    summary = subject.method.__dict__.get("__doc__") or ""
    if summary.startswith(f"{subject.method.__name__}("):  # what the dataclass decorator writes where there is none
        summary = ""
    if len(inspect.cleandoc(summary)) < SHORTEST_SUMMARY:
        yield (
            f"the docstring of {subject.method.__name__} has fewer than {SHORTEST_SUMMARY} characters; "
            "it is the summary on the site"
        )


def _names_source(head: str, paper: str, url: str | None) -> bool:
    """Whether the docstring has the url, or shares two longer words with the citation."""
    words = set(re.findall(r"\w{4,}", paper.lower()))
    return (url is not None and url in head) or len(words & set(re.findall(r"\w{4,}", head.lower()))) >= 2


CHECK = Check(
    "docstrings",
    guards="the file names its source at the top, and the class tells the algorithm to the readers of the site",
    mend="begin the file with the paper's title, authors, year and address; describe the algorithm under `class`",
    problems=problems,
)
