"""A network's classifier as a function from photographs to probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convscope.models.backend import tf
from convscope.models.network import Network, classifier, look, preactivation


def predictor(network: Network) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from photographs in [0, 1] to the probability of each class.

    `(photographs, height, width, 3)` float32 gives `(photographs, classes)` float32. The same
    photograph gives the same bits in a batch of any length, as far as TensorFlow's products do.

    Args:
        network: a network with a classifier, in any number format.

    Raises:
        ValueError: it has no classifier, or one whose classes are not known.
    """
    layer = classifier(network)
    if layer is None or not network.classes:
        what = "no classifier" if layer is None else "a classifier whose classes are not named"
        raise ValueError(
            f"{network.name} has {what}, so it cannot say what a photograph shows. Take one that"
            " can, like model=efficientnet_lite0."
        )
    model = look(network, {layer: preactivation(network.find(layer))})
    count = model.outputs[0].shape[-1]
    if count != len(network.classes):
        raise ValueError(
            f"{layer} of {network.name} has {count} logits for {len(network.classes)} classes. A"
            " class is named for each."
        )

    # One graph for batches of any length: another one might round in another way.
    @tf.function(input_signature=[tf.TensorSpec(model.inputs[0].shape, tf.float32)])
    def forward(pixels: tf.Tensor) -> tf.Tensor:
        return tf.reshape(model(pixels)[layer], (-1, count))  # some have a map of one position

    def probabilities(pixels: np.ndarray) -> np.ndarray:
        logits: np.ndarray = forward(tf.constant(pixels, tf.float32)).numpy()
        if not np.isfinite(logits).all():
            raise ValueError(
                f"The logits of {network.name} are no finite numbers. Its weights are damaged, or"
                " its input lies far outside what it was trained on."
            )
        return _softmax(logits)

    return probabilities


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of each row, in float32.

    TensorFlow's own rounds a row in one way or another, by the length of its batch.
    """
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)
