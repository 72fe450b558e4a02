"""Models laid out flat compute what they did before, under names of their own."""

import contextlib

import numpy as np
import pytest

from convscope.models import flatten
from convscope.models.backend import keras
from convscope.models.flatten import absorbed, difference, flat
from convscope.models.graph import Applied, Spread, operations
from convscope.models.network import build
from convscope.models.zoo.checkpoints import Provenance

L = keras.layers
RNG = np.random.default_rng(0)


def scrambled(model):
    """The model with weights far from their start, negative factors of BatchNorm included."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            scrambled(layer)
        elif isinstance(layer, L.BatchNormalization):
            for weight in layer.weights:
                low = 0.5 if weight.name == "moving_variance" else -2
                weight.assign(RNG.uniform(low, 2, weight.shape))
        else:
            layer.set_weights([RNG.normal(0, 0.3, part.shape) for part in layer.get_weights()])
    return model


def chain(*parts, size=(None, None), channels=3):
    image = value = keras.Input((*size, channels))
    for part in parts:
        value = part(value)
    return scrambled(keras.Model(image, value))


def same(model, laid, size=(13, 18)):
    image = RNG.normal(size=(2, *size, model.inputs[0].shape[-1])).astype(np.float32)
    return np.testing.assert_allclose(laid(image), model(image), rtol=1e-4, atol=1e-4)


def kinds(model):
    return [(name, type(part)) for name, part in operations(model).items()][1:]


@pytest.mark.parametrize(
    "layer",
    [
        L.Conv2D(6, (3, 2), strides=(2, 1), padding="same", use_bias=False, name="layer"),
        L.Conv2D(6, 3, groups=3, dilation_rate=2, name="layer"),
        L.DepthwiseConv2D((2, 3), depth_multiplier=2, name="layer"),
        L.SeparableConv2D(5, 3, depth_multiplier=2, use_bias=False, name="layer"),
        L.Conv2DTranspose(5, 3, strides=2, name="layer"),
        L.Dense(4, name="layer"),
    ],
    ids=lambda layer: type(layer).__name__ + str(getattr(layer, "groups", "")),
)
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 0.1}])
def test_a_batchnorm_behind_a_linear_layer_is_folded_into_it(layer, options):
    layer = type(layer).from_config(layer.get_config())
    model = chain(L.Conv2D(6, 1, name="first"), layer, L.BatchNormalization(**options), L.ReLU())
    laid = flat(model)
    names = [name for name, _ in kinds(laid) if not name.endswith(".spread")]
    assert names[:2] == ["first", "layer"]
    assert L.BatchNormalization not in {kind for _, kind in kinds(laid)}
    assert laid.get_layer("layer").use_bias
    same(model, laid)


TRANSPOSED = [
    {"kernel_size": (3, 2), "strides": 2}, {"kernel_size": 2, "strides": 2, "padding": "same"},
    {"kernel_size": (4, 5), "strides": (2, 3), "padding": "same"},
    {"kernel_size": (5, 1), "padding": "same"}, {"kernel_size": 3, "dilation_rate": 2},
    {"kernel_size": (3, 4), "dilation_rate": (2, 3), "padding": "same"},
    {"kernel_size": 3, "strides": 2, "output_padding": 0},
    {"kernel_size": 3, "strides": 2, "output_padding": 1, "padding": "same"},
    {"kernel_size": (5, 4), "strides": (4, 3), "output_padding": (2, 1), "padding": "same"},
]  # fmt: skip


@pytest.mark.parametrize("how", TRANSPOSED, ids=str)
@pytest.mark.parametrize("size", [(None, None), (7, 10)])
def test_a_transposed_convolution_is_a_plain_one_of_a_map_spread_out(how, size):
    model = chain(L.Conv2DTranspose(5, **how, activation="relu", name="made"), size=size)
    laid = flat(flat(model), size=(None, None))
    assert kinds(laid) == [
        ("made.spread", Spread), ("made", L.Conv2D), ("made.relu", L.Activation),
    ]  # fmt: skip
    image = RNG.normal(size=(2, 7, 10, 3)).astype(np.float32)
    np.testing.assert_allclose(laid(image), model(image), atol=1e-5)
    assert laid.get_layer("made").output.shape == (None, None, None, 5)
    assert flat(model).get_layer("made").output.shape == model.layers[-1].output.shape


def test_a_transposed_convolution_that_is_wrapped_and_called_twice_is_laid_out(tmp_path):
    up = L.SpectralNormalization(L.Conv2DTranspose(3, 4, strides=2, padding="same", name="up"))
    model = chain(L.Conv2D(3, 3, name="first"), up, up, L.Conv2D(2, 3, name="last"))
    image = RNG.normal(size=(2, 9, 6, 3)).astype(np.float32)
    laid = flat(model)
    np.testing.assert_allclose(laid(image), model(image, training=False), atol=1e-5)
    assert sum(kind is Spread for _, kind in kinds(laid)) == 2


def test_a_batchnorm_stays_where_another_layer_reads_the_convolution_too():
    image = keras.Input((None, None, 3))
    value = L.Conv2D(4, 3, name="conv")(image)
    normal = L.BatchNormalization(name="normal")(value)
    model = scrambled(keras.Model(image, L.Add(name="add")([value, normal])))
    assert [name for name, _ in kinds(flat(model))] == ["conv", "normal", "add"]
    same(model, flat(model))


def test_a_batchnorm_stays_behind_an_activation_over_other_axes_and_at_the_start():
    for parts in (
        (L.Conv2D(4, 1, activation="relu"), L.BatchNormalization(name="normal")),
        (L.Conv2D(4, 1), L.BatchNormalization(axis=1, name="normal")),
        (L.BatchNormalization(name="normal"), L.Conv2D(4, 1)),
        (L.Conv2D(4, 1), L.ReLU(), L.BatchNormalization(name="normal")),
    ):
        model = chain(*parts, size=(9, 9))
        assert "normal" in operations(flat(model))
        same(model, flat(model), (9, 9))


def test_a_convolution_that_is_an_output_itself_keeps_its_own_numbers():
    image = keras.Input((None, None, 3))
    value = L.Conv2D(4, 3, name="conv")(image)
    model = scrambled(keras.Model(image, [value, L.BatchNormalization(name="normal")(value)]))
    laid = flat(model)
    pixels = RNG.normal(size=(1, 9, 9, 3)).astype(np.float32)
    for ours, theirs in zip(laid(pixels), model(pixels), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_an_activation_stands_beside_its_layer_under_its_name():
    model = chain(
        L.Conv2D(4, 3, activation="relu", name="conv"),
        L.DepthwiseConv2D(3, activation="swish", name="depth"),
        L.Dense(5, activation="softmax", name="dense"),
    )
    laid = flat(model)
    names = ["conv", "conv.relu", "depth", "depth.silu", "dense", "dense.softmax"]
    assert [name for name, _ in kinds(laid)] == names
    same(model, laid)


def test_what_works_in_training_alone_is_left_out():
    parts = [L.Dropout(0.9), L.GaussianNoise(0.9), L.SpatialDropout2D(0.9), L.Identity()]
    model = chain(L.Conv2D(4, 3, name="conv"), *parts, L.ReLU(name="relu"), L.Dropout(0.5))
    assert [name for name, _ in kinds(flat(model))] == ["conv", "relu"]
    same(model, flat(model))


def test_a_model_inside_a_model_is_unrolled_even_where_names_repeat():
    def tower(name):
        return keras.Sequential(
            [keras.Input((None, None, 4)), L.Conv2D(4, 3, name="conv"), L.ReLU(name="relu")],
            name=name,
        )

    inner = chain(L.Conv2D(4, 1, name="early"), tower("deep"), channels=3)
    model = chain(inner, tower("left"), tower("right"), L.Conv2D(2, 1, name="last"))
    laid = flat(model)
    names = [name for name, _ in kinds(laid)]
    assert names[0] == "early" and names[-1] == "last"
    assert names[3:-1] == ["left.conv", "left.relu", "right.conv", "right.relu"]
    assert names[1].endswith("deep.conv")
    same(model, laid)


def test_a_layer_called_twice_stands_there_twice_with_the_same_weights():
    shared = L.Conv2D(3, 3, padding="same", name="shared")
    inner = chain(L.Conv2D(3, 1, name="inner"), L.ReLU())
    image = keras.Input((None, None, 3))
    value = inner(shared(inner(shared(image))))
    model = scrambled(keras.Model(image, value))
    laid = flat(model)
    found = {name: part for name, part in operations(laid).items() if part.weights}
    assert len(found) == 4 and {"shared", "shared.2"} <= set(found)
    np.testing.assert_array_equal(found["shared"].get_weights()[0], shared.get_weights()[0])
    np.testing.assert_array_equal(found["shared.2"].get_weights()[0], shared.get_weights()[0])
    same(model, laid)


def test_training_that_a_call_asks_for_is_ignored():
    image = keras.Input((None, None, 3))
    value = L.Dropout(0.9)(L.Conv2D(3, 3, name="conv")(image), training=True)
    inner = chain(L.Conv2D(3, 1), L.BatchNormalization())
    model = keras.Model(image, inner(value, training=False))
    laid = flat(model)
    pixels = RNG.normal(size=(2, 9, 9, 3)).astype(np.float32)
    np.testing.assert_array_equal(laid(pixels), laid(pixels))


def test_operations_that_are_no_layers_are_taken_along():
    image = keras.Input((None, None, 3))
    value = L.Conv2D(4, 3, name="conv")(image)
    other = L.Conv2D(4, 3, name="other")(image)
    joined = (value + other) * 2.0 - value
    gate = keras.ops.relu6(joined + 3.0) / 6.0
    model = scrambled(keras.Model(image, L.Conv2D(2, 1, name="last")(joined * gate)))
    laid = flat(model)
    assert all(isinstance(part, keras.Layer) for part in operations(laid).values())
    names = {type(part) for part in operations(laid).values()}
    assert {L.Add, L.Subtract, L.Multiply, Applied} <= names
    same(model, laid)
    same(laid, flat(laid, "float32"))


def test_another_number_format_reaches_every_layer_and_every_weight():
    model = chain(L.Conv2D(4, 3, activation="gelu"), L.BatchNormalization(), L.Conv2D(4, 3))
    low = flat(model, "bfloat16")
    assert len(low.outputs) == 1
    assert {weight.dtype for weight in low.weights} == {"bfloat16"}
    assert low.output.dtype == "bfloat16"
    pixels = RNG.normal(size=(2, 13, 18, 3)).astype(np.float32)
    exact = np.asarray(model(pixels))
    error = np.asarray(keras.ops.cast(low(pixels), "float32")) - exact
    assert 1e-5 < np.std(error) / np.std(exact) < 0.03


def test_a_network_of_one_size_is_freed_up_to_what_needs_that_size():
    parts = [L.Conv2D(4, 3, name="conv"), L.MaxPooling2D(name="pool")]
    ends = [L.Flatten(name="row"), L.Dense(5, name="dense")]
    model = chain(*parts, *ends, size=(12, 12))
    assert [name for name, _ in kinds(flat(model, size=(None, None)))] == ["conv", "pool"]
    parts = [L.Conv2D(4, 3, name="conv"), L.MaxPooling2D(name="pool")]
    pooled = chain(
        *parts, L.GlobalAveragePooling2D(name="mean"), L.Dense(5, name="dense"), size=(12, 12)
    )
    free = flat(pooled, size=(None, None))
    assert [name for name, _ in kinds(free)] == ["conv", "pool", "mean", "dense"]
    assert free.input.shape == (None, None, None, 3)
    same(pooled, free, (12, 12))
    assert free(np.zeros((1, 31, 20, 3))).shape == (1, 5)


def test_a_layer_of_unknown_kind_keeps_its_size_and_what_depends_on_it_too():
    parts = [L.Conv2D(4, 3, name="conv"), L.Lambda(lambda x: x - 1, name="own"), L.ReLU(name="end")]
    model = chain(*parts, size=(12, 12))
    assert [name for name, _ in kinds(flat(model, size=(None, None)))] == ["conv"]
    same(model, flat(model), (12, 12))
    free = chain(*parts)  # free already: nothing is left out
    assert [name for name, _ in kinds(flat(free, size=(None, None)))] == ["conv", "own", "end"]


def test_a_network_of_which_nothing_can_be_freed_is_refused():
    model = chain(L.Flatten(), L.Dense(3), size=(4, 4))
    with pytest.raises(ValueError, match=r"^Nothing of the network can be computed on images of"):
        flat(model, size=(None, None))


def test_a_model_of_code_or_of_several_inputs_is_refused():
    class Own(keras.Model):
        def call(self, image):
            return image

    own = Own(name="mine")
    with pytest.raises(
        ValueError, match=r"^mine is no graph of layers but code of its own \(Own\)"
    ):
        flat(own)
    pair = [keras.Input((4, 4, 3)), keras.Input((4, 4, 3))]
    two = keras.Model(pair, L.Add()(pair), name="pair")
    with pytest.raises(
        ValueError, match=r"^pair has 2 inputs. Give a network with one, an image.$"
    ):
        flat(two)


def test_what_is_folded_away_names_the_layer_that_holds_it():
    normal = [L.BatchNormalization(name=name) for name in ("one_bn", "two_bn", "three_bn")]
    model = chain(
        L.Conv2D(4, 3, name="one"), normal[0], L.ReLU(), normal[1],
        L.DepthwiseConv2D(3, name="three"), normal[2],
    )  # fmt: skip
    assert absorbed(model) == {"one_bn": "one", "three_bn": "three"}
    assert absorbed(flat(model)) == {}


RANDOM = [name for name in sorted(dir(L)) if name.startswith(("Random", "Gaussian", "Alpha"))]
MIXTURES = ["AugMix", "CutMix", "Dropout", "MixUp", "RandAugment", "SpatialDropout2D"]
SETTINGS = ((), (0.2,), ((0.2, 0.4),), (0.2, 0.2), (3,))


def built(name):
    """A layer with the first settings that it takes."""
    for settings in [(12, 14)] if name == "RandomCrop" else SETTINGS:
        with contextlib.suppress(TypeError, ValueError):
            return getattr(L, name)(*settings, name="idle")
    raise AssertionError(f"none of the settings fits {name}")


@pytest.mark.parametrize("name", [*RANDOM, *MIXTURES])
def test_whatever_keras_does_in_training_alone_is_left_out(name):
    model = chain(built(name), L.Conv2D(4, 3, name="conv"), size=(16, 20))
    image = RNG.random((2, 16, 20, 3)).astype(np.float32)
    laid = flat(model)
    assert [name for name, _ in kinds(laid)] == ["conv"]
    np.testing.assert_allclose(laid(image), model(image, training=False), atol=1e-5)
    np.testing.assert_array_equal(laid(image), flat(model)(image))


@keras.saving.register_keras_serializable("flatten")
class DropPath(L.Layer):
    """A layer of somebody's own that does nothing outside training."""

    def call(self, values, training=None):
        return keras.random.dropout(values, 0.5) if training else values


@keras.saving.register_keras_serializable("flatten")
class Clipped(L.Layer):
    """A layer that is told whether it trains, and does something in any case."""

    def call(self, values, training=True):
        return keras.ops.clip(values, -1e5, 2e4) + (100 if training else 0)


def test_a_layer_of_ones_own_is_left_out_where_it_does_nothing_and_is_not_told_to_train():
    laid = flat(model := chain(L.Conv2D(4, 3), DropPath(), Clipped(name="clip"), size=(9, 9)))
    assert [name for name, _ in kinds(laid)][1:] == ["clip"]
    image = RNG.normal(size=(2, 9, 9, 3)).astype(np.float32)
    np.testing.assert_allclose(laid(image), model(image, training=False), rtol=1e-5)
    np.testing.assert_allclose(flat(laid)(image), model(image, training=False), rtol=1e-5)


@pytest.mark.parametrize("invert", [True, False])
def test_an_adapted_normalization_keeps_its_numbers(invert):
    normal = L.Normalization(invert=invert)
    normal.adapt(RNG.normal(3, 2, (8, 5, 5, 3)))
    image = keras.Input((None, None, 3))
    model = keras.Model(image, L.Conv2D(4, 3)(normal(image)))
    same(model, flat(model))
    same(model, flat(flat(model)))


def test_names_made_here_are_never_those_of_a_layer():
    image = keras.Input((9, 9, 3), name="conv")
    inner = keras.Input((9, 9, 3), name="inner_image")
    twice = keras.Model(inner, L.Conv2D(3, 1, name="conv.relu")(inner), name="base")
    value = L.Conv2D(3, 1, activation="relu", name="image")(image)
    value = L.Conv2D(3, 1, activation="relu", name="image.relu")(value)
    value = L.Conv2D(3, 1, activation="relu", name="base.conv.relu")(value)
    value = L.Conv2D(3, 1, name="preprocess")(twice(twice(value)))
    model = scrambled(keras.Model(image, value))
    found = flat(model)
    assert {"image", "image.relu", "base.conv.relu", "preprocess"} <= operations(found).keys()
    same(model, found, (9, 9))


def test_outputs_keep_their_order():
    image = keras.Input((None, None, 3))
    value = L.Conv2D(4, 1)(image)
    first, second = L.Conv2D(2, 1, name="first")(value), L.Conv2D(5, 1, name="second")(value)
    laid = flat(keras.Model(image, [second, first]))
    assert [tensor.shape[-1] for tensor in laid.outputs] == [5, 2]


def test_a_layer_that_cannot_be_laid_out_is_named():
    class Broken(L.Layer):
        def call(self, values):
            return values

        def get_config(self):
            raise NotImplementedError("no config\nat all")

    with pytest.raises(ValueError, match=r"layer own \(Broken\) of .* out: no config$"):
        flat(chain(Broken(name="own")))


WRONG = {
    "weights that are not taken over": ("settle", lambda layer: layer.set_weights(
        [2 * part for part in layer.get_weights()])),
    "a layer left out": ("passes_on", lambda layer: isinstance(layer, L.ReLU)),
    "an activation left out": ("activation_of", lambda layer: "linear"),
    "a BatchNorm folded without its offset": (
        "normalization", lambda layer: (np.ones(layer.gamma.shape), np.zeros(layer.gamma.shape))),
    "other settings": ("_from_config", lambda operation, config: type(operation).from_config(
        config | ({"rate": 1} if "rate" in config else {"pool_size": 3, "strides": 2}
                  if "pool_size" in config else {}))),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("size", [(None, None), (21, 25)])
def test_a_network_that_is_laid_flat_wrongly_is_refused(monkeypatch, fault, size):
    parts = [
        L.Conv2D(6, 3), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D(2, name="pool"),
        L.Conv2D(4, 3, activation="relu"), L.GlobalAveragePooling2D(), L.Dense(3, name="last"),
    ]  # fmt: skip
    model = chain(*parts, size=size)
    given = "own", model, "unit", Provenance("", "")
    assert build(*given).error < 1e-5
    monkeypatch.setattr(flatten, *WRONG[fault])
    with pytest.raises(
        ValueError, match=r"own computes otherwise here than in Keras: at .*, the first"
    ):
        build(*given)
    assert build(*given, check=False).error is None


def test_the_comparison_is_of_numbers_of_any_size_and_of_none():
    assert flatten._apart(np.zeros(3), np.zeros(3)) == 0
    assert flatten._apart(np.float32([1e9, 0]), np.float32([1e9, 1e5])) == pytest.approx(1e-4)
    assert flatten._apart(np.float32([np.nan, 1]), np.float32([np.nan, 1])) == 0
    assert flatten._apart(np.float32([1, 1]), np.float32([np.nan, 1])) == np.inf
    assert flatten._apart(np.ones((2, 3)), np.ones((3, 2))) == np.inf


def test_a_convolution_in_spectral_normalization_is_a_convolution():
    wrapped = L.SpectralNormalization(L.Conv2D(4, 3, activation="relu"), name="wrapped")
    model = chain(wrapped, L.Conv2D(2, 1, name="last"))
    assert [(name, kind) for name, kind in kinds(flat(model))] == [
        ("wrapped", L.Conv2D), ("wrapped.relu", L.Activation), ("last", L.Conv2D),
    ]  # fmt: skip
    same(model, flat(model))


def test_what_lora_adds_is_in_the_kernel_even_behind_a_folded_batchnorm():
    parts = [L.Conv2D(4, 3, name="conv"), L.BatchNormalization(), L.Dense(5, name="dense")]
    model = chain(*parts)
    for name in ("conv", "dense"):
        layer = model.get_layer(name)
        layer.enable_lora(2)
        for weight in layer.weights:
            if "lora" in weight.name:
                weight.assign(RNG.normal(size=weight.shape))
    laid = flat(model)
    assert [len(laid.get_layer(name).weights) for name in ("conv", "dense")] == [2, 2]
    same(model, laid)


def test_a_model_that_keras_itself_cannot_run_is_refused():
    parts = L.Conv2DTranspose(4, 4, strides=2, padding="same", output_padding=0), L.Conv2D(2, 3)
    model, image = chain(*parts, size=(9, 9)), np.zeros((1, 9, 9, 3), np.float32)
    laid = flat(model)
    with pytest.raises(ValueError, match=r"^Keras itself cannot run .* 9 x 9 pixels: .*Transpose"):
        difference(model, laid, laid, image)
