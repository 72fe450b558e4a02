"""Exact contributions one layer back, against convolutions written out with SciPy."""

import keras
import numpy as np
import pytest
from scipy.signal import correlate2d

from convscope import images, photograph
from convscope.album import fill
from convscope.attribution import expected_contributions, patch_sum, positions
from convscope.flow import window
from convscope.linear import linear
from convscope.network import activation, tap

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


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_contributions_sum_to_the_preactivation_for_every_kind_of_convolution(options):
    layer = L.Conv2D(7, **options, bias_initializer="random_normal")
    output = np.asarray(layer(INPUTS), np.float64)
    rows, columns = positions(INPUTS.shape[1:3], window(layer))
    assert (rows, columns) == output.shape[1:3]
    mean = patch_sum(INPUTS, window(layer)) / (3 * rows * columns)
    kernel, bias = layer.get_weights()
    for filter in range(7):
        contributions = expected_contributions(kernel[..., filter], mean)
        assert contributions.shape == (5,) and contributions.dtype == np.float64
        expected = output[..., filter].mean()
        np.testing.assert_allclose(contributions.sum() + bias[filter], expected, atol=1e-5)


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_each_contribution_is_that_of_its_channel_alone(options):
    layer = L.Conv2D(2, **options)
    layer.build(INPUTS.shape)
    rows, columns = positions(INPUTS.shape[1:3], window(layer))
    kernel = layer.get_weights()[0]
    found = expected_contributions(
        kernel[..., 1], patch_sum(INPUTS, window(layer)) / (3 * rows * columns)
    )
    for channel in range(5):
        alone = np.zeros_like(INPUTS)
        alone[..., channel] = INPUTS[..., channel]
        expected = np.asarray(layer(alone), np.float64)[..., 1].mean()
        np.testing.assert_allclose(found[channel], expected, atol=1e-6)


def test_what_the_taps_see_is_exact_on_a_hand_set_map():
    inputs = np.float32([[1, 2, 3], [10, 20, 30]])[None, ..., None]
    valid = L.Conv2D(1, (1, 2))
    np.testing.assert_array_equal(patch_sum(inputs, window(valid))[..., 0], [[33, 55]])
    same = L.Conv2D(1, (1, 3), padding="same")  # the outer taps see zeros beyond the edge
    np.testing.assert_array_equal(patch_sum(inputs, window(same))[..., 0], [[33, 66, 55]])
    strided = L.Conv2D(1, (2, 1), strides=(2, 2))
    np.testing.assert_array_equal(patch_sum(inputs, window(strided))[..., 0], [[4], [40]])
    kernel = np.float32([[[2], [-1]]])
    np.testing.assert_allclose(
        expected_contributions(kernel, patch_sum(inputs, window(valid)) / 4), [(2 * 33 - 55) / 4]
    )


def test_sums_over_many_positions_keep_their_digits():
    inputs = np.full((1, 2000, 1500, 1), 0.1, np.float32)
    total = patch_sum(inputs, window(L.Conv2D(1, 1)))[0, 0, 0]
    np.testing.assert_allclose(total, 3e6 * np.float64(np.float32(0.1)), rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "before", "filters"),
    [
        ("block1_conv1", None, (0, 41)),
        ("block4_conv1", "block3_pool", (17, 300)),
        ("block4_conv3", "block4_conv2", (17, 5)),
    ],
)
def test_the_mean_over_photographs_is_that_of_the_real_contributions(vgg16, layer, before, filters):
    paths, size = images.samples()[1:6], 83
    *_, album = fill(vgg16, layer, [], paths, size, 2)
    pixels = np.stack([images.shown(photograph.load(path), size)[0] for path in paths])
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    inputs = (pixels - mean) / deviation
    if before:
        front = keras.Model(vgg16.model.input, activation(vgg16, before))
        inputs = front.predict_on_batch(inputs)
    kernels, biases = vgg16.model.get_layer(layer).get_weights()
    whole = tap(vgg16, [layer], pre=True)(pixels)[layer].numpy().astype(np.float64)
    assert album.observation.count == np.prod(whole.shape[:3])
    for filter in filters:
        kernel = kernels[..., filter]
        brute = np.array(
            [
                [correlate2d(image[..., c], kernel[..., c], mode="same") for image in inputs]
                for c in range(kernel.shape[-1])
            ]
        )
        np.testing.assert_allclose(  # the contributions are those of the real network
            brute.sum(axis=0) + biases[filter], whole[..., filter], rtol=1e-3, atol=1e-3
        )
        found = album.contributions(linear(vgg16.find(layer), filter))
        expected = brute.astype(np.float64).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(found).max())
        preactivation = whole[..., filter].mean()
        np.testing.assert_allclose(found.sum() + biases[filter], preactivation, rtol=1e-4)
        fired = np.mean(whole[..., filter] > 0)
        np.testing.assert_allclose(album.observation.firing_rate[filter], fired, rtol=1e-3)
