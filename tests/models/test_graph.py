"""A flat graph is walked, and positions and channels go through its layers as Keras computes."""

import sys

import numpy as np
import pytest

from convscope.models.backend import keras
from convscope.models.flatten import flat
from convscope.models.graph import (
    Spread,
    Window,
    after,
    before,
    concatenates,
    inputs,
    keeps,
    operations,
    sizes,
    sums,
    window,
)

L = keras.layers
RNG = np.random.default_rng(0)


def placed(*parts, channels=6, size=(None, None)):
    """The last of some layers in a row, and their model laid out flat."""
    image = value = keras.Input((*size, channels))
    for part in parts:
        value = part(value)
    model = flat(keras.Model(image, value))
    return list(operations(model).values())[-1], model


def test_a_window_counts_what_the_framework_pads():
    assert Window((3, 4)).spans((8, 8)) == [(6, 0, 0), (5, 0, 0)]
    assert Window((3, 4), padding="same").spans((8, 8)) == [(8, 1, 1), (8, 1, 2)]
    assert Window((3, 3), (2, 2), padding="same").spans((9, 8)) == [(5, 1, 1), (4, 0, 1)]
    assert Window((3, 3), (1, 1), (2, 3), "same").spans((7, 9)) == [(7, 2, 2), (9, 3, 3)]
    assert Window(padding=((1, 2), (-3, 0))).spans((5, 5)) == [(8, 1, 2), (2, -3, 0)]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (L.Conv2D(2, (5, 2), dilation_rate=(2, 4), padding="same"),
         Window((5, 2), rates=(2, 4), padding="same")),
        (L.Conv2D(2, 3, strides=2, groups=2), Window((3, 3), (2, 2))),
        (L.DepthwiseConv2D((3, 5), 2), Window((3, 5), (2, 2))),
        (L.SeparableConv2D(4, (3, 1), padding="same"), Window((3, 1), padding="same")),
        (L.MaxPooling2D((2, 3), strides=(3, 1)), Window((2, 3), (3, 1))),
        (L.AveragePooling2D(2), Window((2, 2), (2, 2))),
        (L.ZeroPadding2D(((1, 2), (0, 3))), Window(padding=((1, 2), (0, 3)))),
        (L.Cropping2D(((1, 0), (2, 0))), Window(padding=((-1, 0), (-2, 0)))),
        (L.ReLU(), Window()), (L.BatchNormalization(), Window()), (L.Dense(3), Window()),
        (L.LayerNormalization(), Window()), (L.GlobalAveragePooling2D(), None),
        (L.LayerNormalization(axis=[1, 2, 3]), None), (L.UpSampling2D(), None),
        (Spread((2, 3), ((1, 0), (0, -1))), None), (L.Flatten(), None),
        (L.Lambda(lambda x: x), None),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_window_of_each_kind_of_layer(layer, expected):
    # The size is fixed for those that need one.
    last, _ = placed(layer, size=(16, 16))
    assert window(last) == expected


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (L.ReLU(), True), (L.Activation("gelu"), True), (L.Activation("softmax"), False),
        (L.Softmax(), False), (L.BatchNormalization(), True), (L.BatchNormalization(axis=1), False),
        (L.MaxPooling2D(), True), (L.GlobalMaxPooling2D(), True), (L.ZeroPadding2D(), True),
        (L.UpSampling2D(), True), (L.Rescaling(2.0), True), (L.PReLU(shared_axes=[1, 2]), True),
        (L.PReLU(), False), (L.LayerNormalization(), False), (L.GroupNormalization(3), False),
        (L.DepthwiseConv2D(3), False), (L.Conv2D(6, 1), False), (L.Flatten(), False),
        (L.Lambda(lambda x: x), False),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, bool) else str(value),
)  # fmt: skip
def test_what_keeps_channels_apart_is_what_changes_one_channel_alone(layer, expected):
    last, model = placed(layer, size=(8, 8))
    assert keeps(last) is expected
    if not expected or isinstance(layer, L.GlobalMaxPooling2D):
        return
    image = RNG.normal(size=(1, 8, 8, 6)).astype(np.float32)
    other = image.copy()
    other[..., 2] = RNG.normal(size=(8, 8))
    differs = np.abs(np.asarray(model(image)) - np.asarray(model(other))).max(axis=(0, 1, 2)) > 0
    assert differs.tolist() == [False, False, True, False, False, False]


def test_a_row_that_becomes_a_map_of_one_position_keeps_its_channels():
    assert keeps(placed(L.GlobalAveragePooling2D(), L.Reshape((1, 1, 6)))[0])
    assert not keeps(placed(L.GlobalAveragePooling2D(), L.Reshape((1, 2, 3)))[0])
    assert keeps(placed(L.GlobalAveragePooling2D(keepdims=True), L.Flatten())[0])


def test_sums_and_concatenations_are_told_apart_from_other_joints():
    image = keras.Input((8, 8, 4))
    parts = [L.Conv2D(4, 1)(image), L.Conv2D(4, 1)(image)]
    for layer, adds, beside in (
        (L.Add(), True, False), (L.Subtract(), True, False), (L.Average(), True, False),
        (L.Multiply(), False, False), (L.Maximum(), False, False),
        (L.Concatenate(), False, True), (L.Concatenate(axis=1), False, False),
    ):  # fmt: skip
        *_, last = operations(flat(keras.Model(image, layer(parts)))).values()
        assert (sums(last), concatenates(last)) == (adds, beside)


def test_the_sizes_of_maps_are_those_that_keras_computes():
    parts = (
        L.ZeroPadding2D(((1, 0), (2, 1))), L.Conv2D(5, (3, 4), strides=(2, 1), padding="same"),
        L.MaxPooling2D((3, 2), 2), L.DepthwiseConv2D(3, dilation_rate=2), L.UpSampling2D((2, 3)),
        L.Cropping2D(1), L.SeparableConv2D(4, (2, 1)), L.ReLU(), L.Conv2DTranspose(2, 3, 2),
        L.GlobalAveragePooling2D(), L.Dense(3),
    )  # fmt: skip
    _, model = placed(*parts)
    image = np.zeros((1, 31, 38, 6), np.float32)
    every = operations(model)
    outputs = keras.Model(model.input, {name: part.output for name, part in every.items()})(image)
    found = sizes(every, (31, 38))
    for name, value in outputs.items():
        assert found[name] == (tuple(value.shape[1:3]) if len(value.shape) == 4 else (1, 1))


def test_layers_that_do_not_say_their_shape_and_quotients_are_followed_too():
    image = keras.Input((None, None, 6))
    scale = sys.modules[keras.applications.ConvNeXtTiny.__module__].LayerScale(0.5, 6)
    value = scale(L.Conv2D(6, 3, strides=2, padding="same")(image))
    quotient = keras.ops.divide(value, 1 + keras.ops.square(value))
    every = operations(flat(keras.Model(image, quotient)))
    assert list(sizes(every, (9, 6)).values())[-4:] == [(5, 3)] * 4
    assert window(list(every.values())[-1]) == Window()


def test_a_layer_without_a_shape_of_its_own_is_asked_with_a_tensor():
    class Turned(L.Layer):
        def call(self, value):
            return keras.ops.transpose(value, (0, 2, 1, 3))

    image = keras.Input((None, None, 2))
    model = keras.Model(image, Turned(name="turned")(L.Conv2D(3, 3)(image)))
    assert sizes(operations(model), (9, 6))["turned"] == (4, 7)


def test_an_image_too_small_for_a_layer_names_the_layer():
    _, model = placed(L.MaxPooling2D(2, name="first"), L.Conv2D(1, 5, name="second"))
    assert sizes(operations(model), (10, 10))["second"] == (1, 1)
    with pytest.raises(ValueError, match=r"^second has no position left on an image of \(9, 12\)$"):
        sizes(operations(model), (9, 12))


def test_operations_come_after_all_they_depend_on_and_know_their_neighbours():
    image = keras.Input((8, 8, 3), name="image")
    left, right = L.Conv2D(2, 1, name="left")(image), L.Conv2D(2, 1, name="right")(image)
    model = flat(keras.Model(image, L.ReLU(name="end")(L.Add(name="meet")([left, right]))))
    every = operations(model)
    assert list(every) == ["image", "left", "right", "meet", "end"]
    assert [part.name for part in before(every["meet"])] == ["left", "right"]
    assert [tensor.shape[-1] for tensor in inputs(every["meet"])] == [2, 2]
    assert [part.name for part in after(every)["image"]] == ["left", "right"]
    assert after(every)["end"] == []
