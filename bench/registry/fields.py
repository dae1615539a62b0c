"""The hyper-parameters of a method, read from the text of its class and of those that it derives from."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.registry.definitions import read_module
from bench.registry.key import settings_as_stored
from bench.registry.literals import NotLiteral, constants_of, value_of
from bench.registry.registry import Listed
from bench.registry.tree import Source, Tree

NOT_FIELDS = ("card", "variants", "at_point")

_DEEPEST = 20


@dataclass(frozen=True)
class Field:
    """type: as it is written. required: it has no default. default: its value; None where it would have to be
    computed, and then it is not `known`. text: the default as people read it."""

    name: str
    type: str
    required: bool = False
    known: bool = False
    default: Any = None
    text: str = ""


def fields_of(tree: Tree, module: str, name: str) -> list[Field]:
    """The fields of a dataclass, those of its bases first; of bases outside of the tree nothing is known.

    Raises SyntaxError, and LookupError where there is no such class.
    """
    source = tree.find(module)
    if source is None:
        raise LookupError(f"there is no module {module}")
    found = _fields(tree, source, name, _DEEPEST)
    if found is None:
        raise LookupError(f"{module} has no class {name}")
    return list(found.values())


def known_fields(tree: Tree, listed: Listed, variant: str, point: str) -> dict[str, Any]:
    """The hyper-parameters that a run has today, as a record holds them, but for those that have to be computed.

    Raises as `fields_of`, and UnknownName.
    """
    defaults = {each.name: each.default for each in fields_of(tree, listed.module, listed.name) if each.known}
    return settings_as_stored(defaults | listed.settings(variant, point))


def _fields(tree: Tree, source: Source, name: str, deep: int) -> dict[str, Field] | None:
    """By name; None where the module does not define the class."""
    text = tree.read(source.place)
    module = _parsed(text)
    written = next((each for each in module.body if isinstance(each, ast.ClassDef) and each.name == name), None)
    if written is None:
        return None
    found: dict[str, Field] = {}
    for base in reversed(written.bases if deep else []):
        word = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
        place, of = source, word
        imported = read_module(text, source.name, source.package).imported.get(word)
        if imported is not None and imported.attribute is not None:
            elsewhere = tree.find(imported.module)
            if elsewhere is None:
                continue
            place, of = elsewhere, imported.attribute
        found |= _fields(tree, place, of, deep - 1) or {}
    return found | {each.name: each for each in _own(written, constants_of(module))}


@cache
def _parsed(text: bytes) -> ast.Module:
    return ast.parse(text)


def _own(written: ast.ClassDef, constants: dict[str, ast.expr]) -> Iterator[Field]:
    for part in written.body:
        if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
            continue
        name, kind = part.target.id, ast.unparse(part.annotation)
        if name in NOT_FIELDS or "ClassVar" in kind:
            continue
        if part.value is None:
            yield Field(name, kind, required=True)
            continue
        try:
            value = value_of(part.value, constants)
        except NotLiteral:
            yield Field(name, kind, text=ast.unparse(part.value))
        else:
            yield Field(name, kind, known=True, default=value, text=repr(value))
