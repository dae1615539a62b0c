"""What makes or reads an exam asks here first: where a method's code runs, it gets a refusal."""

import sys

EXAM_EVENT = "effbench.exam"
"""Audit event by which others see that somebody asked."""


class ExamRead(RuntimeError):
    """A method tried to read what it is asked in the exam."""


_closed = False


def only_the_judge(what: str) -> None:
    """To be called by every function of a suite that gives the exam away. what: names it in the refusal.

    Raises ExamRead in a process that runs a method. Files are out of its reach besides; this is for what is generated.
    """
    if _closed:
        sys.audit(EXAM_EVENT, what)
        raise ExamRead(f"{what} belongs to the exam: methods build from what their task gives them")


def close_exam() -> None:
    """For the rest of this process."""
    global _closed  # noqa: PLW0603  # a process that ran a method is never trusted again
    _closed = True
