"""A network of known weights that takes red photographs for tenches, green and blue ones for dogs.

As a program it is run.py with this network in the place of efficientnet_lite0.
"""

import sys
from pathlib import Path

import numpy as np

CLASSES = ("n01440764", "n02085620", "n02088364", "n02123045")
NAMES = ("tench", "Chihuahua", "beagle", "tabby")
RED, GREEN, BLUE = (200, 20, 40), (30, 180, 10), (20, 60, 230)
GAIN, BIAS = 6.0, (0.5, 0.0, -0.25, -1.0)


def network(path=None, classes=CLASSES):
    """Return the network: a colour's mean times `GAIN` is the logit of its class."""
    from convscope.models.backend import keras
    from convscope.models.network import build
    from convscope.models.zoo.checkpoints import Provenance

    image = keras.Input((None, None, 3))
    dense = keras.layers.Dense(4, name="predictions")
    model = keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(image)))
    dense.set_weights([GAIN * np.eye(3, 4, dtype=np.float32), np.float32(BIAS)])
    origin = Provenance("colours", "0" * 64)
    return build("efficientnet_lite0", model, "unit", origin, classes, (224, 224))


def probabilities(pixels):
    """Return what the network gives for photographs in [0, 1], in NumPy and float64."""
    means = pixels.reshape(len(pixels), -1, 3).mean(1, np.float64)
    logits = np.concatenate([GAIN * means, np.zeros((len(pixels), 1))], 1) + BIAS
    shares = np.exp(logits)
    return shares / shares.sum(1, keepdims=True)


def place():
    """Put the network where the stage looks for efficientnet_lite0."""
    from convscope.models.zoo import packaged, registry

    packaged.load = lambda name, path=None, check=True: network(path)
    registry._loaded.cache_clear()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import run

    place()
    sys.exit(run.main())
