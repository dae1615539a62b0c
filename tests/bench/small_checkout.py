"""A checkout in miniature: a suite with a problem, three methods and their helpers, committed."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from bench import measure
from bench.registry import Registry, open_registry

SUITE = """
slug = "demo"
area = "language"
version = "1"
title = "Demo"
summary = "A suite."
baseline = "dense"
[problems.main]
title = "A problem"
[points.half]
title = "Half"
limits = { stored_ratio = 0.5 }
[scores.perplexity]
title = "Perplexity"
primary = true
[bases]
tiny = ["toy"]
embedded = ["toy"]
full = ["toy"]
[settings.words]
tiny = 1
full = 3
[allowances.full]
seconds = 6
[timing]
tiny = { seconds = 1 }
embedded = { seconds = 1 }
full = { seconds = 1 }
[timeout]
tiny = 60
embedded = 60
full = 60
"""
METHOD = """
from dataclasses import dataclass

from bench.contract import Card, Method
from {module} import {helper}


@dataclass(frozen=True)
class Made(Method):
    card = Card(slug="{slug}", title="A title", paper="A", control=True)
    samples: int = 256

    def build(self, task):
        return {helper}(task)
"""
ALPHA = "methods/demo/family/alpha.py"
HELPER = "methods/demo/_helper.py"
FILES = {
    ALPHA: METHOD.format(slug="alpha", module="methods.demo._helper", helper="half"),
    "methods/demo/family/beta.py": METHOD.format(slug="beta", module="methods.demo._helper", helper="half"),
    "methods/demo/baseline/dense.py": METHOD.format(slug="dense", module="methods._techniques.tool", helper="more"),
    HELPER: "def half(task):\n    return task\n\n\ndef other():\n    return 1\n",
    "methods/_techniques/tool.py": "def more(x):\n    return x + 1\n",
    "suites/demo/suite.toml": SUITE,
    "suites/demo/main.py": "from pathlib import Path\n\nTEXT = Path(__file__).with_name('data.yaml').read_text()\n",
    "suites/demo/data.yaml": "1\n",
    "suites/demo/README.md": "# Demo\n",
    "other.py": "",
    "bench/measure/__init__.py": f"VERSION = {measure.VERSION}\n",
}

Change = Callable[[Path], None]


def make_checkout(folder: Path) -> Path:
    """The work tree, on its branch main."""
    root = folder / "checkout"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q", "-b", "main")
    commit(root)
    return root


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path) -> str:
    """All that changed; the commit."""
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "c")
    return git(root, "rev-parse", "HEAD")


def registry_of(root: Path) -> Registry:
    """As the files are now."""
    found: Registry = open_registry.__wrapped__(root, plugins=False)
    return found


def append(name: str, text: str = "Y = 2\n") -> Change:
    return lambda root: (root / name).write_text((root / name).read_text() + text)  # type: ignore[func-returns-value]


def replace(old: str, new: str, name: str = "suites/demo/suite.toml") -> Change:
    def change(root: Path) -> None:
        path = root / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return change


def move(root: Path) -> None:
    """The method to another family, its helper into another file."""
    (root / "methods/demo/other").mkdir()
    (root / ALPHA).rename(root / "methods/demo/other/renamed.py")
    for name in ("methods/demo/other/renamed.py", "methods/demo/family/beta.py"):
        replace("demo._helper", "demo.other._parts", name)(root)
    (root / HELPER).rename(root / "methods/demo/other/_parts.py")
