"""What the voices read: sentences of a hundred articles of the English Wikipedia (CC BY-SA), from the gensim wheel's
test data. gensim is never imported."""

import bz2
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, get_args
from xml.etree import ElementTree

from bench.contract import only_the_judge
from bench.contract.cache import made_once

Split = Literal["train", "held", "test"]

VERSION = 1
"""Raised when other sentences are found, or in another split."""
SHARES: dict[Split, float] = {"train": 0.55, "held": 0.15, "test": 0.3}
"""Of the articles."""

_ARTICLES = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_ODD = re.compile(r"[^A-Za-z ,;.'?!-]")
_SHORTEST, _LONGEST = 40, 160


def sentences(split: Split) -> tuple[str, ...]:
    """All that can be read as they are written. Articles of one split are in no other, and neither is a sentence.
    Raises ExamRead where a method asks for the test's."""
    if split == "test":
        only_the_judge("the sentences of the exam")
    return _kept()[split]


def split_of(title: str) -> Split:
    """The split that an article belongs to: by a hash, so that it stays where it is when others come or go."""
    place = int.from_bytes(hashlib.sha256(f"voices {title}".encode()).digest()[:8], "big") / 2**64
    for split in get_args(Split):
        place -= SHARES[split]
        if place < 0:
            break
    found: Split = split
    return found


def fitting(text: str) -> list[str]:
    """The sentences of a paragraph that are neither short nor long, without figures, brackets and foreign letters."""
    return [line for line in _END.split(text) if _SHORTEST <= len(line) <= _LONGEST and not _ODD.search(line)]


@cache
def _kept() -> dict[Split, tuple[str, ...]]:
    folder = made_once("data", f"sentences-v{VERSION}", _write)
    return {split: tuple(json.loads((folder / f"{split}.json").read_text())) for split in get_args(Split)}


def _write(folder: Path) -> None:
    found: dict[Split, dict[str, None]] = {split: {} for split in get_args(Split)}
    for title, paragraphs in _articles():
        found[split_of(title)] |= dict.fromkeys(line for text in paragraphs for line in fitting(text))
    known: set[str] = set()
    for split, lines in found.items():
        own = [line for line in lines if line not in known]
        known |= set(own)
        (folder / f"{split}.json").write_text(json.dumps(own))


def _articles() -> Iterator[tuple[str, list[str]]]:
    """Titles, and paragraphs of prose."""
    from suites._language.wikitext import plain_paragraphs

    spec = importlib.util.find_spec("gensim")
    assert spec is not None
    assert spec.submodule_search_locations
    with bz2.open(Path(spec.submodule_search_locations[0]) / "test" / "test_data" / _ARTICLES) as file:
        root = ElementTree.parse(file).getroot()
    space = root.tag.removesuffix("mediawiki")
    for page in root.iter(f"{space}page"):
        if page.findtext(f"{space}ns") == "0" and page.find(f"{space}redirect") is None:
            markup = page.findtext(f"{space}revision/{space}text") or ""
            yield page.findtext(f"{space}title", ""), plain_paragraphs(markup)
