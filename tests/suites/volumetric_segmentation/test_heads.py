"""Generated heads: the same from the same seed, with a tumour of three parts within the brain."""

from pathlib import Path

import numpy as np
import pytest

from bench.contract import MissingAsset
from suites.volumetric_segmentation import data, heads, template, toy
from suites.volumetric_segmentation.heads import draw_head, normalised, smooth_field
from suites.volumetric_segmentation.regions import ENHANCING, NECROSIS, OEDEMA

SIZE = 24

with_template = pytest.mark.skipif(template.missing() is not None, reason=str(template.missing()))


def head(seed: int) -> heads.Head:
    return draw_head(np.random.default_rng(seed), template.template(), SIZE)


@with_template
def test_the_same_seed_draws_the_same_head_to_the_bit() -> None:
    one, again, other = head(1), head(1), head(2)
    assert np.array_equal(one.pictures, again.pictures)
    assert np.array_equal(one.labels, again.labels)
    assert not np.array_equal(one.labels, other.labels)


@with_template
@pytest.mark.parametrize("seed", range(4))
def test_a_tumour_has_three_parts_one_within_the_other_in_the_brain(seed: int) -> None:
    drawn = head(seed)
    assert drawn.pictures.shape == (4, SIZE, SIZE, SIZE)
    assert drawn.pictures.dtype == drawn.labels.dtype == np.uint8
    counts = np.bincount(drawn.labels.ravel(), minlength=4)
    assert (counts[1:] >= heads._FEWEST / (heads.FIELD / SIZE) ** 3).all()
    assert (drawn.pictures[:, drawn.labels > 0] > 0).all()
    brain = drawn.pictures[0] > 0
    assert 0.15 < brain.mean() < 0.35  # a brain is 1.2 to 1.8 litres, of 7.1
    places = np.stack(np.nonzero(drawn.labels))
    middle = places.mean(1, keepdims=True)
    away = np.linalg.norm(places - middle, axis=0)
    by_part = [away[drawn.labels[tuple(places)] == part].mean() for part in (NECROSIS, ENHANCING, OEDEMA)]
    assert by_part == sorted(by_part)


@with_template
def test_brightness_by_tissue_is_drawn_anew_for_every_head() -> None:
    """Enhancing tumour is bright after contrast agent, oedema in FLAIR, in most heads and not by the same amount."""
    after_agent, flair = [], []
    for seed in range(6):
        drawn = head(seed)
        healthy = (drawn.labels == 0) & (drawn.pictures[0] > 0)
        pictures = drawn.pictures.astype(float)
        after_agent.append(pictures[1][drawn.labels == ENHANCING].mean() - pictures[1][healthy].mean())
        flair.append(pictures[3][drawn.labels == OEDEMA].mean() - pictures[3][healthy].mean())
    for apart in (after_agent, flair):
        assert np.mean(apart) > 40
        assert np.std(apart) > 5


def test_smooth_fields_are_smooth_and_of_unit_variance() -> None:
    field = smooth_field(np.random.default_rng(0), 32, 4)
    assert field.mean() == pytest.approx(0, abs=1e-5)
    assert field.std() == pytest.approx(1, abs=1e-5)
    assert np.abs(np.diff(field, axis=0)).mean() < 0.3  # of white noise it is 1.13


def test_brightness_is_brought_to_bytes_within_the_brain() -> None:
    picture = np.arange(1000.0).reshape(10, 10, 10)
    inside = picture >= 500
    found = normalised(picture, inside)
    assert (found[~inside] == 0).all()
    assert found[inside].min() == 1
    assert found[inside].max() == 255
    flat = normalised(np.full((2, 2, 2), 3.0), np.ones((2, 2, 2), dtype=bool))
    assert (flat == 1).all()


def test_toy_volumes_need_no_package_and_are_not_shared_between_splits() -> None:
    train, test = (data.volumes("toy-16", split) for split in ("train", "test"))
    assert train.images.shape == (24, 4, toy.SIZE, toy.SIZE, toy.SIZE)
    assert len(test) == 12
    seen = {each.tobytes() for each in train.images}
    assert len(seen) == 24
    assert not seen & {each.tobytes() for each in test.images}
    assert all(set(np.unique(each)) == {0, 1, 2, 3} for each in train.labels)
    again = list(data.drawn("toy-16", "train"))
    assert all(np.array_equal(one, images) for one, (images, _) in zip(train.images, again, strict=True))


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is no set of volumes 'brain', only toy-16" in str(data.missing("brain"))
    monkeypatch.setattr(template, "PACKAGE", {"no_such_package": "no-such-package==1.0"})
    assert data.missing("icbm-48") == ("no-such-package not installed; run: pip install --no-deps no-such-package==1.0")


def test_a_package_without_its_files_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "_FILES", "nothing/{}.nii.gz")
    monkeypatch.setattr(template.packages, "folder_of", lambda *_: Path("/nowhere"))
    with pytest.raises(MissingAsset, match=r"nilearn is installed without t1\.nii\.gz; run: pip install"):
        template._map("t1")
