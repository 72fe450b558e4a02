"""Planted filters: networks of one convolution whose kernels are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convscope.models.backend import keras
from convscope.models.network import Network, build
from convscope.models.position import probe
from convscope.models.zoo.checkpoints import Provenance
from convscope.units.tuning import Tuning, measure

SIDE = 21


@pytest.fixture(scope="session")
def places() -> tuple[np.ndarray, np.ndarray]:
    """How far each tap of a kernel lies to the right and above the middle."""
    across = np.arange(SIDE) - SIDE // 2
    return across[None, :] + 0.0 * across[:, None], -across[:, None] + 0.0 * across[None, :]


@pytest.fixture(scope="session")
def gabor(places: tuple[np.ndarray, np.ndarray]) -> Callable[..., np.ndarray]:
    """Give a kernel tuned to bars of an orientation."""

    def made(orientation: float, pace: float, phase: float = 0.0) -> np.ndarray:
        right, up = places
        normal = np.radians(orientation + 90)
        wave = np.cos(2 * np.pi * pace * (right * np.cos(normal) + up * np.sin(normal)) + phase)
        kernel = wave * np.exp(-(right**2 + up**2) / (2 * 5.0**2))
        return kernel - kernel.mean()

    return made


@pytest.fixture(scope="session")
def planted() -> Callable[..., Network]:
    """Give a network of one convolution with kernels, `(21, 21)` grey or with colours."""

    def made(kernels: list[np.ndarray], bias: float = 0.0) -> Network:
        image = keras.Input((None, None, 3))
        layer = keras.layers.Conv2D(
            len(kernels), SIDE, activation="relu", padding="same", name="planted"
        )
        model = keras.Model(image, layer(image))
        coloured = [k if k.ndim == 3 else np.stack([k] * 3, axis=-1) / 3 for k in kernels]
        layer.set_weights([np.stack(coloured, axis=-1), np.full(len(kernels), bias)])
        return build("planted", model, "none", Provenance("", ""))

    return made


@pytest.fixture(scope="session")
def tuned(planted: Callable[..., Network]) -> Callable[..., Tuning]:
    """Give what a filter of planted kernels is tuned to."""

    def made(kernels: list[np.ndarray], bias: float = 0.0) -> Tuning:
        found = probe(planted(kernels, bias), "planted")
        assert found.size == (SIDE, SIDE)
        return measure(found.respond, found.size)

    return made
