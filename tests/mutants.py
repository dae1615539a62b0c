"""Mutation testing of one method: `tox -e mutants -- METHOD`.

The method's file and its helpers are changed in one place at a time, and the method's tests are run on each change;
what they do not notice is printed. Some of that changes nothing that can be seen; the rest says which test is missing.

The changes are mutmut's. Its own runner leaves decorated functions alone, and half of our arithmetic stands under
`@torch.no_grad()`; so each mutant is written to a copy of the tree, and its tests run there in a process of their own.
"""

import argparse
import ast
import contextlib
import difflib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper
from mutmut.mutation.mutators import mutation_operators, operator_string

UNTOUCHED = (libcst.Annotation, libcst.Decorator, libcst.Parameters, libcst.Raise, libcst.Assert)
"""What a change of says nothing about the method: types, defaults, messages."""

MARKERS = "not slow and not gpu and not browser"
MOST_MEMORY = 16 * 2**30
"""Bytes that the tests of one mutant may map."""


@dataclass(frozen=True)
class Mutant:
    """A file, relative to the root, and its text with one change in this line."""

    path: Path
    line: int
    text: str


class _Finder(libcst.CSTVisitor):
    """All changes of what stands in functions: the first byte, how many bytes, and what stands there then."""

    METADATA_DEPENDENCIES = (ByteSpanPositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, int, str]] = []
        self._functions = 0

    def on_visit(self, node: libcst.CSTNode) -> bool:
        self._functions += isinstance(node, libcst.FunctionDef)
        if not self._functions:
            return True
        if isinstance(node, UNTOUCHED):
            return False
        span: Any = self.get_metadata(ByteSpanPositionProvider, node, None)
        for kind, operator in mutation_operators:
            if span is not None and isinstance(node, kind) and operator is not operator_string:
                self.found += [(span.start, span.length, _code(changed)) for changed in operator(node)]
        return True

    def on_leave(self, original_node: libcst.CSTNode) -> None:
        self._functions -= isinstance(original_node, libcst.FunctionDef)


def _code(node: libcst.CSTNode) -> str:
    bare = node.with_changes(lpar=(), rpar=()) if isinstance(node, libcst.BaseExpression) else node
    return libcst.Module([]).code_for_node(bare)  # parentheses around it stay where they are


def mutants(root: Path, path: Path) -> list[Mutant]:
    """All of a file, in its order."""
    whole = (root / path).read_bytes()
    finder = _Finder()
    MetadataWrapper(libcst.parse_module(whole), unsafe_skip_copy=True).visit(finder)
    found: dict[str, int] = {}
    for start, length, code in sorted(finder.found):
        text = (whole[:start] + code.encode() + whole[start + length :]).decode()
        if text.encode() != whole and _compiles(text):
            found.setdefault(text, whole.count(b"\n", 0, start) + 1)
    return [Mutant(path, line, text) for text, line in found.items()]


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def imported(root: Path, path: Path) -> set[Path]:
    """Files of this tree that a file imports by their full names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((root / path).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
    files = {Path(*name.split(".")).with_suffix(".py") for name in names if "-" not in name}
    return {file for file in files if (root / file).is_file()}


def is_helper(path: Path) -> bool:
    return path.parts[0] == "methods" and any(part.startswith("_") for part in path.parts[1:])


def file_of(root: Path, method: str) -> Path:
    """The file whose card has this slug. Raises SystemExit if there is none."""
    for path in sorted((root / "methods").rglob("*.py")):
        if f'slug="{method}"' in path.read_text():
            return path.relative_to(root)
    raise SystemExit(f"no card under methods/ has the slug {method!r}")


def with_helpers(root: Path, path: Path) -> list[Path]:
    """A method's file and the helpers that it, or they, import."""
    found, new = [path], [path]
    while new:
        new = sorted({each for file in new for each in imported(root, file) if is_helper(each)} - set(found))
        found += new
    return found


def tests_of(root: Path, files: Sequence[Path]) -> list[Path]:
    """Test files that import the first of these files, the method; or else one of the others, and no method at all."""
    chosen = []
    for test in sorted((root / "tests" / "methods").rglob("test_*.py")):
        known = {each for each in imported(root, test.relative_to(root)) if each.parts[0] == "methods"}
        if files[0] in known or (known & set(files) and all(map(is_helper, known))):
            chosen.append(test.relative_to(root))
    return chosen


def copied(root: Path, to: Path) -> Path:
    """The tree as it is, without what git ignores; of `results` nothing."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if not name.startswith("results/") and (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)
    return to


class _Durations:
    """A pytest plug-in: what each test took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def run(root: Path, tests: Sequence[str], log: Path, *, durations: Path | None = None) -> int:
    """The number of a process that runs these tests in that tree, up to the first failure; its status is pytest's.

    durations: where it writes the names of the tests, the fastest first; bytecode is kept then, and else never, so that
    none of a mutant outlives it.
    """
    if process := os.fork():
        return process
    status = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(root)
        here = Path(__file__).resolve().parent
        sys.path[:] = [str(root), *(each for each in sys.path if Path(each).resolve() != here)]
        os.environ |= {"PYTHONPATH": str(root)} | ({} if durations else {"PYTHONDONTWRITEBYTECODE": "1"})
        sys.dont_write_bytecode = durations is None
        import pytest

        plugin = _Durations()
        options = ["-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-m", MARKERS]
        status = int(pytest.main([*options, *tests], plugins=[plugin]))
        if durations:
            durations.write_text("\n".join(sorted(plugin.seconds, key=plugin.seconds.__getitem__)))
    finally:
        os._exit(status)


def wait(running: dict[int, tuple[Any, float]]) -> tuple[Any, int | None]:
    """What is told of the next process that ends, and its status; None of one that is past its time, and ended.

    running: by process, what is told of it and its last moment (`time.monotonic`); it is taken out.
    """
    while True:
        for process, (told, until) in list(running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended or time.monotonic() > until:
                late = not ended
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)  # and all that it started
                if late:
                    os.waitpid(process, 0)
                del running[process]
                return told, None if late else os.waitstatus_to_exitcode(status)
        time.sleep(0.05)


def outcomes(
    root: Path, chosen: Sequence[Mutant], tests: Sequence[Path], jobs: int, most: float | None
) -> Iterator[tuple[Mutant, str]]:
    """Each mutant, as it is done with: "survived", "caught" or "timed out". most: seconds for one; else by what its
    tests take without any change. Raises SystemExit if they fail then."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [copied(root, Path(folder, f"tree{number}")) for number in range(jobs)]
        start, names, log = time.monotonic(), Path(folder, "names"), Path(folder, "log")
        for copy in copies:  # the first of them may have to compile everything
            start = time.monotonic()
            _, status = wait({run(copy, list(map(str, tests)), log, durations=names): (None, start + 3600)})
            if status:
                raise SystemExit(f"the tests fail before anything is changed:\n{log.read_text()}")
        seconds, order = time.monotonic() - start, names.read_text().splitlines()
        print(f"{len(chosen)} mutants, {len(order)} tests that take {seconds:.0f} s unchanged", flush=True)
        limit = most or 20 + 3 * jobs * seconds
        left, free = list(chosen)[::-1], copies
        running: dict[int, tuple[Any, float]] = {}
        while left or running:
            while left and free:
                mutant, copy = left.pop(), free.pop()
                (copy / mutant.path).write_text(mutant.text)
                process = run(copy, order, Path(folder, f"{copy.name}.log"))
                running[process] = (mutant, copy), time.monotonic() + limit
            (mutant, copy), status = wait(running)
            shutil.copy2(root / mutant.path, copy / mutant.path)
            free.append(copy)
            yield mutant, {0: "survived", None: "timed out"}.get(status, "caught")


def told(root: Path, mutant: Mutant) -> str:
    """The change, as a diff without context."""
    lines = difflib.unified_diff(
        (root / mutant.path).read_text().splitlines(), mutant.text.splitlines(), n=0, lineterm=""
    )
    changed = [f"    {line}" for line in lines if not line.startswith(("---", "+++", "@@"))]
    return "\n".join([f"SURVIVED {mutant.path}:{mutant.line}", *changed])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", help="its slug")
    parser.add_argument("--only", metavar="FILE", type=Path, nargs="+", help="change these files alone")
    parser.add_argument("--sample", metavar="N", type=int, help="of all mutants so many, drawn at random")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    parser.add_argument("--seconds", type=float, help="the most that a mutant's tests may take")
    given = parser.parse_args(arguments)
    root = Path.cwd()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    files = with_helpers(root, file_of(root, given.method))
    if not (tests := tests_of(root, files)):
        raise SystemExit(f"no test under tests/methods imports {files[0]}")
    chosen = [mutant for file in given.only or files for mutant in mutants(root, file)]
    if given.sample is not None and given.sample < len(chosen):
        drawn = set(random.Random(0).sample(range(len(chosen)), given.sample))
        chosen = [mutant for number, mutant in enumerate(chosen) if number in drawn]
    print(f"{given.method}: {', '.join(map(str, given.only or files))}; by {', '.join(map(str, tests))}", flush=True)
    import torch  # noqa: F401  what all of them load, once

    counts = {"caught": 0, "timed out": 0, "survived": 0}
    for mutant, outcome in outcomes(root, chosen, tests, given.jobs, given.seconds):
        counts[outcome] += 1
        if outcome == "survived":
            print(told(root, mutant), flush=True)
    print(", ".join(f"{count} {name}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
