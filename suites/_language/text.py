"""Real text, split once by document into calibration, training and evaluation.

Two domains come with the gensim wheel's test data (which is only read, gensim is never imported): a hundred articles of
the English Wikipedia (CC BY-SA) and 300 news items of the Australian Broadcasting Corporation (Lee, Pincombe and
Welsh, 2005). The tiny scale uses made-up text.
"""

import bz2
import hashlib
import importlib.util
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args
from xml.etree import ElementTree

from bench.contract import MissingAsset, only_the_judge
from bench.contract.cache import made_once
from suites._language import toy
from suites._language.wikitext import plain_paragraphs

Split = Literal["calibration", "training", "evaluation"]

VERSION = 2
"""Raise it when the cleaned text or the split changes: records of other versions can't be compared."""

SHARES = {"calibration": 0.2, "training": 0.45, "evaluation": 0.35}
NGRAM = 13
"""Words in a row that two documents may not share, beyond a rare quotation; the length that GPT-3's authors used."""

_ENCYCLOPEDIA = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
_NEWS = "lee_background.cor"
_MIN_CHARACTERS = {"encyclopedia": 1500, "news": 300}
_TOY_COUNTS = {"calibration": 130, "training": 200, "evaluation": 24}


@dataclass(frozen=True)
class Document:
    """text: paragraphs of prose joined by blank lines. domain: "encyclopedia" or "news". id: unique over all splits."""

    text: str
    domain: str
    id: str


def documents(scale: str, split: Split) -> list[Document]:
    """The documents of a split, in a fixed order that mixes the domains. Full scale has the text of the embedded one.

    Raises MissingAsset if the text is not installed, ValueError for an unknown split, ExamRead if a method asks for
    the evaluation split.
    """
    if split not in get_args(Split):
        raise ValueError(f"unknown split {split!r}; there are {', '.join(get_args(Split))}")
    if split == "evaluation":
        only_the_judge("the evaluation text")
    if scale == "tiny":
        toys = toy.toy_documents(split, _TOY_COUNTS[split])
        domains = itertools.cycle(("encyclopedia", "news"))
        return [Document(text, next(domains), f"toy/{split}/{title}") for title, text in toys]
    if problem := missing():
        raise MissingAsset(problem)
    path = made_once("data", f"text-v{VERSION}", _write_real_text) / f"{split}.jsonl"
    return [Document(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def missing() -> str | None:
    """The line that installs the text, or None."""
    folder = _gensim_data()
    if folder is None or not all((folder / name).is_file() for name in (_ENCYCLOPEDIA, _NEWS)):
        return "the benchmark's text is not installed; run: pip install gensim==4.4.0"
    return None


def split_of(identity: str) -> Split:
    """The split that a document belongs to: by a hash, so that it stays where it is when others come or go."""
    place = _unit_hash(f"split {identity}")
    for split in get_args(Split):
        place -= SHARES[split]
        if place < 0:
            return split
    return "evaluation"


def ngrams(text: str, length: int = NGRAM) -> set[str]:
    """All runs of `length` words, lower case, punctuation dropped."""
    words = "".join(char if char.isalnum() else " " for char in text.lower()).split()
    return {" ".join(words[i : i + length]) for i in range(len(words) - length + 1)}


def _gensim_data() -> Path | None:
    spec = importlib.util.find_spec("gensim")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "test" / "test_data"


def _write_real_text(folder: Path) -> None:
    data = _gensim_data()
    assert data is not None
    found = [*_encyclopedia(data / _ENCYCLOPEDIA), *_news(data / _NEWS)]
    long_enough = [document for document in found if len(document.text) >= _MIN_CHARACTERS[document.domain]]
    kept = sorted(_without_copies(long_enough), key=lambda document: _unit_hash(f"order {document.id}"))
    for split in get_args(Split):
        lines = [json.dumps(asdict(document)) for document in kept if split_of(document.id) == split]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _encyclopedia(path: Path) -> Iterator[Document]:
    with bz2.open(path) as file:
        root = ElementTree.parse(file).getroot()
    space = root.tag.removesuffix("mediawiki")
    for page in root.iter(f"{space}page"):
        title = page.findtext(f"{space}title", "")
        is_article = page.findtext(f"{space}ns") == "0" and page.find(f"{space}redirect") is None
        if is_article and "(disambiguation)" not in title and not title.startswith("List of"):
            markup = page.findtext(f"{space}revision/{space}text") or ""
            yield Document("\n\n".join(plain_paragraphs(markup)), "encyclopedia", f"enwiki/{title}")


def _news(path: Path) -> Iterator[Document]:
    for line in path.read_text(encoding="utf-8").splitlines():
        text = " ".join(line.split())
        yield Document(text, "news", f"lee/{hashlib.sha256(text.encode()).hexdigest()[:12]}")


def _without_copies(found: Iterable[Document]) -> Iterator[Document]:
    """Drop each document that repeats more than one in a hundred of its n-grams from the ones before it.

    News items are reissued with a few words changed; an article that quotes a sentence may stay.
    """
    seen: set[str] = set()
    for document in found:
        own = ngrams(document.text)
        if len(own & seen) <= 0.01 * len(own):
            seen |= own
            yield document


def _unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
