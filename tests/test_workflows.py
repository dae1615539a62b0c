"""The workflows: pinned, with the least rights, and made of commands that a person can run."""

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import cli

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
UNTRUSTED = {"submission.yml", "ci.yml"}


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def workflow(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text())  # type: ignore[no-any-return]


def jobs(workflow: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    yield from workflow["jobs"].values()


def steps(workflow: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    for job in jobs(workflow):
        yield from job["steps"]


def triggers(workflow: dict[Any, Any]) -> set[str]:
    return set(workflow[True])  # YAML 1.1 reads the key `on` as a truth value


def test_there_are_the_promised_workflows() -> None:
    assert {"ci.yml", "submission.yml", "comment.yml", "nightly.yml", "pages.yml"} <= {path.name for path in WORKFLOWS}


def test_every_action_is_pinned_by_commit_with_its_version_beside_it(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if re.search(r"\buses:", line)]
    assert lines
    for line in lines:
        assert re.search(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_rights_are_given_job_by_job(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {}
    for job in jobs(workflow):
        assert job["permissions"]
        assert "write-all" not in str(job["permissions"])


def test_every_job_ends_and_runs_do_not_pile_up(workflow: dict[Any, Any]) -> None:
    assert workflow["concurrency"]["group"]
    assert all(0 < job["timeout-minutes"] <= 360 for job in jobs(workflow))


def test_no_step_is_given_a_token_to_keep(workflow: dict[Any, Any]) -> None:
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_code_of_a_pull_request_gets_no_rights_and_no_secrets(path: Path, workflow: dict[Any, Any]) -> None:
    assert "pull_request_target" not in triggers(workflow)
    assert "secrets" not in path.read_text()
    if "pull_request" in triggers(workflow):
        assert path.name in UNTRUSTED
        assert all(job["permissions"] == {"contents": "read"} for job in jobs(workflow))


def test_what_runs_after_a_pull_request_runs_the_default_branch_alone_and_may_read_or_write(
    workflow: dict[Any, Any],
) -> None:
    """What the pull request left is read by the job that may do nothing else; what is posted is that job's."""
    if "workflow_run" not in triggers(workflow):
        return
    for job in jobs(workflow):
        elsewhere = [step for step in job["steps"] if "run-id" in step.get("with", {})]
        writes = "write" in job["permissions"].values()
        assert not (writes and elsewhere)
        for step in job["steps"]:
            assert not (writes and ("run" in step or "actions/checkout@" in step.get("uses", "")))
            if "actions/checkout@" in step.get("uses", ""):
                assert not {"ref", "repository"} & step["with"].keys()


def test_the_comment_is_made_of_records_by_the_command_that_reads_them() -> None:
    uploads = [
        step["with"] for step in steps(yaml.safe_load((ROOT / ".github/workflows/submission.yml").read_text()))
        if "upload-artifact" in step.get("uses", "")
    ]  # fmt: skip
    assert {"name": "records", "path": "engine/build/results"}.items() <= uploads[0].items()
    report, post = yaml.safe_load((ROOT / ".github/workflows/comment.yml").read_text())["jobs"].values()
    (download,) = [step["with"] for step in report["steps"] if "download-artifact" in step.get("uses", "")]
    (command,) = [step["run"].split() for step in report["steps"] if step.get("name") == "Report"]
    (upload,) = [step["with"] for step in report["steps"] if "upload-artifact" in step.get("uses", "")]
    assert download["name"] == "records"
    assert command[:2] == ["effbench", "report"]
    assert Path(command[command.index("--results") + 1]) == Path("..", download["path"])
    assert upload["path"] == f"engine/{command[command.index('--output') + 1]}"
    assert [step["with"]["name"] for step in post["steps"] if "download-artifact" in step.get("uses", "")] == [
        upload["name"]
    ]


def test_machines_of_our_own_run_a_pull_request_after_approval_alone(workflow: dict[Any, Any]) -> None:
    if "pull_request" in triggers(workflow):
        for job in jobs(workflow):
            assert "self-hosted" not in job["runs-on"] or job["environment"]


def test_no_expression_is_pasted_into_a_shell_or_a_script(workflow: dict[Any, Any]) -> None:
    for step in steps(workflow):
        assert "${{" not in step.get("run", "") + step.get("with", {}).get("script", "")


def test_every_command_is_one_that_a_person_can_run(workflow: dict[Any, Any]) -> None:
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    for step in steps(workflow):
        if "run" not in step or step["name"] == "Install":
            continue
        for line in step["run"].strip().splitlines():
            program, *words = shlex.split(line)
            if program == "tox":
                (name,) = words[1:]
                names = [name] if name != "$ENVIRONMENT" else environments(workflow)
                assert all(each == "test" or f"testenv:{each}" in tox for each in names)
            else:
                assert program == "effbench", line
                cli._parser().parse_args(words)  # exits where there is no such command or flag


def environments(workflow: dict[Any, Any]) -> list[str]:
    matrices = [job["strategy"]["matrix"] for job in jobs(workflow) if "strategy" in job]
    return [each for matrix in matrices for each in matrix["environment"]]
