"""`effbench new`: a first version that works, to be changed piece by piece. Nothing that exists is ever written over.

A method starts from the template of its suite (TEMPLATE in the suite's folder) or, where the suite brings none, from
one that hands on what the suite's baseline builds. In a template ${name} is filled in by `string.Template`.
"""

import keyword
import re
import shutil
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from string import Template
from typing import Any, get_args, get_origin

from bench.contract import Suite, Task
from bench.contract.card import SLUG
from bench.contract.registry import Registry, SlugTaken, family
from bench.submit import Refused

TEMPLATE = "method_template.py.txt"
TEMPLATES = Path(__file__).with_name("templates")
LONGEST_SLUG = 40


class CannotCreate(Refused):
    """The name can't be used, or something stands already where a file would go."""


def new_method(registry: Registry, slug: str, *, suite: str, family: str | None, root: Path) -> list[Path]:
    """Write methods/<family>/<slug>.py under `root`, the checkout; return the files written, the method's first.

    family: folder under methods/, made if it is new; the suite's own name by default. Raises UnknownName for a suite
    that does not exist, SlugTaken for a slug that does, CannotCreate for a name that can't be one or is in the way.
    """
    owner = registry.suite(suite)
    module = _module_name("method", slug)
    if slug in registry.methods:
        taken = registry.methods[slug]
        raise SlugTaken(f"method {slug!r} exists: {sys.modules[taken.__module__].__file__}")
    folder = _module_name("family", family or suite)
    own = owner.info.folder / TEMPLATE
    template = (own if own.exists() else TEMPLATES / TEMPLATE).read_text()
    text = Template(template).substitute(_names(slug, template), **_names_of_suite(registry, owner))
    package = root / "methods" / folder
    files = {package / f"{module}.py": text}
    if not (package / "__init__.py").exists():
        files[package / "__init__.py"] = ""
    return _write(root, files)


def new_suite(registry: Registry, slug: str, *, root: Path) -> list[Path]:
    """Write suites/<slug>/ and its first methods, methods/<slug>/, under `root`; return the files written.

    What is written works at every scale: a small task with a baseline, a control and a method. Raises as `new_method`.
    """
    name = _module_name("suite", slug)
    if slug in registry.suites:
        raise SlugTaken(f"suite {slug!r} exists: {registry.suites[slug].info.folder}")
    for kind in ("suites", "methods"):
        if (root / kind / name).exists():
            raise CannotCreate(f"{root / kind / name} exists already; choose another name")
    files = {root / kind / name / "__init__.py": "" for kind in ("suites", "methods")}
    for template in sorted((TEMPLATES / "suite").rglob("*.txt")):
        place = template.relative_to(TEMPLATES / "suite")
        folder = root / "suites" / name if place.parent == Path(".") else root / place.parent / name
        text = template.read_text()
        files[folder / place.stem] = Template(text).substitute(_names(slug, text), module=name)
    clash = {f"{slug}-{suffix}" for suffix in ("dense", "random", "svd")} & set(registry.methods)
    if clash:
        raise SlugTaken(f"method {min(clash)!r} exists and the suite would bring another; choose another name")
    return _write(root, files)


def families_of(registry: Registry, suite: str) -> list[str]:
    """The families that the methods of a suite belong to."""
    return sorted({family(method) for method in registry.methods_of(suite).values()})


def _module_name(kind: str, slug: str) -> str:
    """The name of its module or folder: the slug's words joined by '_'. Raises CannotCreate for what is no slug."""
    if not SLUG.fullmatch(slug):
        near = re.sub(r"[^a-z0-9.]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", slug).lower()).strip("-.")
        hint = f", such as {near!r}" if SLUG.fullmatch(near) else ""
        raise CannotCreate(f"{kind} {slug!r}: use lower-case words and digits joined by '-'{hint}")
    if len(slug) > LONGEST_SLUG:
        raise CannotCreate(f"{kind} {slug!r} has {len(slug)} characters; tables have room for {LONGEST_SLUG}")
    name = re.sub(r"[-.]", "_", slug)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise CannotCreate(f"{kind} {slug!r}: {name!r} can't be a Python module: begin with a letter, avoid keywords")
    return name


def _names(slug: str, template: str) -> dict[str, str]:
    """What a template may call the new thing. The class gets a name that nothing in the template has."""
    words = re.split(r"[-.]", slug)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if keyword.iskeyword(name) or re.search(rf"\b{name}\b", template):
        name += "Method"
    return {"slug": slug, "class_name": name, "title": " ".join(words).capitalize(), "year": str(date.today().year)}


def _names_of_suite(registry: Registry, suite: Suite[Any]) -> dict[str, str]:
    task = _task_type(suite)
    baseline = registry.method(suite.info.baseline)
    return {
        "suite": suite.info.slug,
        "task": task.__name__,
        "task_module": task.__module__,
        "baseline": suite.info.baseline,
        "baseline_class": baseline.__name__,
        "baseline_module": baseline.__module__,
        "score": suite.info.primary.name,
    }


def _task_type(suite: Suite[Any]) -> type[Task]:
    """T of a class that is declared as Suite[T]."""
    for base in getattr(type(suite), "__orig_bases__", ()):
        if get_origin(base) is Suite and isinstance(get_args(base)[0], type):
            return get_args(base)[0]  # type: ignore[no-any-return]
    return Task


def _write(root: Path, files: Mapping[Path, str]) -> list[Path]:
    """Write all or nothing. Raises CannotCreate if one of them exists or can't be written."""
    missing = [name for name in ("pyproject.toml", "methods", "suites") if not (root / name).exists()]
    if missing:  # an installed package, say, whose folder is nobody's to write to
        raise CannotCreate(f"{root} is no checkout of effbench, it has no {missing[0]}; clone the repository")
    for path in files:
        if path.exists():
            raise CannotCreate(f"{path} exists already; choose another name")
    written: list[Path] = []
    made: list[Path] = []
    try:
        for path, text in files.items():
            if not path.parent.exists():
                path.parent.mkdir()
                made.append(path.parent)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        raise CannotCreate(f"nothing was written: {error}") from error
    return written
