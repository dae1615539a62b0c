"""Turns evaluation documents into the items of the four tasks.

All tasks use the same passages, the beginnings of documents, and every context is the beginning of a passage. So an
evaluator that shares prefixes computes a passage once for all items in it: more items, smaller standard errors, for
the same number of tokens. Items of one passage are not independent; at most a few are taken from each.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol


class Document(Protocol):
    """What is needed of a document: its text, its domain, a name of its own."""

    @property
    def text(self) -> str: ...
    @property
    def domain(self) -> str: ...
    @property
    def id(self) -> str: ...


@dataclass(frozen=True)
class Size:
    """passages: how many per domain. words: length of a passage. context_words: shortest context of an item.
    cloze, names, sentences: most items of each task from one passage.
    """

    passages: int
    words: int
    context_words: int
    cloze: int
    names: int
    sentences: int


SIZES = {
    "tiny": Size(passages=3, words=100, context_words=20, cloze=2, names=1, sentences=1),
    "embedded": Size(passages=25, words=140, context_words=30, cloze=4, names=4, sentences=3),
}

NEXT_WORDS = range(5, 26)
"""Lengths of sentences that are offered as the next one."""

CHOICES = 4

ABBREVIATIONS = frozenset(["Mrs.", "Prof.", "Gen.", "Sen.", "Gov.", "Rev.", "Capt.", "Col.", "Inc.", "Corp.", "etc."])

_STOP = """
    a about above after again against all also although always among an and another any are around as at be became
    because become been before being between both but by called can cannot could did do does doing down during each
    either even ever every few first for from further had has have having he her here hers herself him himself his how
    however i if in into is it its itself just last later less like made make many may me might more most much must my
    near new no nor not now of off often on once one only or other others our out over own part people per rather said
    same several she should since so some such than that the their them themselves then there these they thing things
    this those three through time to too two under until up upon us used using very was we well were what when where
    whether which while who whom whose why will with within without would year years yet you your"""
STOP_WORDS = frozenset(_STOP.split())

_BARE = re.compile(r"^[\"'“‘(\[]*([A-Za-z]+)(?:['’]s)?[\"'”’)\].,;:!?]*$")
# Two small letters (or the like) before the stop, so that "Mr." and initials end no sentence.
_SENTENCE_END = re.compile(r"(?<=[a-z0-9)\]\"”’]{2}[.!?])[\"”’]?(?=\s+[\"“(]?[A-Z])")


@dataclass(frozen=True)
class Word:
    """A word of a passage: its letters, where the token starts, whether it opens a sentence, whether it stands after
    one space and begins with its letters (so that the text before it, a space, and the letters are the passage's own).
    """

    letters: str
    start: int
    opens: bool
    clean: bool


def items(documents: Sequence[Document], size: Size) -> dict[str, list[dict[str, Any]]]:
    """Items by task: perplexity {text}, cloze {context, target}, names and next_sentence {context, choices, answer}."""
    chosen: list[tuple[Document, str]] = []
    for domain in dict.fromkeys(document.domain for document in documents):
        found = [(d, passage) for d in documents if d.domain == domain and (passage := cut(d.text, size.words))]
        chosen += found[: size.passages]
    found_items: dict[str, list[dict[str, Any]]] = {name: [] for name in ("perplexity", "cloze", "names")}
    found_items["next_sentence"] = []
    for document, passage in chosen:
        found_items["perplexity"].append({"text": passage})
        words = _words(passage)
        found_items["cloze"] += _some(_cloze(passage, words, size), size.cloze, f"cloze {document.id}")
        found_items["names"] += _some(_names(passage, words, size, document.id), size.names, f"names {document.id}")
        nexts = _next_sentences(document, passage, documents, size)
        found_items["next_sentence"] += _some(nexts, size.sentences, f"next {document.id}")
    return found_items


def cut(text: str, words: int) -> str:
    """The first `words` words of a text as they stand; empty if it has fewer than three quarters of that."""
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    if 4 * len(spans) < 3 * words:
        return ""
    return text[: spans[min(words, len(spans)) - 1][1]]


@lru_cache(maxsize=1024)
def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """(start, end) of each sentence; a paragraph ends one, too."""
    spans = []
    for paragraph in re.finditer(r"[^\n]+", text):
        cuts = [paragraph.start(), *(paragraph.start() + m.end() for m in _SENTENCE_END.finditer(paragraph[0]))]
        for start, end in zip(cuts, [*cuts[1:], paragraph.end()], strict=True):
            piece = text[start:end]
            spans.append((start + len(piece) - len(piece.lstrip()), end))
    return tuple(spans)


def _words(passage: str) -> list[Word]:
    openings = {start for start, _ in sentences(passage)}
    words = []
    for match in re.finditer(r"\S+", passage):
        bare = _BARE.match(match[0])
        letters = bare[1] if bare else ""
        clean = bool(letters) and match[0].startswith(letters) and passage[: match.start()][-2:].strip(" ") != ""
        clean = clean and passage[match.start() - 1 : match.start()] == " "
        words.append(Word(letters, match.start(), match.start() in openings, clean))
    return words


def _cloze(passage: str, words: list[Word], size: Size) -> Iterator[dict[str, Any]]:
    """Words of four letters or more that are no stop words and occur before in the context, as in LAMBADA's spirit
    (Paperno et al., 2016: the word can be guessed from the broad context)."""
    for index in range(size.context_words, len(words)):
        word = words[index]
        known = {earlier.letters for earlier in words[:index]}
        if word.clean and len(word.letters) >= 4 and word.letters.lower() not in STOP_WORDS and word.letters in known:
            yield {"context": passage[: word.start - 1], "target": word.letters}


def _names(passage: str, words: list[Word], size: Size, identity: str) -> Iterator[dict[str, Any]]:
    """Which of four names of the context comes next. A name is a capitalised word whose lower-case form is neither a
    stop word nor in the passage; distractors stand within a sentence of the context at least once."""
    lower = {word.letters for word in words}
    for index in range(size.context_words, len(words)):
        word, before = words[index], words[:index]
        names = {w.letters for w in before if _is_name(w.letters, lower)}
        within = {w.letters for w in before if not w.opens}
        others = sorted((names & within) - {word.letters})
        if not (word.clean and word.letters in names and len(others) >= CHOICES - 1):
            continue
        rng = random.Random(f"names {identity} {index}")
        yield _question(passage[: word.start - 1], word.letters, rng.sample(others, CHOICES - 1), rng)


def _is_name(letters: str, seen: set[str]) -> bool:
    return (
        len(letters) >= 3
        and letters[0].isupper()
        and letters[1:].islower()
        and letters.lower() not in seen | STOP_WORDS
    )


def _next_sentences(
    document: Document, passage: str, documents: Sequence[Document], size: Size
) -> Iterator[dict[str, Any]]:
    """Which of four sentences comes next. One distractor stands later in the same document if it has one, the others
    are of other documents of its domain; all are at most half longer or shorter than the true one."""
    spans = sentences(document.text)
    pool = [other for other in documents if other.domain == document.domain and other.id != document.id]
    for index in range(1, len(spans)):
        end, (start, stop) = spans[index - 1][1], spans[index]
        true = document.text[start:stop]
        enough = len(document.text[:end].split()) >= size.context_words
        if not enough or end > len(passage) or document.text[end:start] != " " or not _is_offered(true):
            continue
        rng = random.Random(f"next {document.id} {index}")
        later = [document.text[a:b] for a, b in spans[index + 2 :] if _is_like(document.text[a:b], true)]
        wrong = [rng.choice(later)] if later else []
        while len(wrong) < CHOICES - 1:
            other = rng.choice(pool).text
            alike = [other[a:b] for a, b in sentences(other) if _is_like(other[a:b], true)]
            if alike and (one := rng.choice(alike)) not in wrong:
                wrong.append(one)
        yield _question(document.text[:end], true, wrong, rng)


def _is_offered(sentence: str) -> bool:
    words = sentence.split()
    return (
        len(words) in NEXT_WORDS and sentence[-1] in ".!?" and sentence[0].isupper() and words[-1] not in ABBREVIATIONS
    )


def _is_like(sentence: str, true: str) -> bool:
    return _is_offered(sentence) and sentence != true and 2 / 3 <= len(sentence) / len(true) <= 1.5


def _question(context: str, right: str, wrong: Sequence[str], rng: random.Random) -> dict[str, Any]:
    choices = [right, *wrong]
    rng.shuffle(choices)
    return {"context": context, "choices": choices, "answer": choices.index(right)}


def _some(found: Iterator[dict[str, Any]], most: int, seed: str) -> list[dict[str, Any]]:
    """At most `most` of them, drawn by the seed, in the order of the text."""
    every = list(found)
    return [every[i] for i in sorted(random.Random(seed).sample(range(len(every)), min(most, len(every))))]
