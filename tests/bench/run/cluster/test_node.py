"""What a node says of itself, and that it runs a job as the machine on its own would."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import cli
from bench.contract.registry import Registry
from bench.record.ceilings import Ceilings
from bench.record.environment import hardware_class
from bench.record.schema import Outcome
from bench.run.cluster.node import inspect, run_on_node
from bench.run.cluster.revision import Revision, revision
from bench.run.plan import Job, key, make_plan
from bench.run.runner import ROOT


def plan(registry: Registry, **options: object) -> list[Job]:
    return make_plan(registry, suite="toy", methods=["toy-large@half"], scale="tiny", threads=1, **options)  # type: ignore[arg-type]


def test_revision_is_that_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    code = tmp_path / "bench" / "code.py"
    code.write_text("one = 1\n")
    first = revision(tmp_path)
    assert revision(tmp_path) == first
    code.write_text("one = 2\n")
    assert revision(tmp_path) != first
    code.write_text("one = 1\n")
    (tmp_path / "notes.txt").write_text("no code")
    assert revision(tmp_path) == first
    code.rename(tmp_path / "bench" / "other.py")
    assert revision(tmp_path) != first


def test_node_with_other_code_answers_nothing(toy_registry: Registry) -> None:
    assert not inspect(plan(toy_registry), Revision("0" * 40, "other")).answers


def test_node_answers_with_the_key_and_class_of_its_own_record(toy_registry: Registry) -> None:
    (job,) = plan(toy_registry)
    answer = inspect([job], revision(ROOT)).answers[job]
    assert (answer.hardware, answer.key, answer.refusal) == (hardware_class("cpu", 1), key(toy_registry, job), None)


def test_node_says_why_it_can_not(toy_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (on_cuda,) = plan(toy_registry, device="cuda")
    assert "no CUDA device" in str(inspect([on_cuda], revision(ROOT)).answers[on_cuda].refusal)
    monkeypatch.setattr(type(toy_registry.suites["toy"]), "missing", lambda self, scale, base: "pip install weights")
    (job,) = plan(toy_registry)
    assert inspect([job], revision(ROOT)).answers[job].refusal == "pip install weights"


def test_record_is_the_nodes_own_and_ceilings_come_and_go_with_the_job(toy_registry: Registry, tmp_path: Path) -> None:
    (job,) = plan(toy_registry)
    seen: list[Path] = []

    def executor(job: Job, timeout: float, protected: Sequence[Path]) -> tuple[Outcome, str]:
        seen.extend(protected)
        return Outcome(status="failed", reason="no luck"), "log"

    mine = hardware_class("cpu", 1)
    known = Ceilings(hardware=mine, bandwidth={1: 1.0}, matrix={"f": 1.0}, measured=datetime.now(UTC), versions={})
    record, ceilings = run_on_node(job, 7.0, executor, [tmp_path], known)
    assert (record.hardware, record.key, record.reason) == (mine, key(toy_registry, job), "no luck")
    assert ceilings == known
    assert tmp_path in seen
    assert not seen[0].exists()  # the node's own results folder is gone


def test_without_ray_the_command_says_how_to_install_it(
    toy_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "bench.run.cluster.ray", raising=False)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "--executor", "ray", "--suite", "toy", "--method", "toy-large", "--results", str(tmp_path)])
    assert stopped.value.code == 2
    assert "pip install -c constraints.txt -e '.[ray]'" in capsys.readouterr().err


def test_sandbox_and_cluster_do_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "--executor", "ray", "--sandbox", "--results", str(tmp_path)])
    assert stopped.value.code == 2
    assert "sandbox is of this machine" in capsys.readouterr().err
