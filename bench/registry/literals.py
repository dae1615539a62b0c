"""Cards, variants and settings of methods, read from the text of their files: nothing is run to know what there is."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.contract import Card, Claim

_CALLS = {"Card": Card, "Claim": Claim}


class NotLiteral(ValueError):
    """A card or a table is computed, or is no card; the message says where, and what to write."""


@dataclass(frozen=True)
class Written:
    """What a file says of a method. name: of its class. doc: its docstring. variants, at_point: as in Method."""

    name: str
    card: Card
    doc: str = ""
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"default": {}})
    at_point: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def methods_written(text: bytes) -> Iterator[Written]:
    """Every class at the top of a module that has a `card`. Raises SyntaxError and NotLiteral."""
    module = ast.parse(text)
    constants = constants_of(module)
    for cls in module.body:
        if not isinstance(cls, ast.ClassDef):
            continue
        given = {name: value for statement in cls.body for name, value in _assigned(statement)}
        if "card" not in given:
            continue
        reader = _Reader(cls.name, constants)
        card = reader.value(given["card"])
        if not isinstance(card, Card):
            raise NotLiteral(f"line {given['card'].lineno}: the card of {cls.name} is no Card(...)")
        tables = {name: reader.table(name, given[name]) for name in ("variants", "at_point") if name in given}
        yield Written(cls.name, card, ast.get_docstring(cls) or "", **tables)


def constants_of(module: ast.Module) -> dict[str, ast.expr]:
    """What the names at the top of a module stand for."""
    return {name: value for statement in module.body for name, value in _assigned(statement)}


def value_of(node: ast.expr, constants: Mapping[str, ast.expr]) -> Any:
    """The value of an expression. Raises NotLiteral where it would have to be computed."""
    return _Reader("the class", constants).value(node)


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        yield statement.targets[0].id, statement.value
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        yield statement.target.id, statement.value


@dataclass(frozen=True)
class _Reader:
    """Evaluates the literals of a class. constants: what names at the top of its module stand for."""

    cls: str
    constants: Mapping[str, ast.expr]

    def table(self, name: str, node: ast.expr) -> dict[str, dict[str, Any]]:
        found = self.value(node)
        right = isinstance(found, dict) and all(
            isinstance(key, str) and isinstance(settings, dict) and all(isinstance(each, str) for each in settings)
            for key, settings in found.items()
        )
        if not right or (name == "variants" and not found):
            raise NotLiteral(f"line {node.lineno}: {name} of {self.cls} is no table of names and settings")
        return dict(found)

    def value(self, node: ast.expr) -> Any:
        """The value of an expression. Raises NotLiteral where it would have to be computed."""
        try:
            return self._value(node)
        except (TypeError, ValueError, RecursionError) as error:
            if isinstance(error, NotLiteral):
                raise
            raise NotLiteral(f"line {node.lineno}: {error}") from error

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self._value(node.operand)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._value(node.left) + self._value(node.right)
        if isinstance(node, ast.Name) and node.id in self.constants:
            return self._value(self.constants[node.id])
        return self._gathered(node)

    def _gathered(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Tuple | ast.List):
            items = [self._value(each) for each in node.elts]
            return tuple(items) if isinstance(node, ast.Tuple) else items
        if isinstance(node, ast.Dict) and None not in node.keys:
            return {
                self._value(key): self._value(value)
                for key, value in zip(node.keys, node.values, strict=True) if key is not None
            }  # fmt: skip
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS and not node.args:
            given = {word.arg: self._value(word.value) for word in node.keywords if word.arg}
            return _CALLS[node.func.id](**given)
        raise NotLiteral(
            f"line {node.lineno}: `{ast.unparse(node)[:60]}` in {self.cls} has to be written out: cards, variants and "
            "at_point are read without running the file"
        )
