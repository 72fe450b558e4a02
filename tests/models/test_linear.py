"""Kernels over the inputs of a layer: contributions add up to what the layer computes."""

import numpy as np
import pytest
from parts import contributions

from convscope.models.backend import keras
from convscope.models.flatten import flat
from convscope.models.graph import operations
from convscope.models.linear import linear, obstacle

L = keras.layers
RNG = np.random.default_rng(0)
LAYERS = [
    L.Conv2D(8, (3, 2), strides=(2, 3), padding="same"),
    L.Conv2D(8, (2, 3), dilation_rate=(3, 1), use_bias=False),
    L.Conv2D(8, 3, groups=2, padding="same"),
    L.DepthwiseConv2D((3, 5), depth_multiplier=2, padding="same"),
    L.DepthwiseConv2D(3, strides=2),
    L.SeparableConv2D(7, (2, 3), depth_multiplier=3, padding="same"),
    L.SeparableConv2D(7, 3, strides=2),
    L.Conv2DTranspose(5, (4, 3), strides=(3, 2), padding="same"),
    L.Conv2DTranspose(5, 2, strides=2, use_bias=False),
    L.Dense(5),
]


def last(*parts, size=(None, None)):
    image = value = keras.Input((*size, 4))
    for part in parts:
        value = type(part).from_config({**part.get_config(), "name": part.name})(value)
    model = keras.Model(image, value)
    for layer in model.layers:
        layer.set_weights([RNG.normal(size=part.shape) for part in layer.get_weights()])
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.moving_variance.assign(RNG.uniform(0.5, 2, layer.moving_variance.shape))
    laid = flat(model)
    *_, end = operations(laid).values()
    return end, keras.Model(laid.input, [end.input, end.output])


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{type(layer).__name__}-{layer.name}")
@pytest.mark.parametrize("normal", [False, True])
def test_bias_and_contributions_add_up_to_every_preactivation(layer, normal):
    behind = [L.BatchNormalization()] if normal else []
    end, both = last(layer, *behind)
    given, made = both(RNG.normal(size=(2, 11, 14, 4)).astype(np.float32))
    given, made = np.asarray(given), np.asarray(made)
    for filter in range(made.shape[-1]):
        found = linear(end, filter)
        parts = contributions(given, found)
        assert parts.shape == (*made.shape[:3], len(found.channels))
        expected = made[..., filter]
        np.testing.assert_allclose(
            parts.sum(-1) + found.bias, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()
        )


def test_a_grouped_or_depthwise_filter_reads_the_channels_of_its_own():
    grouped, _ = last(L.Conv2D(8, 3, groups=2))
    assert [linear(grouped, filter).channels.tolist() for filter in (0, 3, 4, 7)] == [
        [0, 1], [0, 1], [2, 3], [2, 3],
    ]  # fmt: skip
    depth, _ = last(L.DepthwiseConv2D(3, depth_multiplier=2))
    assert [linear(depth, filter).channels.tolist() for filter in (0, 1, 2, 7)] == [
        [0],
        [0],
        [1],
        [3],
    ]


def test_a_classifier_behind_a_mean_is_a_kernel_of_one_tap():
    end, both = last(L.GlobalAveragePooling2D(), L.Dense(5))
    given, made = both(RNG.normal(size=(2, 11, 14, 4)).astype(np.float32))
    found = linear(end, 3)
    assert found.kernel.shape == (1, 1, 4)
    parts = contributions(np.asarray(given)[:, None, None], found)
    np.testing.assert_allclose(parts.sum(-1)[:, 0, 0] + found.bias, made[:, 3], rtol=1e-5)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            (L.LayerNormalization(name="own"),),
            r"^own \(LayerNormalization\) is not a linear sum of",
        ),
        ((L.Flatten(), L.Dense(3, name="own")), "^own reads every position of the map before it"),
    ],
    ids=["norm", "flat"],
)
def test_what_has_no_kernel_says_why(parts, message):
    end, _ = last(*parts, size=(6, 6))
    with pytest.raises(ValueError, match=message):
        linear(end, 0)


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        (L.Add(name="own"), "^own has no kernel: it adds left and right, channel by channel. Ask"),
        (L.Concatenate(name="own"), "^own has no kernel: it lays left, right side by side. Ask"),
        (L.Multiply(name="own"), "^own multiplies or compares left and right, which is not linear"),
    ],
    ids=["add", "concatenate", "multiply"],
)
def test_a_joint_names_what_it_joins(joint, message):
    image = keras.Input((None, None, 4))
    parts = [L.Conv2D(4, 1, name=name)(image) for name in ("left", "right")]
    *_, end = operations(flat(keras.Model(image, joint(parts)))).values()
    with pytest.raises(ValueError, match=message):
        linear(end, 0)
    assert obstacle(end)
