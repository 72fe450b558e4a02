import keras
import numpy as np
import pytest

from convscope.models.backend import tf
from convscope.models.network import Network
from convscope.models.zoo import checkpoints
from convscope.optvis.objectives import Reading, own_map, reader, separable

RANDOM = np.random.default_rng(7)
CASES = [
    ((3, 3), (1, 1), (1, 1), "same"),
    ((3, 3), (1, 1), (1, 1), "valid"),
    ((5, 3), (2, 1), (1, 1), "same"),
    ((5, 3), (2, 3), (1, 1), "valid"),
    ((3, 2), (1, 1), (2, 3), "same"),
    ((11, 11), (4, 4), (1, 1), "valid"),
    ((1, 1), (2, 2), (1, 1), "same"),
]


def network(layers, classes=0):
    image = keras.Input((None, None, 3))
    value = image
    for layer in layers:
        value = layer(value)
    if classes:
        pooled = keras.layers.GlobalAveragePooling2D()(value)
        value = keras.layers.Dense(classes, activation="softmax", name="head")(pooled)
    model = keras.Model(image, value)
    model.set_weights([RANDOM.normal(size=part.shape) for part in model.get_weights()])
    return Network("tiny", model, lambda pixels: pixels, checkpoints.Provenance("by hand", "0"))


@pytest.mark.parametrize(("size", "strides", "rates", "padding"), CASES)
def test_a_filter_computed_alone_is_the_same_as_among_all(size, strides, rates, padding):
    layer = keras.layers.Conv2D(7, size, strides, padding, dilation_rate=rates, activation="relu")
    inputs = RANDOM.normal(size=(4, 13, 18, 5)).astype(np.float32)
    layer.build(inputs.shape)
    layer.set_weights([RANDOM.normal(size=part.shape) for part in layer.get_weights()])
    filters = [6, 0, 3, 0]
    whole = layer.convolution_op(inputs, layer.kernel) + layer.bias
    found = own_map(layer, tf.constant(inputs), tf.constant(filters))
    expected = np.stack([whole[at, ..., filter] for at, filter in enumerate(filters)])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_filter_of_a_layer_without_bias_has_none():
    layer = keras.layers.Conv2D(2, 1, use_bias=False)
    layer.build((None, None, None, 3))
    layer.set_weights([np.arange(6, dtype=np.float32).reshape(1, 1, 3, 2)])
    found = own_map(layer, tf.ones((1, 2, 2, 3)), tf.constant([1]))
    np.testing.assert_array_equal(found, np.full((1, 2, 2), 1 + 3 + 5))


def test_grouped_and_other_convolutions_are_computed_whole():
    assert separable(keras.layers.Conv2D(4, 3))
    assert not separable(keras.layers.Conv2D(4, 3, groups=2))
    assert not separable(keras.layers.DepthwiseConv2D(3))
    assert not separable(keras.layers.Dense(3))


def test_every_reading_is_taken_from_the_images_and_from_the_references():
    first = keras.layers.Conv2D(4, 3, activation="relu", padding="same", name="a")
    second = keras.layers.Conv2D(6, 3, activation="relu", name="b")
    net = network([first, second])
    asked = [Reading("a"), Reading("b"), Reading("b", True, True), Reading("b", False, True)]
    images, others = (tf.constant(RANDOM.random((2, 9, 11, 3)), tf.float32) for _ in range(2))
    filters = tf.constant([3, 1])
    found = reader(net, asked)(images, others, filters)
    before = {"images": first(images), "others": first(others)}
    plain = first.convolution_op(images, first.kernel) + first.bias
    maps = {name: second.convolution_op(value, second.kernel) for name, value in before.items()}
    maps = {name: value + second.bias for name, value in maps.items()}
    each = lambda values: np.stack([values[0, ..., 3], values[1, ..., 1]])  # noqa: E731
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(found[Reading("a")], each(plain), **close)
    np.testing.assert_allclose(found[Reading("b")], each(maps["images"]), **close)
    np.testing.assert_allclose(found[Reading("b", True, True)], maps["others"], **close)
    np.testing.assert_allclose(found[Reading("b", False, True)], each(maps["others"]), **close)


def test_a_classifier_is_read_before_its_softmax():
    net = network([keras.layers.Conv2D(4, 3, name="a")], classes=5)
    images = tf.constant(RANDOM.random((2, 6, 5, 3)), tf.float32)
    found = reader(net, [Reading("head"), Reading("head", True)])(images, None, tf.constant([4, 2]))
    head = net.model.get_layer("head")
    pooled = tf.reduce_mean(net.model.get_layer("a")(images), axis=(1, 2))
    logits = (tf.matmul(pooled, head.kernel) + head.bias).numpy()
    np.testing.assert_allclose(found[Reading("head", True)], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[Reading("head")], logits[[0, 1], [4, 2]], rtol=1e-4, atol=1e-5)


def test_only_what_lies_before_the_last_layer_asked_for_is_computed():
    net = network([keras.layers.Conv2D(4, 3, name="a"), keras.layers.Conv2D(4, 30, name="b")])
    found = reader(net, [Reading("a")])(tf.zeros((1, 5, 5, 3)), None, tf.constant([2]))
    assert found[Reading("a")].shape == (1, 3, 3)
