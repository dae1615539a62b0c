"""What `effbench build` leaves: an artefact that loads, answers as it was judged, and can be judged again."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.nightly.verify import verify
from bench.registry import Registry
from bench.run import artefact
from bench.run.local import LocalExecutor
from bench.run.plan import Job, Selection, make_plan
from bench.run.shipped import NotShipped, load, read, ship


@pytest.fixture
def executor(toy_registry: Registry) -> Iterator[LocalExecutor]:
    with LocalExecutor() as executor:
        executor.variables["PYTHONPATH"] = os.environ["PYTHONPATH"]
        yield executor


def job(registry: Registry, method: str) -> Job:
    return make_plan(registry, Selection("toy", [method], ["half"], seeds=[3], scale="tiny"))[0]


def test_what_is_shipped_is_what_was_judged(toy_registry: Registry, executor: LocalExecutor, tmp_path: Path) -> None:
    folder = tmp_path / "smaller"
    record = ship(toy_registry, job(toy_registry, "toy-half"), folder, executor)
    assert (record.status, record.seed) == ("ok", 3)
    assert record.figures["stored_bytes"] == (folder / artefact.CANDIDATE).stat().st_size
    assert read(folder) == record
    served = load(folder)
    assert torch.equal(served.candidate, artefact.read(folder / artefact.CANDIDATE, "cpu"))
    text = (folder / "README.md").read_text()
    assert 'load("smaller")' in text
    assert f"`toy/toy-half:{record.variant}`" in text
    assert not [path for path in folder.iterdir() if path.name not in text and path.name.startswith(".")]

    again = verify(toy_registry, record, [record], tmp_path / "results", artefact=folder, executor=executor)
    assert again.outcome == "reproduced", again.checks


def test_another_file_than_the_judged_one_is_refused(
    toy_registry: Registry, executor: LocalExecutor, tmp_path: Path
) -> None:
    folder = tmp_path / "smaller"
    ship(toy_registry, job(toy_registry, "toy-half"), folder, executor)
    torch.save(torch.nn.Linear(2, 2), folder / artefact.CANDIDATE)
    with pytest.raises(NotShipped, match="not the file that was judged"):
        load(folder)
    with pytest.raises(NotShipped, match="no artefact"):
        load(tmp_path)


def test_of_a_build_over_a_limit_nothing_is_kept(
    toy_registry: Registry, executor: LocalExecutor, tmp_path: Path
) -> None:
    record = ship(toy_registry, job(toy_registry, "toy-large"), tmp_path / "large", executor)
    assert record.status == "over_budget"
    assert not (tmp_path / "large").exists()


def test_a_folder_that_holds_something_is_left_alone(toy_registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("dear to me")
    with pytest.raises(NotShipped, match="not empty"):
        ship(toy_registry, job(toy_registry, "toy-half"), tmp_path)
    assert (tmp_path / "mine").read_text() == "dear to me"
