"""What a submission may change, told from git; each check finds what it is there for."""

import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from bench.record import store
from bench.record.schema import Record
from bench.submit.changes import Changes, NoBase, changes
from bench.submit.checks import SUBMISSION_CHECKS
from bench.submit.dependencies import allowed, licence, name_of

ROOT = Path(__file__).resolve().parents[3]
PYPROJECT = '[project]\nname = "x"\ndependencies = ["torch>=2"]\n\n[tool.ruff]\nline-length = 120\n'


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """On the branch `idea`, which left `main` after a commit of code and one of its record; there is no change yet."""
    files = {
        "pyproject.toml": PYPROJECT,
        "bench/cli.py": "",
        "methods/family/old.py": "old\n",
        "suites/old/suite.toml": "",
        "suites/README.md": "",
        "tests/conformance/test_methods.py": "",
        ".gitignore": "build/\n",
    }
    git(tmp_path, "init", "-q", "-b", "main")
    write(tmp_path, files)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "base")
    file = sorted((ROOT / "results").glob("*/*/*.jsonl"))[0]
    record = Record.model_validate_json(file.read_text().splitlines()[0])
    commit = git(tmp_path, "rev-parse", "HEAD")
    environment = record.environment.model_copy(update={"commit": commit, "dirty": False})
    store.append(tmp_path / "results", record.model_copy(update={"environment": environment}))
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "a record")
    git(tmp_path, "switch", "-q", "-c", "idea")
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def problems(name: str, found: Changes) -> list[str]:
    [check] = [check for check in SUBMISSION_CHECKS if check.name == name]
    return list(check.problems(found))


def record_file(folder: Path) -> Path:
    [file] = (folder / "results").glob("*/*/*.jsonl")
    return file


def test_changes_are_committed_or_not_and_never_what_git_ignores(checkout: Path) -> None:
    write(checkout, {"methods/family/committed.py": "1"})
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", "idea")
    write(checkout, {"methods/family/new.py": "2", "build/x": "3", "methods/family/old.py": "changed\n"})
    found = changes(checkout)
    assert found.files == ("methods/family/committed.py", "methods/family/new.py", "methods/family/old.py")
    assert found.before("methods/family/old.py") == b"old\n"
    assert found.now("methods/family/old.py") == b"changed\n"
    assert found.before("methods/family/new.py") is None


def test_what_others_merged_meanwhile_is_not_ours(checkout: Path) -> None:
    git(checkout, "switch", "-q", "main")
    write(checkout, {"bench/cli.py": "theirs"})
    git(checkout, "commit", "-q", "-a", "-m", "theirs")
    git(checkout, "switch", "-q", "idea")
    assert changes(checkout, "main").files == ()


@pytest.mark.parametrize("base", ["nowhere", "--output=x", ""])
def test_a_base_that_is_none_is_refused(base: str, checkout: Path, tmp_path: Path) -> None:
    if base:
        with pytest.raises(NoBase, match="no git revision"):
            changes(checkout, base)
    else:
        git(checkout, "branch", "-m", "main", "trunk")
        with pytest.raises(NoBase, match="upstream/main or origin/main or main"):
            changes(checkout)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "path",
    [
        "bench/cli.py",
        "README.md",
        ".github/workflows/ci.yml",
        "suites/old/suite.toml",
        "suites/README.md",
        "tests/conformance/test_methods.py",
        "tests/cheats/test_cheats.py",
        "methodsx/a.py",
    ],
)
def test_central_files_are_found(path: str, checkout: Path) -> None:
    write(checkout, {path: "changed"})
    assert [line.split(":")[0] for line in problems("central", changes(checkout))] == [path]


def test_a_deleted_central_file_is_found(checkout: Path) -> None:
    (checkout / "bench/cli.py").unlink()
    assert len(problems("central", changes(checkout))) == 1


def test_own_files_are_free(checkout: Path) -> None:
    own = ["methods/new/idea.py", "tests/methods/new/test_idea.py", "suites/new/suite.py", "results/h/s/idea.jsonl"]
    write(checkout, dict.fromkeys(own, "x\n"))
    assert problems("central", changes(checkout)) == []


def test_of_the_project_only_dependencies_may_change(checkout: Path) -> None:
    write(checkout, {"pyproject.toml": PYPROJECT.replace('"torch>=2"', '"torch>=2", "numpy"')})
    assert problems("central", changes(checkout)) == []
    write(checkout, {"pyproject.toml": PYPROJECT.replace("120", "300")})
    assert problems("central", changes(checkout)) == ["pyproject.toml: only dependencies may change"]


def test_records_are_only_added(checkout: Path) -> None:
    file = record_file(checkout)
    line = file.read_text()
    file.write_text(line + line)
    assert problems("results", changes(checkout)) == []
    file.write_text(line.replace('"seed":0', '"seed":7') + line)
    assert "changed or gone" in problems("results", changes(checkout))[0]
    file.unlink()
    assert "changed or gone" in problems("results", changes(checkout))[0]


def test_every_bad_record_is_told(checkout: Path) -> None:
    file = record_file(checkout)
    line = file.read_text()
    file.write_text(line + "no json\n" + line + '{"id": "x"}\n')
    found = problems("results", changes(checkout))
    assert len(found) == 2
    assert "added line 1" in found[0]
    assert "added line 3" in found[1]


def test_a_record_in_anothers_file_is_found(checkout: Path) -> None:
    file = record_file(checkout)
    file.with_name("another.jsonl").write_text(file.read_text())
    [found] = problems("results", changes(checkout))
    assert f"belongs in results/{file.parts[-3]}/{file.parts[-2]}/{file.name}" in found


def test_a_record_of_uncommitted_code_is_found(checkout: Path) -> None:
    file = record_file(checkout)
    line = file.read_text()
    file.write_text(line + line.replace('"dirty":false', '"dirty":true'))
    assert "uncommitted" in problems("results", changes(checkout))[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": "1" * 16}, ""),
        ({"seed": 7}, "is taken"),
        ({"id": "1" * 16, "status": "failed", "reason": " "}, "without a reason"),
        ({"id": "1" * 16, "build": None}, "nothing was built"),
        ({"id": "1" * 16, "environment": {"commit": "0" * 40}}, "not in the history"),
        ({"id": "1" * 16, "started": datetime(2100, 1, 1, tzinfo=UTC)}, "in the future"),
    ],
)
def test_a_record_that_makes_no_sense_is_found(changed: dict[str, Any], said: str, checkout: Path) -> None:
    for name in ("suites", "methods"):
        shutil.copytree(ROOT / name, checkout / name, dirs_exist_ok=True)
    file = record_file(checkout)
    record = Record.model_validate_json(file.read_text())
    if "environment" in changed:
        changed = changed | {"environment": record.environment.model_copy(update=changed["environment"])}
    store.append(checkout / "results", record.model_copy(update=changed))
    found = problems("results", changes(checkout))
    assert len(found) == bool(said)
    assert said in "".join(found)


def test_licences_of_added_dependencies_alone_are_looked_at(checkout: Path) -> None:
    more = PYPROJECT.replace('"torch>=2"', '"torch>=2", "numpy>=2", "no-such-thing"')
    write(checkout, {"pyproject.toml": more})
    assert problems("licences", changes(checkout)) == [
        "no-such-thing is not installed here, so its licence can't be read: pip install no-such-thing"
    ]


@pytest.mark.parametrize(
    ("expression", "free"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND (GPL-2.0-only OR BSD-3-Clause)", True),
        ("(MIT AND GPL-2.0-only) OR AGPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("MIT GPL-3.0-only", False),
        ("LicenseRef-Proprietary", False),
        ("", False),
    ],
)
def test_licence_expressions(expression: str, free: bool) -> None:
    assert allowed(expression) is free


def metadata(headers: Iterable[tuple[str, str]]) -> Message:
    message = Message()
    for name, value in headers:
        message[name] = value
    return message


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("License-Expression", "BSD-3-Clause")], "BSD-3-Clause"),
        ([("License", "Apache 2.0 License")], "Apache-2.0"),
        ([("Classifier", "License :: OSI Approved :: MIT License")], "MIT"),
        ([("Classifier", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)")], "GPL-3.0-or-later"),
        ([("Classifier", "License :: OSI Approved :: GNU Lesser General Public License")], "LGPL-3.0-or-later"),
        ([("Classifier", "License :: OSI Approved"), ("License", "MIT")], "MIT"),
        ([("License", "see the file")], None),
        ([], None),
    ],
)  # fmt: skip
def test_licences_are_read_from_every_kind_of_metadata(headers: list[tuple[str, str]], expected: str | None) -> None:
    assert licence(metadata(headers)) == expected  # type: ignore[arg-type]  # it has all that is asked of PackageMetadata


@pytest.mark.parametrize(
    "requirement", ["Foo_Bar", "foo.bar>=2", "foo-bar[x]==1; python_version<'4'", " foo-bar @ https://x"]
)
def test_requirements_are_read_by_their_canonical_name(requirement: str) -> None:
    assert name_of(requirement) == "foo-bar"
