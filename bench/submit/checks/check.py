"""What a check is: a name, what it guards, how to mend what it finds, and the function that finds it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Subject = TypeVar("Subject")


class NotChecked(Exception):
    """The check can't be made here; the message says what is missing."""


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """name: one word. guards: what holds where the check passes. mend: what to do where it does not.

    problems: finds every problem of a subject, one sentence each; raises NotChecked where it can't look.
    """

    name: str
    guards: str
    mend: str
    problems: Callable[[Subject], Iterable[str]]
