"""Free numbers that decode to an image in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convscope.backend import tf

# Square root of the colour covariance of ImageNet, columns divided by the largest column norm.
# Olah, Mordvintsev and Schubert, "Feature Visualization", 2017 (their published constants).
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)
COLOURS = _COLOURS / np.linalg.norm(_COLOURS, axis=0).max()

# Chosen by the first layer, whose optima are known in closed form: at .05 all 64 filters of VGG16
# reach them, with the plain sigmoid 46 do; deeper units lose 3 % of their score in as many steps.
RETURN = 0.05


@dataclass(frozen=True)
class Parameterization:
    """How free numbers become images.

    Attributes:
        initial: seeds `(samples, 2)`, height, width -> free numbers `(samples, ...)`. A sample's
            start depends on its own seed alone.
        decode: free numbers, height, width -> images `(samples, height, width, 3)` in [0, 1].
    """

    initial: Callable[[tf.Tensor, int, int], tf.Tensor]
    decode: Callable[[tf.Tensor, int, int], tf.Tensor]


def normal(seeds: tf.Tensor, shape: tuple[int, ...], deviation: float) -> tf.Tensor:
    """Return `(samples, *shape)` normal numbers, each sample drawn from its own seed."""
    draws = [tf.random.stateless_normal(shape, seed) for seed in tf.unstack(seeds)]
    return deviation * tf.stack(draws)


def frequencies(height: int, width: int) -> np.ndarray:
    """Return each coefficient's frequency `(height, width // 2 + 1)`, in cycles per pixel."""
    vertical = np.fft.fftfreq(height)[:, None]
    horizontal = np.fft.rfftfreq(width)[None, :]
    return np.hypot(vertical, horizontal).astype(np.float32)


def recorrelate(image: tf.Tensor) -> tf.Tensor:
    """Return `image` (..., 3) with the colour correlations of natural photographs put back in."""
    return tf.einsum("...c,dc->...d", image, tf.constant(COLOURS))


@tf.custom_gradient
def squash(logits: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return the sigmoid, with a gradient that never dies on the way back from an end.

    A pixel that an early step has driven to the wrong end of [0, 1] has no gradient in float32 and
    would stay there for good. Upstream pulls towards the middle therefore pass with a slope of at
    least `RETURN`; pulls outwards keep the true one. Every pixel's gradient keeps its sign.
    """
    values = tf.sigmoid(logits)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        slope = values * (1 - values)
        inwards = upstream * logits < 0
        return upstream * tf.where(inwards, tf.maximum(slope, RETURN), slope)

    return values, gradient


def fourier(decay: float = 1.0, deviation: float = 0.01) -> Parameterization:
    """Return images as spectra whose amplitudes fall with frequency, in decorrelated colours.

    The free numbers are real and imaginary parts `(samples, 3, height, width // 2 + 1, 2)` of the
    half spectrum. Dividing by frequency makes equal steps of the optimizer move all scales alike;
    the sigmoid keeps every pixel inside [0, 1] with a gradient.

    Args:
        decay: exponent of 1 / frequency; 1 is the fall-off of natural images, 0 is white.
        deviation: standard deviation of the free numbers at the start.

    Source: Olah, Mordvintsev and Schubert, "Feature Visualization", 2017.
    """

    def initial(seeds: tf.Tensor, height: int, width: int) -> tf.Tensor:
        return normal(seeds, (3, height, width // 2 + 1, 2), deviation)

    def decode(numbers: tf.Tensor, height: int, width: int) -> tf.Tensor:
        floor = 1.0 / max(height, width)
        scale = np.sqrt(height * width) / np.maximum(frequencies(height, width), floor) ** decay
        spectrum = tf.complex(numbers[..., 0], numbers[..., 1]) * scale.astype(np.complex64)
        image = tf.signal.irfft2d(spectrum, fft_length=[height, width])
        # A quarter, as published: it sets the contrast at the start and the reach of a step.
        return squash(recorrelate(tf.transpose(image, (0, 2, 3, 1)) / 4.0))

    return Parameterization(initial, decode)
