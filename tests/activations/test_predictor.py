"""Probabilities from a network of known weights, and networks that can give none."""

import colours
import numpy as np
import pytest

from convscope.activations.predictions import predictor
from convscope.models.backend import keras
from convscope.models.network import build, cast
from convscope.models.zoo.checkpoints import Provenance


def noise(count, height=9, width=7):
    random = np.random.default_rng(3)
    return random.random((count, height, width, 3), np.float32)


def test_probabilities_are_the_softmax_of_the_logits():
    pixels = noise(5)
    found = predictor(colours.network())(pixels)
    assert found.dtype == np.float32 and found.shape == (5, 4)
    np.testing.assert_allclose(found, colours.probabilities(pixels), rtol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)


def test_a_photograph_gives_the_same_bits_in_batches_of_any_length_and_by_one_graph(monkeypatch):
    network, traced = colours.network(), []
    shown = type(network.preprocess).call
    look, pixels = predictor(network), noise(8)
    monkeypatch.setattr(
        type(network.preprocess), "call", lambda *given: traced.append(1) or shown(*given)
    )
    whole = look(pixels)
    for size in (1, 3, 7):
        parts = [look(pixels[at : at + size]) for at in range(0, 8, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    look(noise(2, 16, 12))
    assert len(traced) == 1


def test_logits_beyond_what_float32_can_raise_e_to_still_give_probabilities():
    network = colours.network()
    dense = network.model.get_layer("predictions")
    dense.set_weights([1000 * dense.get_weights()[0], dense.get_weights()[1]])
    found = predictor(network)(np.ones((1, 4, 4, 3), np.float32) * np.float32([1, 0.5, 0]))
    np.testing.assert_array_equal(found, [[1, 0, 0, 0]])


def test_a_classifier_with_a_softmax_of_its_own_is_asked_before_it():
    image = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    dense = keras.layers.Dense(4, activation="softmax", name="predictions")
    model = keras.Model(image, dense(pooled))
    dense.set_weights([colours.GAIN * np.eye(3, 4), np.float32(colours.BIAS)])
    made = build("own", model, "unit", Provenance("own", "0" * 64), colours.CLASSES)
    pixels = noise(2)
    found = predictor(made)(pixels)
    np.testing.assert_allclose(found, colours.probabilities(pixels), rtol=1e-5)


def test_a_network_in_half_precision_gives_probabilities_in_float32():
    pixels = noise(2)
    found = predictor(cast(colours.network(), "bfloat16"))(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, colours.probabilities(pixels), rtol=0.05)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)


def test_a_network_that_names_nothing_is_refused(vgg16):
    with pytest.raises(ValueError, match=r"^vgg16 has no classifier, .*model=efficientnet_lite0\."):
        predictor(vgg16)
    with pytest.raises(ValueError, match="has a classifier whose classes are not named, so"):
        predictor(colours.network(classes=()))
    with pytest.raises(ValueError, match=r"^predictions of efficientnet_lite0 has 4 logits for 3"):
        predictor(colours.network(classes=colours.CLASSES[:3]))


def test_damaged_weights_are_said():
    network = colours.network()
    dense = network.model.get_layer("predictions")
    dense.set_weights([dense.get_weights()[0] * np.nan, dense.get_weights()[1]])
    with pytest.raises(ValueError, match="logits of efficientnet_lite0 are no finite numbers"):
        predictor(network)(np.zeros((1, 4, 4, 3), np.float32))
