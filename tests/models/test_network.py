"""Tapping, cutting and tracing back: on hand-set networks, and on the real one."""

import numpy as np
import pytest

from convscope.models.backend import keras, tf
from convscope.models.network import (
    Network,
    build,
    cast,
    inputs_of,
    layers,
    preactivation,
    tap,
)
from convscope.models.zoo.checkpoints import Provenance
from convscope.models.zoo.packaged import PACKAGED, load
from convscope.unit import GREY, IMAGE, Unit

L = keras.layers
RNG = np.random.default_rng(0)
PIXELS = RNG.random((2, 37, 53, 3), np.float32)


def chain(*parts: keras.layers.Layer, channels: int = 3) -> Network:
    """A network of layers in a row, given the image as it is."""
    inputs = output = keras.Input((None, None, channels))
    for part in parts:
        output = part(output)
    return Network("tiny", keras.Model(inputs, output), lambda image: image, Provenance("", ""))


def stored() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias of each convolution of VGG16 as the checkpoint has them."""
    found = PACKAGED["vgg16"]
    arrays = found.read(found.checkpoint.content())
    return {
        name: (arrays[f"VGG16_0.Conv_{number}.kernel"], arrays[f"VGG16_0.Conv_{number}.bias"])
        for number, name in enumerate(found.filters)
    }


def test_the_first_layers_equal_convolutions_written_out_from_the_checkpoint(vgg16):
    arrays = stored()
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    value = (PIXELS - mean) / deviation
    expected = {}
    for name in ("block1_conv1", "block1_conv2", "pool", "block2_conv1"):
        if name == "pool":
            value = tf.nn.max_pool2d(value, 2, 2, "VALID").numpy()
            continue
        expected[name] = tf.nn.conv2d(value, arrays[name][0], 1, "SAME").numpy() + arrays[name][1]
        value = np.maximum(expected[name], 0)
    found = tap(vgg16, list(expected), pre=True)(PIXELS)
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)


def test_every_layer_of_the_real_network_holds_the_kernel_of_its_own_name(vgg16):
    for name, (kernel, bias) in stored().items():
        held = vgg16.model.get_layer(name).get_weights()
        np.testing.assert_array_equal(held[0], kernel)
        np.testing.assert_array_equal(held[1], bias)
    assert vgg16.model.trainable_weights == []
    assert vgg16.weights == PACKAGED["vgg16"].checkpoint.provenance
    assert (vgg16.name, vgg16.dtype) == ("vgg16", "float32")


def test_the_real_network_has_the_graph_and_the_names_of_keras_with_activations_apart(vgg16):
    ours = [(layer.name, type(layer)) for layer in vgg16.model.layers]
    theirs = keras.applications.VGG16(include_top=False, weights=None)
    expected = []
    for layer in theirs.layers[1:]:
        expected.append((layer.name, type(layer)))
        if isinstance(layer, L.Conv2D):
            expected.append((f"{layer.name}.relu", L.Activation))
    assert ours[1:] == expected


def test_the_layers_are_the_convolutions_in_order_with_their_filters(vgg16):
    assert layers(vgg16) == dict(PACKAGED["vgg16"].filters)
    assert list(layers(vgg16)) == list(PACKAGED["vgg16"].filters)
    assert layers(chain(L.Conv2D(5, 3, name="a"), L.MaxPooling2D(), L.Conv2D(7, 1, name="b"))) == {
        "a": 5,
        "b": 7,
    }


@pytest.mark.parametrize("name", ["block1_conv1", "block2_conv2", "block4_conv1"])
def test_an_activation_is_the_positive_part_of_the_preactivation(vgg16, name):
    before = tap(vgg16, [name], pre=True)(PIXELS)[name].numpy()
    after = tap(vgg16, [name])(PIXELS)[name].numpy()
    assert before.min() < 0 < before.max()
    np.testing.assert_allclose(np.maximum(before, 0), after, rtol=1e-4, atol=1e-4)


def test_a_preactivation_is_exact_for_hand_set_weights():
    part = L.Conv2D(2, (1, 2), strides=(2, 1), activation="relu", name="part")
    tiny = chain(part, channels=1)
    part.set_weights([np.float32([1, -1, 10, -10]).reshape(1, 2, 1, 2), np.float32([0.5, -0.5])])
    image = np.float32([[1, 2, 3], [9, 9, 9], [4, 5, 6]])[None, ..., None]
    found = keras.Model(tiny.model.input, preactivation(part))(image)
    first = np.float32([[21.5, 32.5], [54.5, 65.5]])
    np.testing.assert_array_equal(found[0, ..., 0], first)
    np.testing.assert_array_equal(found[0, ..., 1], -first)
    np.testing.assert_array_equal(tiny.model(image)[0, ..., 1], np.zeros((2, 2)))


@pytest.mark.parametrize("activation", [None, "linear", "relu", "tanh"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_preactivation_leads_to_the_output_whatever_the_activation(activation, use_bias):
    part = L.Conv2D(
        5, (2, 3), padding="same", activation=activation, use_bias=use_bias, name="part"
    )
    tiny = chain(part)
    if use_bias:
        part.bias.assign([0.1, -0.2, 0.3, -0.4, 0.5])
    before = keras.Model(tiny.model.input, preactivation(part))(PIXELS)
    expected = tf.nn.conv2d(PIXELS, part.kernel.value, 1, "SAME")
    expected = expected + part.bias.value if use_bias else expected
    np.testing.assert_allclose(before, expected, atol=1e-6)
    np.testing.assert_allclose(part.activation(before), tiny.model(PIXELS), atol=1e-6)


def test_a_preactivation_shares_the_weights_of_its_layer():
    part = L.Conv2D(1, 1, activation="relu", name="part")
    tiny = chain(part)
    model = tap(tiny, ["part"], pre=True)
    part.set_weights([np.full((1, 1, 3, 1), -2, np.float32), np.float32([1])])
    np.testing.assert_array_equal(model(np.ones((1, 2, 3, 3), np.float32))["part"], -5)


def test_a_silent_unit_has_a_gradient_through_its_preactivation_only():
    part = L.Conv2D(1, 1, activation="relu", name="part")
    tiny = chain(part)
    part.set_weights([np.full((1, 1, 3, 1), 2, np.float32), np.float32([-100])])
    image = tf.Variable(np.ones((1, 2, 3, 3), np.float32))
    for pre, slope in ((True, 2.0), (False, 0.0)):
        with tf.GradientTape() as tape:
            score = tf.reduce_sum(tap(tiny, ["part"], pre=pre)(image)["part"])
        np.testing.assert_array_equal(tape.gradient(score, image), np.full(image.shape, slope))


def test_pooling_layers_can_be_tapped_beside_preactivations(vgg16):
    found = tap(vgg16, ["block1_pool", "block1_conv2"], pre=True)(PIXELS)
    before = np.maximum(found["block1_conv2"].numpy(), 0)[:, :36, :52]
    pooled = before.reshape(2, 18, 2, 26, 2, 64).max(axis=(2, 4))
    np.testing.assert_allclose(found["block1_pool"], pooled, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (31, 17), (64, 40)])
def test_images_of_any_size_are_taken(vgg16, size):
    pixels = RNG.random((3, *size, 3), np.float32)
    assert tap(vgg16, ["block1_conv2"])(pixels)["block1_conv2"].shape == (3, *size, 64)
    if min(size) > 1:
        shape = tap(vgg16, ["block2_conv1"])(pixels)["block2_conv1"].shape
        assert shape == (3, size[0] // 2, size[1] // 2, 128)


def inside(model: keras.Model) -> set[str]:
    """The names of all layers of a model, those of models within it included."""
    names: set[str] = set()
    for layer in model.layers:
        names |= inside(layer) if isinstance(layer, keras.Model) else {layer.name}
    return names


@pytest.mark.parametrize("pre", [True, False])
def test_nothing_beyond_the_deepest_layer_asked_for_is_computed(vgg16, pre):
    order = [layer.name for layer in vgg16.model.layers]
    cut = inside(tap(vgg16, ["block1_conv1", "block3_conv2"], pre=pre))
    last = order.index("block3_conv2") + (not pre)
    assert cut.isdisjoint(order[last + 1 :])
    assert set(order[1:last]) - {"block1_conv1"} <= cut


def test_a_preactivation_is_computed_without_its_activation(vgg16):
    assert "block3_conv2.relu" not in inside(tap(vgg16, ["block3_conv2"], pre=True))


def test_the_bfloat16_network_is_close_and_leaves_the_first_as_it_was(vgg16):
    low = cast(vgg16, "bfloat16")
    assert (low.dtype, vgg16.dtype) == ("bfloat16", "float32")
    assert {weight.dtype for weight in low.model.weights} == {"bfloat16"}
    assert {weight.dtype for weight in vgg16.model.weights} == {"float32"}
    names = ["block1_conv1", "block2_conv2", "block3_conv3"]
    ours, exact = tap(low, names, pre=True)(PIXELS), tap(vgg16, names, pre=True)(PIXELS)
    for name in names:
        assert ours[name].dtype == tf.float32
        spread = np.std(exact[name])
        error = np.sqrt(np.mean((ours[name].numpy() - exact[name].numpy()) ** 2))
        assert 1e-5 * spread < error < 0.02 * spread
    assert inputs_of(low, "block4_conv1") == inputs_of(vgg16, "block4_conv1")


def test_a_cast_to_the_format_it_has_is_the_same_network(vgg16):
    assert cast(vgg16, "float32") is vgg16


def test_the_weights_can_come_from_a_copy_and_are_checked(tmp_path):
    (tmp_path / "other.ckpt").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"other\.ckpt is truncated: 5 of 58,866,625 bytes"):
        load("vgg16", tmp_path / "other.ckpt")


@pytest.mark.parametrize(
    ("name", "source", "count"),
    [
        ("block1_conv2", "block1_conv1", 64),
        ("block2_conv1", "block1_conv2", 64),
        ("block4_conv1", "block3_conv3", 256),
        ("block4_conv3", "block4_conv2", 512),
        ("block5_conv1", "block4_conv3", 512),
    ],
)
def test_inputs_are_the_filters_of_the_convolution_before_also_behind_a_pool(
    vgg16, name, source, count
):
    assert inputs_of(vgg16, name) == tuple(Unit(source, channel) for channel in range(count))


def test_the_inputs_of_the_first_convolution_are_the_colours(vgg16):
    assert inputs_of(vgg16, "block1_conv1") == (Unit(IMAGE, 0), Unit(IMAGE, 1), Unit(IMAGE, 2))


def test_the_walk_to_the_inputs_goes_through_what_leaves_channels_apart():
    tiny = chain(
        L.Conv2D(5, 3, name="one"),
        L.ReLU(),
        L.AveragePooling2D(2),
        L.Activation("tanh"),
        L.LeakyReLU(),
        L.Identity(),
        L.MaxPooling2D(),
        L.Conv2D(7, 3, name="two"),
    )
    assert inputs_of(tiny, "two") == tuple(Unit("one", channel) for channel in range(5))
    assert inputs_of(tiny, "one") == tuple(Unit(IMAGE, channel) for channel in range(3))


@pytest.mark.parametrize(
    "between",
    [
        L.DepthwiseConv2D(3, name="between"),
        L.Dense(7, name="between"),
        L.LayerNormalization(name="between"),
        L.Softmax(name="between"),
        L.Activation("softmax", name="between"),
        L.Conv2DTranspose(4, 2, name="between"),
    ],
)
def test_what_mixes_channels_or_makes_new_ones_is_named_as_the_source(between):
    tiny = chain(L.Conv2D(5, 3, name="one"), between, L.Conv2D(7, 1, name="two"))
    count = between.output.shape[-1]
    assert inputs_of(tiny, "two") == tuple(Unit("between", channel) for channel in range(count))


def test_a_sum_is_a_source_and_a_concatenation_leads_to_the_branch():
    image = keras.Input((None, None, 3))
    one, two = L.Conv2D(5, 1, name="one")(image), L.Conv2D(5, 3, padding="same", name="two")(image)
    total = L.ReLU()(L.Add(name="stream")([one, two]))
    beside = L.Concatenate(name="beside")([L.MaxPooling2D(1)(two), total, image])
    normal = L.Activation("gelu")(L.BatchNormalization()(beside))
    last = L.Conv2D(7, 1, name="last")(normal)
    tiny = Network("tiny", keras.Model(image, last), lambda pixels: pixels, Provenance("", ""))
    expected = [Unit(name, number) for name in ("two", "stream") for number in range(5)]
    assert inputs_of(tiny, "last") == (*expected, *(Unit(IMAGE, colour) for colour in range(3)))
    assert layers(tiny) == {"one": 5, "two": 5, "stream": 5, "beside": 13, "last": 7}


def test_a_network_that_takes_blue_first_has_its_colours_in_that_order():
    net = build("tiny", chain(L.Conv2D(4, 3, name="a")).model, "caffe", Provenance("", ""))
    assert [str(unit) for unit in inputs_of(net, "a")] == ["image:blue", "image:green", "image:red"]
    grey = chain(L.Conv2D(4, 3, name="a"), channels=1).model
    assert inputs_of(build("tiny", grey, "tf", Provenance("", "")), "a") == (Unit(IMAGE, GREY),)
