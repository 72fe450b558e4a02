"""How an image in [0, 1] becomes what a network was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from convscope.models.backend import keras, tf

# ITU-R BT.601: how much of red, green and blue is in a grey; Pillow's mode L does the same.
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Mode:
    """One way to preprocess: (scale * image - mean) / deviation, a number for each colour.

    Attributes:
        scale: what an image in [0, 1] is multiplied by first.
        mean: taken off each colour, red first.
        deviation: each colour is then divided by it.
        reverse: whether the network takes blue first.
    """

    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    reverse: bool = False


MODES: Mapping[str, Mode] = MappingProxyType(
    {
        # RGB in [0, 1], as it is; two names, since both are in use.
        "none": Mode(),
        "unit": Mode(),
        # RGB in [0, 255]: networks that bring their own scaling along.
        "byte": Mode(scale=255.0),
        # RGB in [-1, 1].
        "tf": Mode(scale=2.0, mean=(1.0, 1.0, 1.0)),
        # ImageNet's mean and deviation taken off, as torchvision's networks expect it.
        "torch": Mode(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
        # BGR in [0, 255] minus ImageNet's mean, as the first VGG and ResNet were trained.
        "caffe": Mode(scale=255.0, mean=(123.68, 116.779, 103.939), reverse=True),
        # RGB in [0, 255] minus 127, over 128: EfficientNet-Lite.
        "lite": Mode(scale=255.0, mean=(127.0,) * 3, deviation=(128.0,) * 3),
    }
)


class Preprocess(keras.layers.Layer):
    """RGB images `(samples, height, width, 3)` in [0, 1] -> the input of a network, in float32."""

    def __init__(
        self,
        scale: float,
        mean: Sequence[float],
        deviation: Sequence[float],
        reverse: bool,
        grey: bool = False,
        mode: str = "none",
        **options: object,
    ):
        """Keep the numbers and name of a `Mode`. `grey` makes one channel of three first."""
        super().__init__(dtype="float32", **options)
        self.scale, self.mean, self.deviation = scale, tuple(mean), tuple(deviation)
        self.reverse, self.grey, self.mode = reverse, grey, mode

    def call(self, image: tf.Tensor) -> tf.Tensor:
        """Return the preprocessed image, `(samples, height, width, 3)`, or 1 channel of grey."""
        if self.grey:
            image = keras.ops.sum(image * np.asarray(GREY, np.float32), axis=-1, keepdims=True)
        shape = slice(0, 1) if self.grey else slice(None)
        mean = np.asarray(self.mean, np.float32)[shape]
        deviation = np.asarray(self.deviation, np.float32)[shape]
        image = (image * np.float32(self.scale) - mean) / deviation
        return keras.ops.flip(image, axis=-1) if self.reverse else image


def preprocess(mode: str, channels: int = 3) -> Preprocess:
    """Return the layer for a mode of `MODES` and a network that takes `channels` colours.

    Raises:
        ValueError: there is no such mode, or it is one of colours for a network that takes greys.
    """
    if mode not in MODES:
        raise ValueError(f"There is no preprocessing {mode!r}. It is one of {', '.join(MODES)}.")
    if channels not in (1, 3):
        raise ValueError(
            f"The network takes images of {channels} channels. Photographs have 3 colours or 1"
            " grey; give a network of such."
        )
    found = MODES[mode]
    if channels == 1 and len(set(found.mean)) + len(set(found.deviation)) > 2:
        raise ValueError(
            f"model.preprocess={mode} treats each colour by itself, but the network takes greys."
            " Take none, byte or tf."
        )
    return Preprocess(**vars(found), grey=channels == 1, mode=mode, name="preprocess")
