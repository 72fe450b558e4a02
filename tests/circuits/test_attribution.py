"""Exact contributions one layer back, against convolutions written out with SciPy."""

import keras
import numpy as np
import pytest
from scipy.signal import correlate2d

from convscope.activations.recorder import fill
from convscope.circuits.attribution import contributions, contributions_at, means, positions
from convscope.data import dataset, photograph
from convscope.models.graph import Window, window
from convscope.models.linear import Linear, linear
from convscope.models.network import activation, tap
from convscope.models.receptive_field import Inside

L = keras.layers
INPUTS = np.random.default_rng(0).normal(size=(3, 11, 14, 5)).astype(np.float32)

CONVOLUTIONS = [
    {"kernel_size": (3, 3), "padding": "same"},
    {"kernel_size": (3, 2), "padding": "valid"},
    {"kernel_size": (2, 5), "padding": "same"},
    {"kernel_size": (3, 2), "padding": "same", "strides": (2, 3)},
    {"kernel_size": (4, 3), "padding": "valid", "strides": (3, 2)},
    {"kernel_size": (2, 3), "padding": "same", "dilation_rate": (3, 2)},
    {"kernel_size": (3, 2), "padding": "valid", "dilation_rate": (2, 4)},
    {"kernel_size": (1, 1), "padding": "same", "strides": (2, 2)},
    {"kernel_size": (11, 14), "padding": "valid"},
]


def of(layer: keras.layers.Conv2D, filter: int) -> Linear:
    """How a filter follows from its inputs, also where the layer is in no network."""
    kernel, *bias = layer.get_weights()
    number = float(bias[0][filter]) if bias else 0.0
    return Linear(kernel[..., filter], number, np.arange(kernel.shape[2]), window(layer))


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_contributions_sum_to_the_preactivation_for_every_kind_of_convolution(options):
    layer = L.Conv2D(7, **options, bias_initializer="random_normal")
    output = np.asarray(layer(INPUTS), np.float64)
    rows, columns = positions(INPUTS.shape[1:3], window(layer))
    assert (rows, columns) == output.shape[1:3]
    for filter in range(7):
        found = of(layer, filter)
        u = contributions(INPUTS, found)
        assert u.shape == (3, rows, columns, 5) and u.dtype == np.float32
        np.testing.assert_allclose(u.sum(-1) + found.bias, output[..., filter], atol=1e-5)


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_contributions_at_some_positions_and_their_means_are_those_of_all_positions(options):
    layer = L.Conv2D(2, **options)
    layer.build(INPUTS.shape)
    found = of(layer, 1)
    u = contributions(INPUTS, found)
    which, rows, columns = np.argwhere(np.random.default_rng(0).random(u.shape[:3]) < 0.5).T
    some = contributions_at(INPUTS, found, which, rows, columns)
    np.testing.assert_allclose(some, u[which, rows, columns], atol=1e-6)
    inside = Inside(range(0, u.shape[1], 2), range(u.shape[2] - 1, u.shape[2]))
    expected = u[:, ::2, -1:].astype(np.float64).mean(axis=(1, 2))
    np.testing.assert_allclose(means(INPUTS, found, inside), expected, atol=1e-6)


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_each_contribution_is_that_of_its_channel_alone(options):
    layer = L.Conv2D(2, use_bias=False, **options)
    layer.build(INPUTS.shape)
    u = contributions(INPUTS, of(layer, 1))
    for channel in range(5):
        alone = np.zeros_like(INPUTS)
        alone[..., channel] = INPUTS[..., channel]
        np.testing.assert_allclose(u[..., channel], np.asarray(layer(alone))[..., 1], atol=1e-5)


def test_contributions_are_exact_on_a_hand_set_map():
    inputs = np.float32([[1, 2, 3], [10, 20, 30]])[None, ..., None]
    found = Linear(np.float32([[[2], [-1]]]), 0.0, np.array([0]), Window((1, 2)))
    np.testing.assert_array_equal(contributions(inputs, found)[0, ..., 0], [[0, 1], [0, 10]])
    every = Inside(range(2), range(2))
    np.testing.assert_array_equal(means(inputs, found, every), [[2.75]])


def test_means_over_many_positions_keep_their_digits():
    inputs = np.full((1, 2000, 1500, 1), 0.1, np.float32)
    found = Linear(np.ones((1, 1, 1), np.float32), 0.0, np.array([0]), Window())
    mean = means(inputs, found, Inside(range(2000), range(1500)))
    np.testing.assert_allclose(mean, np.float64(np.float32(0.1)), rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "before", "filters"),
    [
        ("block1_conv1", None, (0, 41)),
        ("block4_conv1", "block3_pool", (17, 300)),
        ("block4_conv3", "block4_conv2", (17, 5)),
    ],
)
def test_the_contributions_are_those_of_the_real_network(vgg16, layer, before, filters):
    paths, size = dataset.samples()[1:6], 83
    *_, recording = fill(vgg16, [layer], paths, size, 5)
    pixels = np.stack([dataset.shown(photograph.load(path), size)[0] for path in paths])
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    inputs = (pixels - mean) / deviation
    if before:
        front = keras.Model(vgg16.model.input, activation(vgg16, before))
        inputs = front.predict_on_batch(inputs)
    kernels, biases = vgg16.model.get_layer(layer).get_weights()
    whole = tap(vgg16, [layer], pre=True)(pixels)[layer].numpy().astype(np.float64)
    assert recording.observation.count == np.prod(whole.shape[:3])
    for filter in filters:
        kernel = kernels[..., filter]
        brute = np.array(
            [
                [correlate2d(image[..., c], kernel[..., c], mode="same") for image in inputs]
                for c in range(kernel.shape[-1])
            ]
        )
        found = contributions(recording.latest.inputs, linear(vgg16.find(layer), filter))
        np.testing.assert_allclose(np.moveaxis(found, -1, 0), brute, rtol=1e-3, atol=1e-3)
        size = np.abs(whole[..., filter]).max()
        error = found.sum(-1, dtype=np.float64) + biases[filter] - whole[..., filter]
        assert np.abs(error).max() < 1e-4 * size
        np.testing.assert_allclose(
            recording.latest.maps[..., filter], whole[..., filter], atol=1e-3
        )
        fired = np.mean(whole[..., filter] > 0)
        np.testing.assert_allclose(recording.observation.firing_rate[filter], fired, rtol=1e-3)
