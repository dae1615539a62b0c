"""The Atom feed: what changed, newest first (RFC 4287)."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

ATOM = "http://www.w3.org/2005/Atom"
MOST = 100
TITLES = {"worse": "worse", "better": "better", "broke": "does not run any more", "mended": "runs again", "new": "new",
          "suspected": "may have changed", "frontier": "now"}  # fmt: skip


_IDENTITY = (("when", "kind", "what", "address"), ("when", "kind", "what", "address", "name"))
"""What tells a change from others; a board has several methods."""


def make_feed(changes: Sequence[Mapping[str, Any]], newest: float, url: str | None) -> str:
    """The feed of these changes, newest first. url: where the site is published; without it links are relative."""
    ElementTree.register_namespace("", ATOM)
    feed = ElementTree.Element(f"{{{ATOM}}}feed")
    _add(feed, "title", "effbench: what changed")
    _add(feed, "id", uuid.uuid5(uuid.NAMESPACE_URL, url or "effbench").urn)
    _add(feed, "updated", _when(changes[0]["when"] if changes else newest))
    _add(feed, "link", None, rel="alternate", href=_address(url, "index.html"))
    if url:
        _add(feed, "link", None, rel="self", href=_address(url, "feed.xml"))
    _add(_add(feed, "author", None), "name", "effbench")
    for change in changes[:MOST]:
        entry = _add(feed, "entry", None)
        place = f"{change['suite']}, {change['point']}, {change['hardware']}"
        _add(entry, "title", f"{change['name']}: {change['what']} {TITLES[change['kind']]} ({place})")
        said = "|".join(str(change[name]) for name in _IDENTITY[change["kind"] == "frontier"])
        _add(entry, "id", uuid.uuid5(uuid.NAMESPACE_URL, said).urn)
        _add(entry, "updated", _when(change["when"]))
        _add(entry, "link", None, rel="alternate", href=_address(url, change["address"]))
        moved = f"{change['before']} → {change['after']}" if change["before"] else change["after"]
        _add(entry, "summary", f"{moved} {change['change']}".strip())
    text: str = ElementTree.tostring(feed, encoding="unicode", xml_declaration=False)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + text + "\n"


def _add(parent: ElementTree.Element, name: str, text: str | None, **attributes: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, f"{{{ATOM}}}{name}", attributes)
    child.text = (
        None if text is None else "".join(c for c in text if c in "\t\n" or " " <= c < "\ufffe" or c > "\uffff")
    )
    return child


def _address(url: str | None, address: str) -> str:
    return f"{url.rstrip('/')}/{address}" if url else address


def _when(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")
