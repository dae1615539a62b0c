"""Which files a method is made of, which ones a result comes from, and a hash of what files do."""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType


def sources(module: ModuleType) -> set[Path]:
    """Files that a method's module is made of: its own, the helpers in its folder, and every module of the same package
    that their functions and classes come from.
    """
    package = module.__name__.split(".")[0]
    todo, seen = [module], {module.__name__}
    files = set(Path(str(module.__file__)).parent.glob("_*.py"))
    while todo:
        current = todo.pop()
        files.add(Path(str(current.__file__)))
        for value in vars(current).values():
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(name, str) and name.split(".")[0] == package and name in sys.modules and name not in seen:
                seen.add(name)
                todo.append(sys.modules[name])
    return files


def imported(modules: Iterable[str]) -> set[Path]:
    """Files of these modules and of all that they import, at their top or later: what their results come from.

    Of the packages methods and suites and the modules' own; the engine has versions instead, as libraries have.
    """
    todo = list(modules)
    packages = {"methods", "suites", *(name.split(".")[0] for name in todo)} - {"bench"}
    files: set[Path] = set()
    while todo:
        name = todo.pop()
        if name.split(".")[0] not in packages or (path := _file(name)) is None or path in files:
            continue
        files.add(path)
        above = name.rpartition(".")[0]  # the package, which is imported first
        todo += (above, *_imports(path.read_bytes(), name if path.name == "__init__.py" else above))
    return files


def _file(name: str) -> Path | None:
    """The Python file of a module, None if there is no such module (but a class or function of that name, say)."""
    above = sys.modules.get(name.rpartition(".")[0])
    if name in sys.modules:
        found = getattr(sys.modules[name], "__file__", None)
    elif above is not None and not hasattr(above, "__path__"):
        return None  # what stands in a module is no module
    else:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        found = spec.origin if spec and spec.has_location else None
    return Path(found) if found and found.endswith(".py") else None


@cache
def _imports(source: bytes, package: str) -> tuple[str, ...]:
    """Modules that a file of the package may import: `from a import b` may mean a.b."""

    def names() -> Iterator[str]:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                yield from (base, *(f"{base}.{alias.name}" for alias in node.names))

    return tuple(dict.fromkeys(names()))


def source_hash(paths: Iterable[Path]) -> str:
    """Hash of what files do (`code_of`), so that better words do not make hours of measurements stale."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + code_of(path.name, path.read_bytes()) + b"\0")
    return digest.hexdigest()


def code_of(name: str, text: bytes) -> bytes:
    """What a file does: Python without comments, docstrings, layout, what cards say and tables of settings (`variants`,
    `at_point`); any other file as it is. What these set is among the hyper-parameters of the records, so that one more
    entry, or another value in one, leaves the others as they are. Nothing else may read the tables, therefore.

    Raises SyntaxError for Python that can't be read.
    """
    return _code(text) if name.endswith(".py") else text


@cache
def _code(source: bytes) -> bytes:
    return ast.unparse(_WithoutText().visit(ast.parse(source))).encode()


class _WithoutText(ast.NodeTransformer):
    """Drops strings that stand alone, as docstrings of modules, classes, functions and fields do, what a Card is given,
    what `variants` is set to, and `at_point`."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        for part in node.body:
            if isinstance(part, ast.AnnAssign) and _target(part) == "variants":
                part.value = None
        node.body = [part for part in node.body if _target(part) != "at_point"]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "Card":
            return node.func
        return self.generic_visit(node)


def _target(part: ast.stmt) -> str | None:
    """The name that a statement sets, if it sets one."""
    targets = part.targets if isinstance(part, ast.Assign) else [part.target] if isinstance(part, ast.AnnAssign) else []
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None
