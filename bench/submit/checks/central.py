"""Check: a submission brings its own files and edits nobody else's."""

import tomllib
from collections.abc import Iterator

from bench.submit.changes import Changes
from bench.submit.checks.check import Check

OPEN = ("methods/", "results/", "tests/methods/", "tests/suites/", "docs/", "constraints.txt")
PROJECT = "pyproject.toml"


def problems(changes: Changes) -> Iterator[str]:
    for path in changes.files:
        if path == PROJECT:
            if _without_dependencies(changes.before(path)) != _without_dependencies(changes.now(path)):
                yield f"{path}: only dependencies may change"
        elif path.startswith("suites/"):
            suite = "/".join(path.split("/")[:2])
            if changes.existed(suite):
                yield f"{path}: belongs to a suite that is there already"
        elif not path.startswith(OPEN):
            yield f"{path}: belongs to the engine"


def _without_dependencies(content: bytes | None) -> dict[str, object]:
    try:
        data = tomllib.loads((content or b"").decode())
    except ValueError as error:
        return {"not TOML": str(error)}
    project = data.get("project", {})
    return data | {"project": {key: project[key] for key in project if not key.endswith("dependencies")}}


CHECK = Check(
    "central",
    guards="a method or suite is added without touching the engine, the exam or other suites",
    mend="undo the change here and propose it in a pull request of its own, which the maintainers read as such",
    problems=problems,
)
