"""What is printed stays words. Reasons, names, paths and records are others', and may be made to steer who reads them.

A terminal obeys control characters, and reads backwards at marks of direction. What runs CI obeys lines of its log:
GitHub's those that begin with `::`, and any with `##[` in it; other systems `##vso[` and `##teamcity[`.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOWrapper
from typing import Any, TextIO, cast

_KEPT = "\n\t"
_STEERING = [
    *(number for number in range(0x20) if chr(number) not in _KEPT),
    *range(0x7F, 0xA0),
    0x2028, 0x2029,  # separators of lines and paragraphs
    *range(0x202A, 0x202F), *range(0x2066, 0x206A),  # directions
]  # fmt: skip
_SPACES = dict.fromkeys(_STEERING, " ")
_FIRST_COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
_LATER_COMMAND = re.compile(r"#(?=#\w*\[)")


def plain(text: str, *, begins_line: bool = True) -> str:
    """The text, line by line as it is, but for what would be obeyed. begins_line: only space stands before it."""
    text = _LATER_COMMAND.sub("# ", text.replace("\r\n", "\n").translate(_SPACES))
    if begins_line:
        return _FIRST_COMMAND.sub(r"\1: ", text)
    first, end, rest = text.partition("\n")
    return first + end + _FIRST_COMMAND.sub(r"\1: ", rest)


def one_line(text: str) -> str:
    """The same on one line."""
    return plain("".join(char if char.isprintable() else " " for char in text))


def is_one_command(text: str) -> bool:
    """Whether a shell reads the text as a call of effbench and nothing else: what a person may paste."""
    try:
        words = shlex.split(text)
    except ValueError:
        return False
    return words[:1] == ["effbench"] and one_line(text) == text == shlex.join(words)


class Plainly:
    """A stream of text before another one, `behind`, to which it hands on what is written, plain."""

    def __init__(self, behind: TextIO) -> None:
        self.behind = behind
        self._begins_line = True

    def write(self, text: str) -> int:
        self.behind.write(words := plain(text, begins_line=self._begins_line))
        _, end, last = words.rpartition("\n")
        self._begins_line = (self._begins_line or bool(end)) and not last.strip()
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


@contextmanager
def printed_plainly() -> Iterator[None]:
    """Whatever is printed meanwhile is plain, and what the encoding of the output lacks is told by its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with redirect_stdout(cast(TextIO, Plainly(sys.stdout))), redirect_stderr(cast(TextIO, Plainly(sys.stderr))):
        yield


def terminal(stream: TextIO) -> TextIO:
    """The stream itself where it is printed to plainly: for those who draw on a terminal, and see to their words."""
    return stream.behind if isinstance(stream, Plainly) else stream
