"""The definitions of a module: what each does, without words, and which others it refers to.

What a module is called, where it lies, how it imports and what it calls its imports is taken out, so that two modules
that do the same read the same wherever their parts stand.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

REFERENCE = "\N{SECTION SIGN}"
"""What stands in a definition's text in the place of each other definition that it refers to."""

_PURE = (
    "abstractmethod", "cache", "cached_property", "classmethod", "contextmanager", "dataclass", "final",
    "inference_mode", "lru_cache", "no_grad", "override", "property", "runtime_checkable", "singledispatch",
    "staticmethod", "total_ordering", "wraps",
)  # fmt: skip
"""Decorators that change what they decorate and nothing else. Any other may enter it in a table somewhere, so that it
does something for a module even if nobody names it."""

_WORDS = ("card",)
"""Class attributes that say something about a method and do nothing."""
_SETTINGS = ("variants", "at_point")
"""Tables of settings. What these set is among the hyper-parameters of a record, so that one more entry, or another
value in one, leaves the others as they are. Nothing else may read the tables, therefore."""


@dataclass(frozen=True)
class Name:
    """What a definition refers to: an attribute of a module; without one, the module as a whole."""

    module: str
    attribute: str | None


@dataclass(frozen=True)
class Definition:
    """text: what it does, REFERENCE for each of `refers`, in that order. reads_files: it knows where its file lies."""

    text: str
    refers: tuple[Name, ...]
    reads_files: bool


@dataclass(frozen=True)
class Module:
    """named: by name, what the module defines at its top. imported: by local name, what it takes from elsewhere.
    loads: the modules that this may import. effects: what it does when it is imported and binds to no name."""

    named: Mapping[str, Definition]
    imported: Mapping[str, Name]
    loads: frozenset[str]
    effects: tuple[Definition, ...]


@cache
def read_module(text: bytes, name: str, package: bool) -> Module:
    """The module of that dotted name. Raises SyntaxError."""
    within = name if package else name.rpartition(".")[0]
    body = list(_flattened(ast.parse(text).body))
    imported = dict(_imports(body, within))
    bound = {target for part in body for target in _targets(part)}
    named: dict[str, Definition] = {}
    effects: list[Definition] = []
    for part in body:
        if isinstance(part, ast.Import | ast.ImportFrom) or _is_words(part):
            continue
        targets, elsewhere = _targets(part), _enters_elsewhere(part)
        definition = _definition(part, Scope(name, within, bound, imported))  # takes `part` apart
        for target in targets:
            # Bound twice, as in try and except, or by `x = ...; x += ...`: it is both.
            named[target] = definition if target not in named else _joined(named[target], definition)
        if not targets or elsewhere:
            effects.append(definition)
    whole = {alias.name for part in body if isinstance(part, ast.Import) for alias in part.names}
    parts = {f"{name.module}.{name.attribute}" for name in imported.values() if name.attribute}
    loads = whole | parts | {name.module for name in imported.values()}
    return Module(named, imported, frozenset(loads), tuple(effects))


def _flattened(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, and those within `if` and `try`; nothing of what only a type checker or a start as a program sees."""
    for part in body:
        if isinstance(part, ast.If):
            test = ast.unparse(part.test)
            if test.endswith("TYPE_CHECKING") or test.startswith("__name__ =="):
                yield from _flattened(part.orelse)
                continue
            yield ast.Expr(part.test)
            yield from _flattened([*part.body, *part.orelse])
        elif isinstance(part, ast.Try):
            handled = [inner for handler in part.handlers for inner in handler.body]
            yield from _flattened([*part.body, *handled, *part.orelse, *part.finalbody])
        else:
            yield part


def _imports(body: Sequence[ast.stmt], within: str) -> Iterator[tuple[str, Name]]:
    for part in body:
        if isinstance(part, ast.Import):
            for alias in part.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or whole, Name(whole, None)
        elif isinstance(part, ast.ImportFrom):
            parts = within.split(".")
            above = parts[: len(parts) + 1 - part.level] if part.level else []
            module = ".".join([*above, *([part.module] if part.module else [])])
            for alias in part.names:
                yield alias.asname or alias.name, Name(module, alias.name)


def _targets(part: ast.stmt) -> list[str]:
    """Names that a statement at the top of a module binds."""
    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [part.name]
    if isinstance(part, ast.Assign):
        return [name for target in part.targets for name in _stored(target)]
    if isinstance(part, ast.AnnAssign | ast.AugAssign):
        return [part.target.id] if isinstance(part.target, ast.Name) else []
    if isinstance(part, ast.For | ast.With):
        return sorted(set(_stored(part)))
    return []


def _stored(part: ast.AST) -> Iterator[str]:
    """Names that are bound in it."""
    for node in ast.walk(part):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _is_words(part: ast.stmt) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)


def _enters_elsewhere(part: ast.stmt) -> bool:
    return isinstance(part, ast.FunctionDef | ast.ClassDef) and any(
        _last_word(decorator) not in _PURE for decorator in part.decorator_list
    )


def _last_word(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called).rpartition(".")[2]


def _joined(one: Definition, other: Definition) -> Definition:
    return Definition(f"{one.text}\n{other.text}", one.refers + other.refers, one.reads_files or other.reads_files)


@dataclass
class Scope:
    """Where a definition stands. module: its own; within: the package that relative imports begin at. bound: names that
    the module defines."""

    module: str
    within: str
    bound: set[str]
    imported: Mapping[str, Name]


def _definition(part: ast.stmt, scope: Scope) -> Definition:
    found = _Definition(scope)
    text = ast.unparse(ast.fix_missing_locations(found.visit(part)))
    return Definition(text, tuple(found.refers), found.reads_files)


@dataclass
class _Definition(ast.NodeTransformer):
    """Takes words, annotations and imports out of a definition, and puts REFERENCE for what lies elsewhere."""

    scope: Scope
    refers: list[Name] = field(default_factory=list)
    reads_files: bool = False
    _locals: list[tuple[set[str], dict[str, Name]]] = field(default_factory=list)

    # --- words ---

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """An annotation makes a field of a dataclass; which type it names changes nothing. Within a function it says
        nothing at all."""
        if self._locals:
            return None if node.value is None else ast.Assign([self.visit(node.target)], self.visit(node.value))
        words = ast.unparse(node.annotation)
        kind = next((word for word in ("ClassVar", "InitVar", "KW_ONLY") if word in words), "field")
        node.annotation = ast.Name(kind, ast.Load())
        node.value = node.value and self.visit(node.value)
        return node

    # --- scopes ---

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.decorator_list = [self.visit(each) for each in node.decorator_list]
        node.bases = [self.visit(each.value if isinstance(each, ast.Subscript) else each) for each in node.bases]
        node.keywords = [self.visit(each) for each in node.keywords]
        node.body = [each for each in map(self._member, node.body) if each is not None] or [ast.Pass()]
        return node

    def _member(self, part: ast.stmt) -> Any:
        target = next(iter(_targets(part)), None) if isinstance(part, ast.Assign | ast.AnnAssign) else None
        if target in _WORDS or target in _SETTINGS:
            return None
        return self.visit(part)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(each) for each in node.decorator_list]
        node.returns = None
        node.args.defaults = [self.visit(each) for each in node.args.defaults]
        node.args.kw_defaults = [each and self.visit(each) for each in node.args.kw_defaults]
        self.visit_arguments(node.args)
        self._locals.append((_bound_within(node), dict(_imports(list(_statements(node)), self.scope.within))))
        node.body = [each for each in map(self.visit, node.body) if each is not None] or [ast.Pass()]
        self._locals.pop()
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        for argument in (*node.posonlyargs, *node.args, *node.kwonlyargs, node.vararg, node.kwarg):
            if argument is not None:
                argument.annotation = None
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        node.args.defaults = [self.visit(each) for each in node.args.defaults]
        self._locals.append((_bound_within(node), {}))
        node.body = self.visit(node.body)
        self._locals.pop()
        return node

    def _comprehension(self, node: Any) -> Any:
        bound = {each.id for part in node.generators for each in ast.walk(part.target) if isinstance(each, ast.Name)}
        self._locals.append((bound, {}))
        self.generic_visit(node)
        self._locals.pop()
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

    # --- text ---

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """As its own text: every version of Python writes f-strings in another way, and a key is the same on all."""
        return ast.Name(_quoted(self._between_quotes(node)), ast.Load())

    def _between_quotes(self, node: ast.JoinedStr) -> str:
        return "".join(map(self._part, node.values))

    def _part(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return "".join(map(_escaped, str(part.value).replace("{", "{{").replace("}", "}}")))
        assert isinstance(part, ast.FormattedValue)
        open_ended = isinstance(part.value, ast.IfExp | ast.Lambda)
        value = ast.unparse(ast.fix_missing_locations(self.visit(part.value)))
        text = f"({value})" if open_ended else value
        text = f" {text}" if text.startswith("{") else text
        text += "" if part.conversion == -1 else f"!{chr(part.conversion)}"
        text += f":{self._between_quotes(part.format_spec)}" if isinstance(part.format_spec, ast.JoinedStr) else ""
        return f"{{{text}}}"

    # --- references ---

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return node
        self.reads_files |= node.id == "__file__"
        name = self._meant(node.id)
        return node if name is None else self._refer(name)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """`module.sub.attribute` is one reference."""
        chain = [node.attr]
        inner: ast.expr = node.value
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        name = self._meant(inner.id) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load) else None
        return self.generic_visit(node) if name is None else self._refer(name, chain[::-1])

    def _meant(self, word: str) -> Name | None:
        """What a name means here, None for what is local or Python's own."""
        for bound, imported in reversed(self._locals):
            if word in imported:
                return imported[word]
            if word in bound:
                return None
        if word in self.scope.bound:
            return Name(self.scope.module, word)
        return self.scope.imported.get(word)

    def _refer(self, name: Name, chain: Sequence[str] = ()) -> ast.expr:
        """REFERENCE. Which of the attributes behind it are a module's is found out when it is resolved, so all go into
        the name."""
        words = ".".join([*([name.attribute] if name.attribute else []), *chain])
        self.refers.append(Name(name.module, words or None))
        return ast.Name(REFERENCE, ast.Load())


def _escaped(character: str) -> str:
    if character != "\\" and character.isprintable():
        return character
    return character.encode("unicode_escape").decode()


def _quoted(text: str) -> str:
    """An f-string around this, in quotes that it has not."""
    fitting = [quote for quote in ("'", '"', "'''", '"""') if quote not in text and not text.endswith(quote[0])]
    if not fitting:
        return f"f{text!r}"
    return f"f{fitting[0]}{text}{fitting[0]}"


_NAMING = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar,
)  # fmt: skip


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """What stands within a function, apart from what stands within a function or class in it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _own(child)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    return (each for each in _own(node) if isinstance(each, ast.stmt))


def _bound_within(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    """Names that are local to a function."""
    bound: set[str] = set()
    elsewhere: set[str] = set()
    for each in _own(node):
        if isinstance(each, ast.arg):
            bound.add(each.arg)
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store | ast.Del):
            bound.add(each.id)
        elif isinstance(each, _NAMING) and each.name:
            bound.add(each.name)
        elif isinstance(each, ast.Global):
            elsewhere.update(each.names)
    return bound - elsewhere
