"""What a result comes from: the definitions that a class needs, wherever they lie, and a hash of what they do.

One notion for all who ask: the key of a record, what a change touches, which files are a method's. Followed are names,
through imports, from definition to definition: a helper that is not used does not count, and neither does where the
used ones lie, what their files are called, how they are imported, or the words about them.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath

from bench.registry.definitions import Definition, Module, Name, read_module
from bench.registry.tree import Source, Tree

_EMPTY = Module({}, {}, frozenset(), ())
"""A folder without an __init__."""

_LONGEST_CHAIN = 50
"""Imports that lead to imports: more are a circle."""


@dataclass(frozen=True)
class _Node:
    """A definition of a module of the tree. name: "" for what the module does when it is imported."""

    source: Source
    name: str
    definition: Definition


@dataclass(frozen=True)
class Content:
    """What some classes come from. hash: of what it does. places: the files that it stands in."""

    hash: str
    places: frozenset[PurePosixPath]


@dataclass
class Contents:
    """Contents of classes of one tree. Raises SyntaxError, and LookupError for what does not exist."""

    tree: Tree
    _modules: dict[str, Module] = field(default_factory=dict)
    _loading: dict[str, list[_Node]] = field(default_factory=dict)

    def of(self, *roots: tuple[str, str]) -> Content:
        """The content of classes or functions: (dotted module, name)."""
        todo = [node for module, name in roots for node in self._resolve(Name(module, name))[0]]
        if not todo or len({(node.source.name, node.name) for node in todo}) < len(set(roots)):
            raise LookupError(f"there is no {' or '.join(f'{module}.{name}' for module, name in roots)}")
        return self._closure(todo)

    def of_module(self, module: str) -> Content:
        """The content of all that a module defines."""
        if self.tree.find(module) is None:
            raise LookupError(f"there is no module {module}")
        return self._closure(self._resolve(Name(module, None))[0])

    def _closure(self, todo: list[_Node]) -> Content:
        found: dict[tuple[str, str, str], _Node] = {}
        lines: set[str] = set()
        while todo:
            node = todo.pop()
            key = node.source.name, node.name, node.definition.text
            if key in found:
                continue
            found[key] = node
            line = [node.definition.text]
            for reference in node.definition.refers:
                nodes, rest = self._resolve(reference)
                todo += nodes
                line.append(rest + "|".join(_digest(each.definition.text) for each in nodes))
            if node.definition.reads_files:
                line += [hashlib.sha256(self.tree.read(place)).hexdigest() for place in self.tree.beside(node.source)]
            lines.add(_digest("\0".join(line)))
            if node.source.name not in self._loading:
                self._loading[node.source.name] = self._effects(node.source)
            todo += self._loading[node.source.name]
        places = frozenset(node.source.place for node in found.values())
        return Content(_digest("\0".join(sorted(lines))), places)

    def _effects(self, source: Source) -> list[_Node]:
        """What importing a module does, itself and by what it imports at its top."""
        seen, todo, nodes = set(), [source], []
        while todo:
            source = todo.pop()
            if source.name in seen:
                continue
            seen.add(source.name)
            module = self._module(source)
            nodes += [_Node(source, "", effect) for effect in module.effects]
            todo += [found for name in sorted(module.loads) if (found := self.tree.find(name)) is not None]
        return nodes

    def _resolve(self, name: Name) -> tuple[list[_Node], str]:
        """The definitions that are meant, none outside of the tree, and what is said of them: the attributes that are
        asked of a definition, or the whole name of what lies outside."""
        for _ in range(_LONGEST_CHAIN):
            source = self.tree.find(name.module)
            module = _EMPTY if source is None else self._module(source)
            if source is not None and name.attribute is None:
                return [_Node(source, each, definition) for each, definition in module.named.items()], ""
            head, _, rest = (name.attribute or "").partition(".")
            if source is not None and head in module.named:
                return [_Node(source, head, module.named[head])], rest
            if head in module.imported:
                target = module.imported[head]
                name = Name(target.module, ".".join(filter(None, (target.attribute, rest))) or None)
            elif head and self.tree.find(f"{name.module}.{head}") is not None:
                name = Name(f"{name.module}.{head}", rest or None)
            else:  # a library's or the engine's; or made in a way that can't be read, as by a star import
                return [], _outside(name)
        raise LookupError(f"{name.module} imports {name.attribute} in a circle")

    def _module(self, source: Source) -> Module:
        if source.name not in self._modules:
            self._modules[source.name] = read_module(self.tree.read(source.place), source.name, source.package)
        return self._modules[source.name]


def _outside(name: Name) -> str:
    """The engine's rooms may be moved as well."""
    if name.module.partition(".")[0] == "bench":
        return f"bench:{name.attribute}"
    return ".".join(filter(None, (name.module, name.attribute)))


@cache
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def together(hashes: Iterable[str]) -> str:
    """One hash of several."""
    return _digest("\0".join(sorted(hashes)))
