"""What a method page gives to take along: a BibTeX entry, and a badge for a README."""

import re
from collections.abc import Sequence
from html import escape

from bench.contract import Card

_CITED = re.compile(r"(?P<who>.+?),? \(?(?P<year>(?:19|20)\d\d)[a-z]?\)?[.,:]? (?P<title>.+)", re.DOTALL)
_ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf)/(?P<number>[\w.-]+?)(?:v\d+)?(?:\.pdf)?$")
_SPECIAL = {character: f"\\{character}" for character in "&%$#_"} | {"{": "", "}": "", "\\": "", "~": " ", "^": ""}
_WIDTH = 6.6
"""Of a letter, in pixels."""


def bibtex(card: Card) -> str:
    """An entry of the paper, as far as the card's citation tells ("Author et al., 2024. Title"); empty where it does
    not follow that form."""
    found = _CITED.fullmatch(card.paper.strip())
    if found is None:
        return ""
    who = re.sub(r",? et al\.?$", " and others", found["who"].strip())
    key = re.sub("[^a-z]", "", who.split()[0].lower()) + found["year"]
    fields = {"author": _tex(who), "title": "{" + _tex(found["title"].rstrip(". ")) + "}", "year": found["year"]}
    if card.url:
        arxiv = _ARXIV.search(card.url)
        fields |= {"eprint": arxiv["number"], "archivePrefix": "arXiv"} if arxiv else {}
        fields["url"] = card.url.translate({ord("{"): "%7B", ord("}"): "%7D"})
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{{key},\n{lines}\n}}"


def _tex(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)


def badge(site: str, places: Sequence[str]) -> str:
    """A picture of a line: the site's name, and at how many points the method is on the frontier. places: a word for
    each point that has a result, see `places_of`."""
    count = sum(place == "frontier" for place in places)
    said = f"on the frontier at {count} of {len(places)} points" if places else "not measured yet"
    colour = "#11632b" if count else "#57606a"
    left, right = round(_WIDTH * len(site)) + 14, round(_WIDTH * len(said)) + 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{escape(site)}: {said}"><title>{escape(site)}: {said}</title>'
        f'<rect width="{left}" height="20" fill="#1b1f24"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        f'<g fill="#fff" font-family="Verdana,Geneva,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2}" y="14" textLength="{left - 12}">{escape(site)}</text>'
        f'<text x="{left + right / 2}" y="14" textLength="{right - 12}">{said}</text></g></svg>\n'
    )
