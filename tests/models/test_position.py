"""One position of a layer answers as it does inside a larger image."""

import numpy as np
import pytest

from convscope.models.backend import keras
from convscope.models.linear import linear
from convscope.models.network import Network, build, tap
from convscope.models.position import probe, receptive_field
from convscope.models.zoo.checkpoints import Provenance

L = keras.layers


def inside(network: Network, layer: str, images: np.ndarray) -> np.ndarray:
    """Return what the position answers whose field lies inside noise, filled with the images."""
    field = receptive_field(network, layer)
    row, column = (-(-axis.padding // axis.stride) for axis in (field.rows, field.columns))
    box = field.box(row, column)
    # Sides that all strides divide, so that "same" padding begins where it is taken to.
    sides = [-(-2 * end // 16) * 16 for end in (box.bottom, box.right)]
    noise = np.random.default_rng(5).random((len(images), *sides, 3), np.float32)
    noise[:, box.top : box.bottom, box.left : box.right] = images
    return tap(network, [layer], pre=True)(noise)[layer].numpy()[:, row, column]


def branched() -> Network:
    """Unlike branches, strides, padding of all kinds, pooling and a sum, no axis like the other."""
    image = keras.Input((None, None, 3))
    x = L.Conv2D(4, (3, 5), padding="same", activation="relu")(image)
    x = L.ZeroPadding2D(((1, 0), (2, 1)))(x)
    x = L.Conv2D(6, (3, 2), strides=(2, 1), activation="relu")(x)
    a = L.DepthwiseConv2D((3, 3), padding="same", dilation_rate=2)(x)
    b = L.MaxPooling2D((3, 3), strides=1, padding="same")(x)
    c = L.SeparableConv2D(6, (1, 4), padding="same")(x)
    x = L.Concatenate()([L.Add()([a, b]), c])
    x = L.BatchNormalization()(L.AveragePooling2D((2, 3))(x))
    model = keras.Model(image, L.Conv2D(5, (2, 3), activation="relu", name="last")(x))
    keras.utils.set_random_seed(3)
    for weight in model.weights:
        weight.assign(
            np.random.default_rng(4).uniform(0.1, 0.5, weight.shape)
            - 0.2 * ("kernel" in weight.path)
        )
    return build("branched", model, "none", Provenance("", ""))


def test_a_position_answers_as_inside_an_image_through_branches():
    network = branched()
    found = probe(network, "last")
    field = receptive_field(network, "last")
    assert found.exact and found.size == (field.rows.size, field.columns.size)
    images = np.random.default_rng(0).random((3, *found.size, 3), np.float32)
    expected = inside(network, "last", images)
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found.respond(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", ["block1_conv1", "block3_conv2", "block4_conv3"])
def test_a_position_of_the_real_network_answers_as_inside_an_image(vgg16, layer):
    found = probe(vgg16, layer)
    images = np.random.default_rng(0).random((2, *found.size, 3), np.float32)
    expected = inside(vgg16, layer, images)
    np.testing.assert_allclose(found.respond(images), expected, rtol=1e-3, atol=1e-3)


def test_any_number_of_images_is_answered_alike(vgg16):
    found = probe(vgg16, "block1_conv2")
    images = np.random.default_rng(0).random((1030, *found.size, 3), np.float32)
    answers = found.respond(images)
    assert answers.shape == (1030, 64)
    np.testing.assert_allclose(found.respond(images[1020:]), answers[1020:], rtol=1e-4, atol=1e-4)


def test_a_layer_that_sees_everything_is_asked_with_whole_images():
    image = keras.Input((None, None, 3))
    x = L.Conv2D(4, 3, activation="relu", name="conv")(image)
    model = keras.Model(image, L.Dense(6, name="dense")(L.GlobalAveragePooling2D()(x)))
    network = build("pooled", model, "none", Provenance("", ""), size=(24, 24))
    found, images = probe(network, "dense"), np.random.default_rng(0).random((2, 24, 24, 3))
    assert not found.exact and found.size == (24, 24)
    expected = tap(network, ["dense"], pre=True)(images.astype(np.float32))["dense"]
    np.testing.assert_allclose(found.respond(images), expected, rtol=1e-5, atol=1e-6)
    assert probe(network, "conv").size == (3, 3)


@pytest.mark.parametrize("filter", [0, 17])
def test_contributions_sum_to_the_preactivation(vgg16, filter):
    found = probe(vgg16, "block3_conv2")
    images = np.random.default_rng(0).random((3, *found.size, 3), np.float32)
    how = linear(vgg16.find("block3_conv2"), filter)
    parts = found.contributions(images, how)
    assert parts.shape == (3, 256)
    expected = found.respond(images)[:, filter]
    np.testing.assert_allclose(parts.sum(axis=1) + how.bias, expected, rtol=1e-3, atol=1e-3)
