"""The networks whose trained weights install as packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from convscope import weights
from convscope.backend import keras
from convscope.network import Network, build


def vgg16(path: Path | None = None) -> Network:
    """Return VGG16's thirteen convolutions with the packaged torchvision weights.

    The graph and the layer names are those of `keras.applications.VGG16(include_top=False)`, for
    images of any size.

    Args:
        path: a copy of the packaged checkpoint; None takes the installed one.

    Raises:
        FileNotFoundError, ValueError: see `weights.load`.
    """
    checkpoint = weights.PACKAGED["vgg16"]
    arrays = weights.load(checkpoint, path)
    model = keras.applications.VGG16(
        include_top=False, weights=None, input_shape=(None, None, 3), name="vgg16"
    )
    for name, values in arrays.items():
        model.get_layer(name).set_weights(values)
    return build("vgg16", model, "torch", checkpoint.provenance, size=224)


LOADERS: dict[str, Callable[[Path | None], Network]] = {"vgg16": vgg16}
