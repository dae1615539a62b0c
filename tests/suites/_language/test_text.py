"""Text: clean prose, split by document, with nothing of the evaluation split in the others."""

import importlib.util
from itertools import combinations
from pathlib import Path
from typing import get_args

import pytest

from bench.contract import MissingAsset
from suites._language import text
from suites._language.text import Document, Split, documents, ngrams, split_of
from suites._language.tokens import PIECE, token_ids
from suites._language.toy import toy_tokenizer
from suites._language.wikitext import plain_paragraphs

SPLITS: tuple[Split, ...] = get_args(Split)
SHARED_NGRAMS = 2e-4
"""Share of evaluation n-grams that may stand in another split as well: a quotation here and there."""

needs_text = pytest.mark.skipif(importlib.util.find_spec("gensim") is None, reason="gensim is not installed")
SCALES = ["tiny", pytest.param("embedded", marks=[pytest.mark.embedded, needs_text])]


@pytest.mark.parametrize("scale", SCALES)
def test_splits_are_disjoint(scale: str) -> None:
    by_split = {split: documents(scale, split) for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        assert {d.id for d in by_split[one]}.isdisjoint(d.id for d in by_split[other])
        assert {d.text for d in by_split[one]}.isdisjoint(d.text for d in by_split[other])
    held_out = set().union(*(ngrams(document.text) for document in by_split["evaluation"]))
    others = set().union(*(ngrams(d.text) for split in SPLITS[:2] for d in by_split[split]))
    assert len(held_out) > 1000
    assert len(held_out & others) / len(held_out) < SHARED_NGRAMS


@pytest.mark.parametrize("scale", SCALES)
def test_every_split_has_both_domains_and_unique_ids(scale: str) -> None:
    for split in SPLITS:
        found = documents(scale, split)
        assert {document.domain for document in found} == {"encyclopedia", "news"}
        assert len({document.id for document in found}) == len(found)
        assert found == documents(scale, split)


@needs_text
@pytest.mark.embedded
def test_real_text_is_prose_and_there_is_enough_of_it() -> None:
    assert sum(len(document.text) for document in documents("embedded", "calibration")) > 350_000
    assert sum(len(document.text) for document in documents("embedded", "training")) > 1_000_000
    for split in SPLITS:
        for document in documents("embedded", split):
            assert not any(mark in document.text for mark in ("{{", "}}", "[[", "]]", "<ref", "{|", "\0", "==")), (
                document.id
            )
    assert documents("full", "calibration") == documents("embedded", "calibration")


def test_split_of_a_document_never_moves() -> None:
    assert [split_of(f"enwiki/{title}") for title in ("Albedo", "Albania", "Ayn Rand")] == [
        "evaluation",
        "calibration",
        "training",
    ]
    found = [split_of(str(number)) for number in range(4000)]
    for split in SPLITS:
        assert found.count(split) / len(found) == pytest.approx(text.SHARES[split], abs=0.03)


def test_copies_are_dropped_and_quotations_are_not() -> None:
    def words(prefix: str, count: int) -> str:
        return " ".join(f"{prefix}{number}" for number in range(count))

    story, quotation = words("a", 300), words("q", text.NGRAM)
    found = [
        Document(story, "news", "first"),
        Document(story.replace("a7 ", "seven "), "news", "reissue"),
        Document(f"{words('b', 300)} {quotation}", "news", "quotes"),
        Document(f"{words('c', 300)} {quotation}", "news", "quotes too"),
    ]
    assert [document.id for document in text._without_copies(found)] == ["first", "quotes", "quotes too"]


def test_markup_becomes_prose() -> None:
    markup = """{{Infobox | name = x }}
[[File:a.jpg|thumb|A caption with a [[link]] that is long enough to be taken for a sentence of the article itself.]]
'''Aruba''' ({{IPAc-en|a}}; {{lang|nl|Aruba}}) is a [[island|Dutch island]]<ref name="a">{{cite book}}</ref>, about
{{convert|1600|km|mi}} west of the main part of the [[Lesser Antilles]].{{citation needed}}
== History ==
* A list item that is long enough to be a paragraph but is a part of a list, and so it is not prose at all.
The first people<!-- hidden --> came from the mainland & stayed for centuries until the Spanish arrived there in 1499.
{| class="wikitable"
| A cell that is long enough to be a paragraph but is a part of a table, and so it is not any prose at all.
|}
The sum of the series is <math>x^2</math> for all numbers that are large enough, as was shown by them a long time ago.
A sentence with {{unknown template|3}} in the middle would have a hole in it, and so it is left out as a whole too.
== References ==
This sentence stands below the references and is long enough to be a paragraph of the article, but it is not one.
"""
    assert plain_paragraphs(markup.replace("about\n", "about ")) == [
        "Aruba (Aruba) is a Dutch island, about 1600 km west of the main part of the Lesser Antilles.",
        "The first people came from the mainland & stayed for centuries until the Spanish arrived there in 1499.",
    ]


def test_missing_text_is_named_with_the_line_that_mends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingAsset, match=r"pip install gensim==4\.4\.0"):
        documents("embedded", "evaluation")
    assert documents("tiny", "evaluation")


def test_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="test"):
        documents("tiny", "test")  # type: ignore[arg-type]


def test_documents_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    long, short = "a" * (PIECE + 5), "b" * 7
    monkeypatch.setattr(text, "documents", lambda scale, split: [Document(t, "news", t) for t in (long, short)])
    tokenizer = toy_tokenizer()
    ids = token_ids("tiny", "training", tokenizer)
    assert tokenizer.decode(ids) == f"{'a' * PIECE}\n\n{short}\n\naaaaa\n\n"
