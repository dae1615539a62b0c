"""From MediaWiki markup to plain paragraphs of prose."""

import html
import re
from collections.abc import Callable
from typing import Any

import mwparserfromhell
from mwparserfromhell.nodes import Comment, ExternalLink, Heading, HTMLEntity, Node, Tag, Template, Text, Wikilink
from mwparserfromhell.wikicode import Wikicode

_BACK_MATTER = re.compile(
    r"^==\s*(references|notes|footnotes|see also|external links|further reading|bibliography|sources|citations"
    r"|works cited|notes and references|references and notes)\s*==\s*$.*",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_REFERENCE = re.compile(r"<ref\b[^>/]*/>|<ref\b[^>]*>.*?</ref>", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_BLOCK = re.compile(r"<(gallery|math|timeline|source|score|imagemap)\b[^>]*>.*?</\1>", re.IGNORECASE | re.DOTALL)
_EMPTY_BRACKETS = re.compile(r"\s*\(\s*[;,]*\s*\)")
_LEADING_IN_BRACKETS = re.compile(r"\(\s*[;,]\s*")
_SPACE_BEFORE_STOP = re.compile(r"\s+([,.;:)])(?=\s|$)")


def plain_paragraphs(markup: str) -> list[str]:
    """The prose paragraphs of an article, in order. Tables, lists, headings, captions, references, back matter go.

    A paragraph whose formula or unknown template would leave a hole in a sentence goes as a whole: a model must not
    be scored on text that no one wrote.
    """
    markup = _COMMENT.sub("", markup)
    markup = _REFERENCE.sub("", markup)
    markup = _BLOCK.sub(_HOLE, markup)
    markup = _BACK_MATTER.sub("", markup)
    text = _shown(mwparserfromhell.parse(markup))
    return [tidy for line in text.split("\n") if (tidy := _tidy(line)) and _is_prose(tidy)]


_HOLE = "\ufffc"  # the object replacement character
_SILENT = {  # templates that leave no gap in the sentence when they go
    "sfn", "sfnp", "rp", "efn", "refn", "citation needed", "cn", "fact", "clarify", "dead link", "wayback", "who",
    "when", "according to whom", "page needed", "verify source", "failed verification", "by whom", "full", "dubious",
    "which", "better source", "not in citation given", "anchor", "clear", "-", "harv", "harvnb", "ref", "cref", "note",
    "why", "ref label", "ipac-en", "ipa", "respell", "ipa-en", "pron-en", "audio", "ipa-all", "vague",
    "original research inline",
}  # fmt: skip
_SHOWS_FIRST = {
    "nowrap",
    "small",
    "smaller",
    "vanchor",
    "nihongo",
    "lang-en",
    "abbr",
    "angbr",
    "nobold",
    "big",
    "as of",
}
_SHOWS_SECOND = {"lang", "transl"}


def _shown(code: Wikicode) -> str:
    """What a reader of the page would see of it, as text; a hole where we cannot tell."""
    return "".join(_shown_node(node) for node in code.nodes)


def _shown_node(node: Node) -> str:
    show = _SHOWN.get(type(node))
    return _HOLE if show is None else show(node)


def _shown_link(link: Wikilink) -> str:
    target = str(link.title).strip()
    if target.lower().startswith(("file:", "image:", "category:")):
        return ""
    return target.removeprefix(":") if link.text is None else _shown(link.text)


def _shown_external(link: ExternalLink) -> str:
    if link.title is not None:
        return _shown(link.title)
    return "" if link.brackets else str(link.url)


def _shown_tag(tag: Tag) -> str:
    name = str(tag.tag).strip().lower()
    if name in ("table", "ref"):
        return ""
    if name == "br":
        return "\n"
    if tag.wiki_markup and name in ("li", "dt", "dd"):  # the mark of a list item, which _is_prose looks for
        return str(tag.wiki_markup)
    return _shown(tag.contents) if tag.contents is not None else ""


def _shown_template(template: Template) -> str:
    name = str(template.name).strip().lower().replace("_", " ")
    plain = [_shown(parameter.value).strip() for parameter in template.params if not parameter.showkey]
    if name in ("convert", "cvt") and len(plain) >= 2:
        return f"{plain[0]} {plain[1]}"
    if name in _SHOWS_FIRST and plain:
        return f"As of {plain[0]}" if name == "as of" else plain[0]
    if name in _SHOWS_SECOND and len(plain) >= 2:
        return plain[1]
    if name in _SILENT or name.startswith(("cite", "citation", "use ", "pp-")):
        return ""
    if name == "·":
        return "·"
    return _HOLE


_SHOWN: dict[type[Node], Callable[[Any], str]] = {
    Text: lambda text: str(text.value),
    HTMLEntity: lambda entity: str(entity.normalize()),
    Comment: lambda comment: "",
    Heading: lambda heading: "\n",
    Template: _shown_template,
    Wikilink: _shown_link,
    ExternalLink: _shown_external,
    Tag: _shown_tag,
}


def _tidy(line: str) -> str:
    # Marks of italics that nobody closed, and entities that were escaped twice, are still there.
    line = _EMPTY_BRACKETS.sub("", html.unescape(line).replace("''", "").replace("\xa0", " "))
    line = _LEADING_IN_BRACKETS.sub("(", line)
    line = _SPACE_BEFORE_STOP.sub(r"\1", line)
    return " ".join(line.split())


def _is_prose(line: str) -> bool:
    return (
        len(line) >= 80
        and line[0] not in "*#:;|!=<{"
        and line[-1] in '.!?"”)'
        and not any(mark in line for mark in (_HOLE, "{{", "}}", "[[", "]]", "<", "{|", "|}"))
    )
