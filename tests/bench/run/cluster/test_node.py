"""What a node says of itself, and that it runs a job as the machine on its own would."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import cli
from bench.record.ceilings import Ceilings
from bench.record.environment import hardware_class
from bench.record.schema import Isolation, Outcome
from bench.registry import Registry
from bench.run.cluster.node import inspect, run_on_node
from bench.run.cluster.revision import Revision, revision
from bench.run.order import Order
from bench.run.plan import Job, Selection, key, make_plan
from bench.run.runner import ROOT


def plan(registry: Registry, **options: object) -> list[Job]:
    return make_plan(registry, Selection("toy", ["toy-large@half"], scale="tiny", threads=1, **options))  # type: ignore[arg-type]


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
    monkeypatch.setattr("effbench_toy.shrink.Shrink.missing", lambda self, scale, base: "pip install weights")
    (job,) = plan(toy_registry)
    assert inspect([job], revision(ROOT)).answers[job].refusal == "pip install weights"


def test_record_is_the_nodes_own_and_ceilings_come_and_go_with_the_job(toy_registry: Registry) -> None:
    (job,) = plan(toy_registry)
    seen: list[Order] = []

    class Unlucky:
        isolation: Isolation = "none"

        def execute(self, order: Order, timeout: float, preload: Sequence[str] = ()) -> tuple[Outcome, str]:
            seen.append(order)
            return Outcome(status="failed", reason=f"no luck in {timeout:g} s"), "log"

    mine = hardware_class("cpu", 1)
    known = Ceilings(hardware=mine, bandwidth={1: 1.0}, matrix={"f": 1.0}, measured=datetime.now(UTC), versions={})
    record, ceilings = run_on_node(job, 7.0, Unlucky(), [], known)
    assert (record.hardware, record.key, record.reason) == (mine, key(toy_registry, job), "no luck in 7 s")
    assert ceilings == known
    assert [(order.method.name, order.point.name) for order in seen] == [("TooLarge", "half")]


def test_a_node_runs_a_job_itself(toy_registry: Registry) -> None:
    (job,) = plan(toy_registry, timed=False)
    record, _ = run_on_node(job, None, None, [], None)
    assert (record.status, record.key) == ("over_budget", key(toy_registry, job))


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
