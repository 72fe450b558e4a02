"""What is predicted of an edit happens when it is really done."""

import numpy as np
import pytest

from convscope.circuits.ablation import change, masked
from convscope.circuits.attribution import contributions
from convscope.data import dataset
from convscope.models.backend import keras
from convscope.models.linear import linear
from convscope.models.network import Network, build, preactivation, tap
from convscope.models.zoo.checkpoints import Provenance

L = keras.layers


def test_the_change_is_that_of_a_plain_loop() -> None:
    u = np.array([[1.0, -2.0, 0.5], [3.0, -1.0, 0.0]])
    z, mean = np.array([-0.5, 2.0]), np.array([0.5, -3.0, 0.0])
    assert change(u, z, mean, [1]).tolist() == [0.0, -2.0]
    assert change(u, z, mean, [0, 2]).tolist() == [0.0, -2.0]
    assert change(u, z, mean, []).tolist() == [0.0, 0.0]


@pytest.mark.slow
def test_masked_weights_of_a_real_network_give_what_was_predicted(vgg16: Network) -> None:
    layer, filter, channels = "block3_conv2", 17, [3, 40, 77, 200]
    (batch,) = dataset.batches(dataset.samples()[:3], 72, 8)
    network_layer = vgg16.find(layer)
    before = [weight.numpy() for weight in network_layer.weights]
    found = linear(network_layer, filter)
    seen = tap(vgg16, ["block3_conv1"])(batch.pixels)["block3_conv1"].numpy()
    u = contributions(seen, found)
    flat = u.reshape(-1, u.shape[-1])
    z = tap(vgg16, [layer], pre=True)(batch.pixels)[layer].numpy()[..., filter]
    mean = flat.mean(axis=0)
    predicted = change(flat, z.ravel(), mean, channels)
    really = masked(vgg16, layer, filter, mean, channels)(batch.pixels)
    measured = np.maximum(really, 0) - np.maximum(z, 0)
    assert np.ptp(measured) > 1
    scale = np.abs(z).max()
    assert np.abs(predicted - measured.ravel()).max() < 1e-4 * scale
    for weight, old in zip(network_layer.weights, before, strict=True):
        assert np.array_equal(weight.numpy(), old)


def test_a_layer_without_bias_and_one_behind_an_activation_of_its_own_are_masked() -> None:
    source = keras.Input((None, None, 3))
    values = L.Conv2D(5, 3, strides=2, use_bias=False, activation="relu", name="a")(source)
    network = build("tiny", keras.Model(source, values), "none", Provenance("random", ""))
    pixels = np.random.default_rng(0).random((2, 11, 15, 3), np.float32)
    mean = np.array([0.5, -1.0, 0.25])
    kernel = np.asarray(network.find("a").kernel).copy()
    kernel[:, :, [0, 2], 4] = 0
    reference = keras.ops.conv(pixels, kernel, 2)[..., 4] + 0.75
    assert np.allclose(masked(network, "a", 4, mean, [0, 2])(pixels), reference, atol=1e-6)


def test_a_layer_whose_filters_share_weights_is_refused() -> None:
    source = keras.Input((None, None, 3))
    values = L.SeparableConv2D(5, 3, name="a")(source)
    network = build("tiny", keras.Model(source, values), "none", Provenance("random", ""))
    with pytest.raises(ValueError, match=r"a \(SeparableConv2D\) shares its weights"):
        masked(network, "a", 0, np.zeros(3), [0])
    assert preactivation(network.find("a")) is not None
