"""Text that others wrote, safe inside Markdown: it stays text, whatever stands in it."""

import html
import re

from bench.record.plain import is_one_command

_JOINER = "\N{WORD JOINER}"


def escaped(text: str, most: int = 300) -> str:
    """The text on one line, at most so many characters of it, with nothing left that Markdown, HTML, or a forge's own
    links (@person, #number, addresses, commits) would take for more than text."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) > most:
        line = line[: most - 1] + "…"
    around = f" {line} "
    return "".join(_safe(c, around[i], around[i + 2]) for i, c in enumerate(line))


def code(text: str, most: int = 300) -> str:
    """The text as code, on one line: HTML, as a fence of backticks could be closed by the text itself."""
    return f"<code>{escaped(text, most)}</code>"


def command(text: str) -> str:
    """A command to be pasted, as it is, in a fence of more backticks than it has; what is none is text."""
    if not is_one_command(text):
        return code(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if len(fence) > 1 else f"`{text}`"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _safe(character: str, before: str, after: str) -> str:
    if character in "@#":  # would call a person or an issue even when escaped with a backslash
        return f"&#{ord(character)};{_JOINER}"
    if character in ":/":  # would make a link of a bare address
        return character + _JOINER
    if character == "." and before.isalnum() and after.isalpha():  # and so would www.example.org
        return character + _JOINER
    if character == "-" and before.isalnum() and after.isalnum():
        return character
    if character.isalnum() or character in " ,;.%?'\"" or ord(character) > 127:
        return html.escape(character, quote=False)
    return f"&#{ord(character)};"
