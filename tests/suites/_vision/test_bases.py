"""Bases that are trained once."""

from pathlib import Path

import pytest
import torch

from bench.contract import MissingAsset
from suites._vision import bases
from suites._vision.data import labelled
from suites._vision.learning import as_inputs


@pytest.mark.parametrize("name", ["toy-resnet", "toy-vit"])
def test_a_base_is_trained_once_and_the_same_on_a_second_machine(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path / "one"))
    with pytest.raises(MissingAsset, match="prepare it"):
        bases.base(name)
    bases.prepare(name)
    model = bases.base(name)
    assert not model.training
    asked = labelled("toy-10", "test")
    with torch.inference_mode():
        right = model(as_inputs(torch.from_numpy(asked.images))).argmax(-1) == torch.from_numpy(asked.labels)
    assert right.float().mean() > 0.5
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path / "two"))
    bases.prepare(name)
    for one, other in zip(model.state_dict().values(), bases.base(name).state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_base_whose_file_is_not_what_it_was_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    bases.prepare("toy-resnet")
    (file,) = tmp_path.rglob("model.safetensors")
    good = file.read_bytes()
    file.write_bytes(good[:-4] + b"\0\0\0\1")
    with pytest.raises(MissingAsset, match="not what it was"):
        bases.base("toy-resnet")
    bases.prepare("toy-resnet")
    assert file.read_bytes() == good


def test_what_there_is_not_is_said() -> None:
    assert "there is no base 'resnet-50', only toy-resnet" in str(bases.missing("resnet-50"))
