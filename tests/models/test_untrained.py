"""Random weights in the place of trained ones."""

import numpy as np
import pytest

from convscope.models.backend import keras
from convscope.models.flatten import flat
from convscope.models.network import build
from convscope.models.untrained import untrained
from convscope.models.zoo.checkpoints import Provenance

L = keras.layers
RNG = np.random.default_rng(0)


def made(*parts, size=(None, None)):
    keras.utils.set_random_seed(2)
    image = value = keras.Input((*size, 3))
    for part in parts:
        value = part(value)
    model = keras.Model(image, value)
    for weight in model.weights:
        weight.assign(RNG.uniform(0.5, 2, weight.shape))
    return build("tiny", model, "none", Provenance("", ""), check=False)


PARTS = (
    L.Conv2D(64, 3, padding="same", name="a"), L.BatchNormalization(), L.ReLU(),
    L.DepthwiseConv2D(3, padding="same", name="b"), L.ReLU(name="c"),
    L.BatchNormalization(name="apart"), L.SeparableConv2D(64, 3, padding="same", name="d"),
    L.ReLU(), L.Conv2DTranspose(64, 3, strides=1, padding="same", name="e"), L.ReLU(),
    L.LayerNormalization(name="f"), L.Dense(64, name="g"),
)  # fmt: skip


def test_weights_are_forgotten_and_those_of_the_network_stay():
    network = made(*PARTS)
    before = [np.asarray(one) for one in network.model.weights]
    other = untrained(network)
    for one, was in zip(network.model.weights, before, strict=True):
        np.testing.assert_array_equal(one, was)
    for one, was in zip(other.model.weights, before, strict=True):
        assert not np.array_equal(one, was)
    normal, rows = other.find("apart"), other.find("f")
    for part, value in zip(normal.weights, (1, 0, 0, 1), strict=True):
        np.testing.assert_array_equal(part, np.full(part.shape, value))
    assert (np.asarray(rows.gamma) == 1).all() and (np.asarray(rows.beta) == 0).all()
    assert not np.asarray(other.find("a").bias).any()
    again = untrained(network)
    np.testing.assert_array_equal(other.find("a").kernel, again.find("a").kernel)
    assert not np.array_equal(other.find("a").kernel, untrained(network, 1).find("a").kernel)


@pytest.mark.parametrize("name", ["a", "b", "d", "e"])
def test_activations_keep_their_size_from_layer_to_layer(name):
    other = untrained(made(*PARTS))
    graph = other.graphs[-1]
    (source,) = graph[name]._inbound_nodes[0].input_tensors
    model = keras.Model(other.model.inputs[0], [source, graph[name].output])
    given, found = model(RNG.normal(size=(4, 32, 32, 3)).astype(np.float32))
    taken = {"b": 1, "d": 1}.get(name, 2)  # a separable convolution has no ReLU inside
    ratio = np.mean(np.square(found)) / np.mean(np.square(given))
    assert 0.5 * taken < ratio < 4 * taken


def test_a_layer_bound_to_its_size_is_forgotten_too():
    network = made(L.Conv2D(8, 3, name="a"), L.Flatten(), L.Dense(5, name="end"), size=(9, 9))
    other = untrained(network)
    for graph in other.graphs:
        np.testing.assert_array_equal(graph["a"].kernel, other.find("a").kernel)
    assert not np.array_equal(other.find("end").kernel, network.find("end").kernel)


def test_a_layer_whose_weights_are_its_own_makes_no_control():
    attention = L.MultiHeadAttention(1, 4, name="own")
    image = keras.Input((4, 4, 3))
    rows = L.Reshape((16, 3))(image)
    model = keras.Model(image, L.Reshape((4, 4, 3))(attention(rows, rows)))
    laid = flat(model)
    assert laid is not None
    network = build("tiny", model, "none", Provenance("", ""))
    assert untrained(network) is None


def test_what_was_adapted_stays():
    normal = L.Normalization(name="normal")
    normal.adapt(RNG.normal(3, 2, (8, 5, 5, 3)))
    image = keras.Input((None, None, 3))
    model = keras.Model(image, L.Conv2D(4, 3, name="conv")(normal(image)))
    network = build("tiny", model, "none", Provenance("", ""))
    other = untrained(network)
    pixels = RNG.normal(size=(2, 5, 5, 3)).astype(np.float32)
    ours, its = (
        keras.Model(one.model.inputs[0], one.find("normal").output)(pixels)
        for one in (network, other)
    )
    np.testing.assert_array_equal(ours, its)
