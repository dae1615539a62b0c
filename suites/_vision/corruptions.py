"""Eight corruptions of ImageNet-C (Hendrycks & Dietterich, 2019), with five severities each.

The strengths are those of CIFAR-10-C, for 32 pixels; what is measured in pixels grows with the image. Fog is noise with
a falling spectrum in place of the authors' plasma fractal.
"""

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import convolve, gaussian_filter

SEVERITIES = (1, 2, 3, 4, 5)

_Floats = NDArray[np.float64]


def corrupted(image: NDArray[np.uint8], kind: str, severity: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """image: (3, size, size), as what is returned. kind: one of KINDS. severity: 1 to 5. Raises ValueError."""
    if kind not in KINDS or severity not in SEVERITIES:
        raise ValueError(f"no corruption {kind!r} of severity {severity}; there are {', '.join(KINDS)}, 1 to 5")
    function, strengths = _CORRUPTIONS[kind]
    found = function(image.transpose(1, 2, 0) / 255.0, strengths[severity - 1], rng)
    return np.clip(np.rint(found * 255), 0, 255).astype(np.uint8).transpose(2, 0, 1)


def every_kind(images: NDArray[np.uint8], severity: int, seed: int) -> NDArray[np.uint8]:
    """Images (n, 3, size, size), the kinds in turn."""
    rng = np.random.default_rng([seed, severity, 0xC0])
    return np.stack([corrupted(image, KINDS[i % len(KINDS)], severity, rng) for i, image in enumerate(images)])


# Each takes an image (size, size, 3) in 0..1, a strength, and a generator.


def _gaussian_noise(x: _Floats, strength: float, rng: np.random.Generator) -> _Floats:
    return x + rng.normal(0, strength, x.shape)


def _shot_noise(x: _Floats, photons: float, rng: np.random.Generator) -> _Floats:
    return rng.poisson(x * photons) / photons


def _defocus_blur(x: _Floats, strength: tuple[float, float], rng: np.random.Generator) -> _Floats:
    """A disc, with a softened edge."""
    radius, edge = strength[0] * _scale(x), strength[1]
    reach = int(np.ceil(radius)) + 2
    at = np.arange(-reach, reach + 1)
    disc = (at[:, None] ** 2 + at[None] ** 2 <= radius**2).astype(np.float64)
    return _filtered(x, gaussian_filter(disc, edge))


def _motion_blur(x: _Floats, strength: tuple[float, float], rng: np.random.Generator) -> _Floats:
    """Along a line, one way, fading."""
    radius, sigma = strength[0] * _scale(x), strength[1] * _scale(x)
    angle = np.deg2rad(rng.uniform(-45, 45))
    reach = int(np.ceil(radius))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for step in np.arange(0, radius + 0.5, 0.5):
        row, column = reach + round(step * np.sin(angle)), reach + round(step * np.cos(angle))
        kernel[row, column] += np.exp(-(step**2) / (2 * sigma**2))
    return _filtered(x, kernel)


def _fog(x: _Floats, strength: tuple[float, float], rng: np.random.Generator) -> _Floats:
    amount, decay = strength
    size = x.shape[0]
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    spectrum = np.fft.rfft2(rng.normal(size=(size, size))) / np.maximum(frequency, 1 / size) ** (decay / 2)
    cloud = np.fft.irfft2(spectrum, (size, size))
    cloud = (cloud - cloud.min()) / (cloud.max() - cloud.min())
    return (x + amount * cloud[..., None]) * x.max() / (x.max() + amount)


def _contrast(x: _Floats, left: float, rng: np.random.Generator) -> _Floats:
    mean = x.mean((0, 1), keepdims=True)
    return (x - mean) * left + mean


def _pixelate(x: _Floats, left: float, rng: np.random.Generator) -> _Floats:
    picture = _picture(x)
    fewer = max(1, int(picture.width * left))
    small = picture.resize((fewer, fewer), Image.Resampling.BOX)
    return np.asarray(small.resize(picture.size, Image.Resampling.NEAREST)) / 255.0


def _jpeg(x: _Floats, quality: int, rng: np.random.Generator) -> _Floats:
    file = io.BytesIO()
    _picture(x).save(file, "JPEG", quality=quality)
    with Image.open(file) as opened:
        return np.asarray(opened.convert("RGB")) / 255.0


def _filtered(x: _Floats, kernel: _Floats) -> _Floats:
    weights = kernel / kernel.sum()
    return np.stack([convolve(x[..., channel], weights, mode="nearest") for channel in range(3)], axis=-1)


def _scale(x: _Floats) -> float:
    return x.shape[0] / 32


def _picture(x: _Floats) -> Image.Image:
    return Image.fromarray(np.rint(x * 255).astype(np.uint8))


_CORRUPTIONS: Mapping[str, tuple[Callable[..., _Floats], Sequence[object]]] = {
    "gaussian-noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot-noise": (_shot_noise, (500, 250, 100, 75, 50)),
    "defocus-blur": (_defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "motion-blur": (_motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "fog": (_fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg": (_jpeg, (80, 65, 58, 50, 40)),
}
KINDS = tuple(_CORRUPTIONS)
