"""`effbench new`: a first version that works, to be changed piece by piece. Nothing that exists is ever written over.

A method starts from the template of its suite (TEMPLATE in the suite's folder) or, where the suite brings none, from
one that hands on what the baseline builds. In a template ${name} is filled in by `string.Template`.
"""

import keyword
import re
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from string import Template
from typing import get_args, get_origin

from bench.contract import Problem, Task
from bench.contract.card import SLUG
from bench.registry import ProblemInfo, Registry, SuiteInfo
from bench.registry.registry import load_problem
from bench.submit import Refused

TEMPLATE = "method_template.py.txt"
TEMPLATES = Path(__file__).with_name("templates")
LONGEST_SLUG = 40


class CannotCreate(Refused):
    """The name can't be used, or something stands already where a file would go."""


def new_method(registry: Registry, slug: str, *, suite: str, family: str | None, root: Path) -> list[Path]:
    """Write methods/<suite>/<family>/<slug>.py under `root`, the checkout; return the files written, its own first.

    family: folder under methods/<suite>/, made if it is new. Raises UnknownName for a suite that does not exist,
    CannotCreate for a slug that its suite has, a name that can't be one, or is in the way.
    """
    info = registry.suite(suite)
    module = _module_name("method", slug)
    if slug in registry.methods_of(suite):
        raise CannotCreate(f"{suite} has a method {slug!r}: {registry.method(suite, slug).place}")
    if family is None:
        known = ", ".join(families_of(registry, suite)) or "none yet"
        raise CannotCreate(f"name its family with --family: one of those of {suite} ({known}), or a new one")
    own = root / info.folder / TEMPLATE
    template = (own if own.exists() else TEMPLATES / TEMPLATE).read_text(encoding="utf-8")
    text = Template(template).substitute(_names(slug, template), **_names_of_suite(registry, info))
    package = root / "methods" / _module_name("suite", suite) / _module_name("family", family)
    packages = [folder / "__init__.py" for folder in (package, package.parent)]
    return _write(root, {package / f"{module}.py": text} | {path: "" for path in packages if not path.exists()})


def new_suite(registry: Registry, slug: str, *, root: Path) -> list[Path]:
    """Write suites/<slug>/ and its first methods, methods/<slug>/, under `root`; return the files written.

    What is written works at every scale: a small task with a baseline, a control and a method. Raises as `new_method`.
    """
    name = _module_name("suite", slug)
    if slug in registry.suites:
        raise CannotCreate(f"suite {slug!r} exists: {registry.suites[slug].folder}")
    for kind in ("suites", "methods"):
        if (root / kind / name).exists():
            raise CannotCreate(f"{root / kind / name} exists already; choose another name")
    files = {}
    for template in sorted((TEMPLATES / "suite").rglob("*.txt")):
        place = template.relative_to(TEMPLATES / "suite")
        kind, *below = place.parts  # "suites" or "methods", and where it goes below the suite's folder there
        text = template.read_text(encoding="utf-8")
        files[root.joinpath(kind, name, *below[:-1], place.stem)] = Template(text).substitute(
            _names(slug, text), module=name
        )
    packages = {path.parent for path in files if path.suffix == ".py"} | {root / "methods" / name}
    return _write(root, {folder / "__init__.py": "" for folder in packages} | files)


def families_of(registry: Registry, suite: str) -> list[str]:
    """The families that the methods of a suite belong to."""
    return sorted({listed.family for listed in registry.methods_of(suite).values()})


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


def _names_of_suite(registry: Registry, info: SuiteInfo) -> dict[str, str]:
    """What a template may call its suite, by the suite's first problem."""
    problem = next(iter(info.problems.values()))
    task, baseline = _task_type(info, problem), registry.method(info.slug, problem.baseline)
    plugged_in = not info.package.startswith("suites.")
    others = len(info.problems) > 1
    return {
        "suite": info.slug,
        "task": task.__name__,
        "task_module": task.__module__,
        "baseline": problem.baseline,
        "baseline_class": baseline.name,
        "baseline_module": baseline.module,
        "score": problem.primary.name,
        "suite_line": f'\n        suite="{info.slug}",' if plugged_in else "",
        "problems_line": f'\n        problems=("{problem.name}",),  # of {", ".join(info.problems)}' if others else "",
    }


def _task_type(info: SuiteInfo, problem: ProblemInfo) -> type[Task]:
    """T of a class that is declared as Problem[T, ...]. Runs the suite's code."""
    for cls in type(load_problem(info, problem.name)).__mro__:
        for base in getattr(cls, "__orig_bases__", ()):
            of = get_origin(base)
            found = get_args(base)[0] if isinstance(of, type) and issubclass(of, Problem) else None
            if isinstance(found, type) and issubclass(found, Task):
                return found
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
            for folder in reversed(path.parents):
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
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
