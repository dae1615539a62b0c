"""The corruptions."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from suites._vision.corruptions import KINDS, SEVERITIES, corrupted, every_kind


def pictures(count: int = 8, size: int = 32) -> np.ndarray:
    """As smooth as photographs are."""
    noise = np.random.default_rng(0).normal(size=(count, 3, size, size))
    smooth = gaussian_filter(noise, (0, 0, 2, 2))
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_repeatable_and_worse_the_more_severe(kind: str) -> None:
    images = pictures()
    errors = []
    for severity in SEVERITIES:
        found = [corrupted(image, kind, severity, np.random.default_rng(i)) for i, image in enumerate(images)]
        again = [corrupted(image, kind, severity, np.random.default_rng(i)) for i, image in enumerate(images)]
        assert np.array_equal(found, again)
        assert found[0].shape == images[0].shape
        assert found[0].dtype == np.uint8
        errors.append(np.abs(np.stack(found).astype(float) - images).mean())
    assert errors[0] >= 0
    assert errors[-1] > 1
    assert errors == sorted(errors)


def test_all_kinds_come_in_turn() -> None:
    image = pictures(1)
    found = every_kind(np.repeat(image, 16, axis=0), 3, seed=0)
    assert len({each.tobytes() for each in found[:8]}) == 8
    contrast = KINDS.index("contrast")
    assert (found[contrast] == found[contrast + 8]).all()  # which draws nothing


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="there are gaussian-noise"):
        corrupted(pictures(1)[0], "snow", 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="severity 6"):
        corrupted(pictures(1)[0], "fog", 6, np.random.default_rng(0))
