"""Fields, kernels and inputs of the networks people use, against arithmetic of the test's own."""

import gc
from dataclasses import dataclass

import asked
import numpy as np
import pytest
from parts import contributions
from PIL import Image

from convscope.models.backend import keras, tf
from convscope.models.graph import Applied, inputs, sizes
from convscope.models.linear import linear
from convscope.models.network import Network, build, classifier, inputs_of, look, tap
from convscope.models.network import layers as layers_of
from convscope.models.position import receptive_field
from convscope.models.receptive_field import Axis, ReceptiveField
from convscope.models.zoo.applications import application, fresh_names, mode, names
from convscope.models.zoo.checkpoints import Provenance
from convscope.stages import circuit, classify, maximize, rank
from convscope.unit import IMAGE

L = keras.layers
SIZES = ((97, 131), (118, 99))  # odd, so that "same" padding begins where it likes
JUDGED = {
    "ResNet50V2": (
        "conv2_block1_0_conv", "conv2_block2_1_conv", "conv2_block3_2_conv", "conv3_block1_2_conv",
    ),
    "InceptionV3": ("conv2d_3", "conv2d_7", "conv2d_11", "conv2d_12", "conv2d_26", "conv2d_33"),
    "Xception": ("block2_sepconv1", "conv2d", "block3_sepconv1", "block4_sepconv2"),
    "MobileNetV2": (
        "expanded_conv_depthwise", "block_1_depthwise", "block_3_expand", "block_6_depthwise",
    ),
    "MobileNetV3Small": (
        "conv", "expanded_conv_depthwise", "expanded_conv_project", "expanded_conv_3_expand",
        "expanded_conv_3_project",
    ),
    "DenseNet121": (
        "conv2_block1_1_conv", "conv2_block3_1_conv", "pool2_conv", "conv3_block1_1_conv",
        "conv3_block2_2_conv",
    ),
    "ConvNeXtTiny": (
        "convnext_tiny_stem_conv", "convnext_tiny_stage_0_block_0_depthwise_conv",
        "convnext_tiny_stage_0_block_0_pointwise_conv_1",
        "convnext_tiny_stage_0_block_1_pointwise_conv_2", "convnext_tiny_downsampling_conv_0",
        "convnext_tiny_stage_1_block_0_depthwise_conv",
    ),
    "NASNetMobile": (
        "reduction_conv_1_stem_1", "separable_conv_1_reduction_right2_stem_1",
        "reduction_conv_1_stem_2", "adjust_conv_2_stem_2",
        "separable_conv_1_reduction_right3_stem_2", "normal_conv_1_0",
        "separable_conv_1_normal_right1_0",
    ),
}  # fmt: skip
"""Layers of each network: behind BatchNorm, sums, concatenations, pools and gates, of all kinds."""


def every(names):
    """All of these networks, of which one is tried unless everything is asked for."""
    return [
        pytest.param(name, marks=() if name == "MobileNetV2" else pytest.mark.exhaustive)
        for name in names
    ]


def scrambled(name: str) -> Network:
    """A network with normal weights and all that normalizes drawn far from one and zero."""
    keras.utils.set_random_seed(7)
    with fresh_names():
        model = names()[name](weights=None)
    draws = np.random.default_rng(7)
    for weight in model.weights:
        kind, shape = weight.path.rpartition("/")[2], weight.shape
        if kind in ("moving_variance",):
            weight.assign(draws.uniform(0.3, 2, shape))
        elif kind == "gamma":
            weight.assign(draws.uniform(0.5, 1.5, shape) * draws.choice([-1, 1, 1], shape))
        elif kind in ("beta", "moving_mean", "bias"):
            weight.assign(draws.normal(0, 0.3, shape))
    return build(name, model, mode(name), Provenance("", ""))


@pytest.fixture(scope="module", params=every(JUDGED))
def network(request) -> Network:
    yield scrambled(request.param)
    gc.collect()


# A network of its own


@dataclass(frozen=True)
class Plain:
    """The same graph with positive kernels, nothing but sums, and no way through all of the image.

    It follows the operations of a flat model by itself, in float64. `thin` leaves one channel to
    each tensor, which keeps what each position sees where every channel sees the same.
    """

    graph: dict
    thin: bool = False

    def __call__(self, image):
        """Every operation's output; None behind what squeezes all positions to one."""
        found = {}
        for name, operation in self.graph.items():
            given = [found[tensor._keras_history.operation.name] for tensor in inputs(operation)]
            found[name] = self.one(operation, given) if given else image
        return found

    def one(self, operation, given):
        kind = type(operation).__name__
        given = [value for value in given if value is not None]
        if not given or kind.startswith("Global"):
            return None
        value = given[0]
        if kind in ("Add", "CustomScaleLayer", "Average", "Applied"):
            return tf.add_n(given)
        if kind == "Concatenate":
            return tf.add_n(given) if self.thin else tf.concat(given, -1)
        if kind == "ZeroPadding2D":
            return tf.pad(value, [(0, 0), *operation.padding, (0, 0)])
        if kind == "Cropping2D":
            (top, bottom), (left, right) = operation.cropping
            return value[:, top : value.shape[1] - bottom, left : value.shape[2] - right]
        if kind in ("MaxPooling2D", "AveragePooling2D"):
            return tf.nn.avg_pool2d(
                value, operation.pool_size, operation.strides, operation.padding.upper()
            )
        if kind == "Dense":
            return value if self.thin else value @ self.positive(operation.kernel, 0)
        if kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D"):
            return self.convolved(operation, value)
        alone = (
            "Activation", "ReLU", "LayerScale", "BatchNormalization", "Normalization", "Rescaling",
            "LayerNormalization", "Multiply", "StochasticDepth",
        )  # fmt: skip
        if kind not in alone or len(given) != 1:
            raise TypeError(f"{operation.name} is a {kind} of {len(given)}")
        return value

    def convolved(self, operation, value):
        if self.thin:
            kernel = np.ones((*operation.kernel_size, 1, 1)) / np.prod(operation.kernel_size)
            return self.slid(operation, value, kernel)
        if type(operation).__name__ == "Conv2D":
            if operation.groups == 1:
                return self.slid(operation, value, self.positive(operation.kernel, (0, 1, 2)))
            each, groups = self.positive(operation.kernel, (0, 1, 2)), operation.groups
            parts = zip(tf.split(value, groups, -1), np.split(each, groups, -1), strict=True)
            if each.shape[2] > 1:
                return tf.concat([self.slid(operation, *pair) for pair in parts], -1)
            return self.depth(operation, value, np.swapaxes(each, 2, 3))
        if type(operation).__name__ == "DepthwiseConv2D":
            return self.depth(operation, value, self.positive(operation.kernel, (0, 1)))
        made = self.depth(operation, value, self.positive(operation.depthwise_kernel, (0, 1)))
        return made @ self.positive(operation.pointwise_kernel, (0, 1, 2))[0, 0]

    def slid(self, operation, value, kernel):
        return tf.nn.conv2d(
            value, kernel, operation.strides, operation.padding.upper(),
            dilations=operation.dilation_rate,
        )  # fmt: skip

    def depth(self, operation, value, kernel):
        strides = (1, *operation.strides, 1)
        return tf.nn.depthwise_conv2d(value, kernel, strides, operation.padding.upper())

    def positive(self, kernel, axes):
        kernel = np.abs(np.asarray(kernel, np.float64)) + 1e-3
        return kernel / kernel.sum(axes, keepdims=True)


def supports(network, name, size, places, thin=False):
    """The pixels `(top, left, bottom, right)` that positions of a layer depend on, and all do."""
    graph, shape = network.until(name), sizes(network.until(name), size)[name]
    image = tf.Variable(np.ones((len(places) + 1, *size, 1 if thin else 3)))
    with tf.GradientTape() as tape:
        value = Plain(graph, thin)(image)[name]
        asked = [tf.reduce_sum(value[n, row, column]) for n, (row, column) in enumerate(places)]
        total = tf.add_n([*asked, tf.reduce_sum(value[-1])])
    assert value.shape[1:3] == shape
    slopes = np.abs(tape.gradient(total, image).numpy()).sum(-1)
    return [bounds(slope) for slope in slopes]


def bounds(slope):
    """The box around all that is not zero; one without pixels where everything is."""
    seen = np.argwhere(slope)
    return (*seen.min(0).tolist(), *(seen.max(0) + 1).tolist()) if len(seen) else (0, 0, 0, 0)


def clipped(field, place, reach):
    """The box of a position, as far as any position of the layer reaches.

    Behind "valid" padding some lines at the lower and the right edge are in no window.
    """
    box = field.box(*place)
    top, left = max(box.top, 0), max(box.left, 0)
    bottom, right = min(box.bottom, reach[2]), min(box.right, reach[3])
    return (top, left, bottom, right) if top < bottom and left < right else (0, 0, 0, 0)


def corners(network, name, size):
    """The corners of a layer's map, its middle and what lies off it."""
    rows, columns = sizes(network.until(name), size)[name]
    return sorted(
        {(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 2), (rows // 3, columns - 1)}
    )


def judge(network, name, size, thin=False):
    """Hold a layer's field to the pixels that matter; return how many boxes lie in the image."""
    field, places = receptive_field(network, name, size), corners(network, name, size)
    *found, reach = supports(network, name, size, places, thin)
    assert size[0] - reach[2] < field.rows.stride and size[1] - reach[3] < field.columns.stride
    for place, seen in zip(places, found, strict=True):
        assert seen == clipped(field, place, reach), f"{name} at {place} of {size}"
    boxes = [field.box(*place) for place in places]
    return sum(
        min(box.top, box.left) >= 0 and box.bottom <= size[0] and box.right <= size[1]
        for box in boxes
    )


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_the_pixels_with_a_gradient_fill_the_box_up_to_the_edges_of_the_image(network, size):
    for name in JUDGED[network.name]:
        judge(network, name, size)


@pytest.mark.slow
def test_so_they_do_in_deep_layers_on_an_image_with_room_for_the_whole_box(network):
    names = [name for name in layers_of(network) if receptive_field(network, name)]
    for name in dict.fromkeys([*JUDGED[network.name], *names[:: max(len(names) // 9, 1)]]):
        field = receptive_field(network, name)
        rows, columns = field.rows, field.columns
        size = rows.size + 2 * rows.stride + 1, columns.size + 3 * columns.stride
        if network.name == "NASNetMobile":  # adds maps that fit at some sizes only
            size = -(-size[0] // 32) * 32, -(-size[1] // 32) * 32 + 1
        if rows.size <= 1100:
            assert judge(network, name, size, thin=True), f"{name} has no box within {size}"


@pytest.mark.slow
def test_pixels_far_from_the_box_matter_just_where_the_field_says_so(network):
    size, judged = (200, 230) if network.name != "NASNetMobile" else (192, 225), 0
    pixels = np.random.default_rng(3).random((*size, 3), np.float32)
    for name in JUDGED[network.name]:
        field = receptive_field(network, name, size)
        box = field.box(0, 0)
        if box.bottom >= size[0] or box.right >= size[1]:
            continue
        far = pixels.copy()
        far[box.bottom :] *= 1000  # so much that every gate they reach moves far
        far[:, box.right :] *= 1000
        first, second = tap(network, [name], pre=True)(np.stack([pixels, far]))[name].numpy()
        change = np.abs(second - first)[0, 0].max() / np.abs(first).max()
        assert (change > 1e-4) == bool(field.whole), f"{name}: {change}, {field.whole}"
        judged += 1
    assert judged > 1


# Kernels and inputs


@pytest.mark.slow
def test_contributions_add_up_to_every_preactivation_of_a_scrambled_network(network):
    size = (97, 131) if network.name != "NASNetMobile" else (97, 130)
    pixels = np.random.default_rng(5).random((2, *size, 3), np.float32)
    for name in JUDGED[network.name]:
        layer = network.find(name)
        given = look(network, {"given": layer.input})(pixels)["given"].numpy()
        made = tap(network, [name], pre=True)(pixels)[name].numpy()
        for filter in (0, made.shape[-1] // 2, made.shape[-1] - 1):
            found = linear(layer, filter)
            parts, expected = contributions(given, found), made[..., filter]
            assert parts.shape == (*expected.shape, len(found.channels))
            np.testing.assert_allclose(
                parts.sum(-1, dtype=np.float64) + found.bias, expected,
                rtol=1e-4, atol=1e-4 * np.abs(expected).max(), err_msg=f"{name}:{filter}",
            )  # fmt: skip


@pytest.mark.slow
def test_each_input_channel_comes_from_the_unit_it_names_and_from_no_other(network):
    """What the named layers make is cut off from what lies before it: nothing else gets through."""
    size = (97, 131) if network.name != "NASNetMobile" else (97, 130)
    pixels = tf.constant(np.random.default_rng(5).random((1, *size, 3), np.float32))
    for name in JUDGED[network.name]:
        units, channels = inputs_of(network, name), network.find(name).input.shape[-1]
        assert len(units) == channels
        cut, alive = dict.fromkeys(unit.layer for unit in units), 0
        sample = range(0, channels, max(channels // 16, 1))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(pixels)
            given = network.preprocess(pixels)
            if IMAGE in cut:
                cut[IMAGE] = pixels
            reached = replay(network, name, given, cut, tape)
            sums = {channel: tf.reduce_sum(reached[..., channel] ** 2) for channel in sample}
        for channel in sample:
            slopes = tape.gradient(sums[channel], [*cut.values(), pixels])
            if IMAGE not in cut:
                assert slopes[-1] is None
            for source, slope in zip(cut, slopes, strict=False):
                moved = [] if slope is None else np.abs(slope.numpy()).sum((0, 1, 2)).nonzero()[0]
                allowed = [units[channel].filter] if source == units[channel].layer else []
                assert set(moved) <= set(allowed), f"{name}: {source} {moved} in {channel}"
                alive += len(moved)
        assert alive > 0.3 * len(sample), f"{name} has {alive} of {len(sample)} channels alive"


def replay(network, name, given, cut, tape):
    """What goes into a layer, computed one operation after the other; `cut` gets what it cuts."""
    found = {}
    for key, operation in network.until(name).items():
        values = [found[tensor._keras_history.operation.name] for tensor in inputs(operation)]
        if key == name:
            return values[0]
        if not values:
            found[key] = given
        elif isinstance(operation, Applied):
            found[key] = operation(*values)
        else:
            found[key] = operation(values if len(values) > 1 else values[0])
        if key in cut:
            cut[key] = found[key] = tf.stop_gradient(found[key])
            tape.watch(cut[key])


# Published fields

# The table of google-research/receptive_field, whose networks are those of TF-Slim.
INCEPTION = {
    "mixed0": (63, 8, 18), "mixed1": (95, 8, 34), "mixed2": (127, 8, 50), "mixed3": (159, 16, 58),
    "mixed4": (351, 16, 154), "mixed5": (543, 16, 250), "mixed6": (735, 16, 346),
    "mixed7": (927, 16, 442), "mixed8": (1055, 32, 490), "mixed9": (1183, 32, 554),
    "mixed10": (1311, 32, 618), "conv2d": (3, 2, 0), "conv2d_1": (7, 2, 0), "conv2d_2": (11, 2, 2),
    "conv2d_3": (15, 4, 2), "conv2d_4": (23, 4, 2), "max_pooling2d_1": (31, 8, 2),
}  # fmt: skip
# Slim's AlexNet begins with a valid convolution; ours, torchvision's, with 2 pixels of padding.
ALEXNET = {
    "conv1": (11, 4, 0), "conv2": (51, 8, 16), "conv3": (99, 16, 32), "conv4": (131, 16, 48),
    "conv5": (163, 16, 64),
}  # fmt: skip
# Slim's resnet_v1_50 and resnet_v2_50 stride at the end of a block, as Keras' ResNet50V2; Keras'
# ResNet50 strides at the beginning of the next. Their padding differs.
RESNETS = {
    "ResNet50V2": {
        "conv2_block3_out": (35, 8), "conv3_block4_out": (99, 16), "conv4_block6_out": (291, 32),
        "conv5_block3_out": (483, 32),
    },
    "ResNet50": {
        "conv2_block3_add": (35, 4), "conv3_block4_add": (99, 8), "conv4_block6_add": (291, 16),
        "conv5_block3_add": (483, 32),
    },
}  # fmt: skip
# The ends of mobilenet_v1 and inception_resnet_v2.
ENDS = {"MobileNet": ("conv_pw_13", 315, 32), "InceptionResNetV2": ("conv_7b", 3039, 32)}


@pytest.mark.exhaustive
def test_the_fields_of_inception_v3_are_the_published_ones():
    network = application("InceptionV3", "random")
    for name, published in INCEPTION.items():
        axis = Axis(*published)
        assert receptive_field(network, name) == ReceptiveField(axis, axis), name


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RESNETS)
def test_the_blocks_of_a_residual_network_end_with_the_published_fields(name):
    network = application(name, "random")
    for layer, published in RESNETS[name].items():
        field = receptive_field(network, layer)
        assert (field.rows.size, field.rows.stride) == published and field.rows == field.columns


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ENDS)
def test_the_last_map_of_a_network_has_the_published_field(name):
    layer, *published = ENDS[name]
    field = receptive_field(application(name, "random"), layer)
    assert [field.rows.size, field.rows.stride] == published and field.rows == field.columns


@pytest.mark.parametrize("name", ALEXNET)
def test_the_fields_of_the_packaged_alexnet_are_the_published_ones_two_pixels_earlier(
    alexnet, name
):
    size, stride, padding = ALEXNET[name]
    axis = Axis(size, stride, padding + 2)
    assert receptive_field(alexnet, name) == ReceptiveField(axis, axis)
    assert judge(alexnet, name, (size + 2 * stride + 1, size + 3 * stride))
    judge(alexnet, name, (131, 118))


# Networks nobody publishes


def odd(size=(None, None), colours=3):
    """Shared and nested models, a sum of three, a map laid beside itself, groups, a quotient."""
    inside = keras.Input((None, None, 8))
    value = L.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(inside)
    value = L.ReLU(name="relu")(L.BatchNormalization(name="bn")(value))
    block, other = keras.Model(inside, value, name="block"), L.Conv2D(8, (1, 5), padding="same")
    image = keras.Input((*size, colours))
    first = L.Conv2D(8, 4, strides=2, padding="same", name="conv")(image)
    once = block(first)
    three = L.Add(name="three")([once, block(once), other(first)])
    twice = L.Concatenate(name="twice")([three, three])
    grouped = L.Conv2D(8, 3, groups=4, padding="same", strides=(2, 1), name="grouped")(twice)
    quotient = keras.ops.divide(grouped, 1 + keras.ops.square(L.Conv2D(8, 1)(grouped)))
    last = L.DepthwiseConv2D((3, 2), padding="same", depth_multiplier=2, name="last")(quotient)
    logits = L.Dense(3, name="head")(L.GlobalAveragePooling2D()(last))
    model = keras.Model(image, L.Activation("softmax", name="soft")(logits))
    draws = np.random.default_rng(1)
    for weight in model.weights:
        low = 0.3 if "variance" in weight.path else -1
        weight.assign(draws.uniform(low, 1, weight.shape))
    return build("odd", model, "none", Provenance("", ""))


@pytest.mark.parametrize("size", [(29, 38), (36, 27)])
@pytest.mark.parametrize("colours", [1, 3])
def test_an_odd_network_holds_to_the_same_arithmetic(size, colours):
    network = odd(colours=colours)
    pixels = np.random.default_rng(2).random((2, *size, 3), np.float32)
    assert classifier(network) == "head"
    assert {"conv", "block.conv", "block.2.conv", "three", "grouped"} <= set(layers_of(network))
    assert [unit.filter for unit in inputs_of(network, "grouped")] == [*range(8), *range(8)]
    for name in ("conv", "block.conv", "block.2.conv", "grouped", "last"):
        layer = network.find(name)
        assert not receptive_field(network, name).whole
        judge(network, name, size, thin=True)
        given = look(network, {"given": layer.input})(pixels)["given"].numpy()
        made = tap(network, [name], pre=True)(pixels)[name].numpy()
        for filter in range(made.shape[-1]):
            found = linear(layer, filter)
            parts = contributions(given, found).sum(-1) + found.bias
            np.testing.assert_allclose(parts, made[..., filter], rtol=1e-4, atol=1e-4)


# Whole runs

ASKED = {
    "ResNet50V2": "conv2_block3_2_conv", "InceptionV3": "conv2d_12", "Xception": "block3_sepconv1",
    "MobileNetV2": "block_3_expand", "NASNetMobile": "reduction_conv_1_stem_2",
    "ConvNeXtTiny": "convnext_tiny_stage_1_block_0_pointwise_conv_1",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", every(ASKED))
def test_every_stage_runs_to_its_end(name, tmp_path):
    for number, (height, width) in enumerate(((97, 131), (120, 90))):
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(noise).save(tmp_path / "images" / f"{number}.png")
    model = ("model=application", f"model.name={name}", "model.weights=random")
    shown = ("images=folder", f"images.root={tmp_path / 'images'}", "images.size=64")
    climb = (
        "ascent.steps=2", "ascent.chunk=2", "ascent.attempts=1", "ascent.precision=float32",
        "ascent.size=64",
    )  # fmt: skip
    unit = (f"layer={ASKED[name]}", "filter=3")
    few = ("stage.inputs=2", "stage.crops=1", "stage.character=false")

    made = asked.run(circuit, tmp_path / "circuit", *model, *shown, *climb, *unit, *few)
    assert len((made / "tables" / "kernels.csv").read_text().splitlines()) > 2
    outputs = f"outputs={tmp_path / 'outputs'}"
    for stage, words in (
        (maximize, (*climb, *unit)),
        (rank, (*shown, *unit, outputs)),
        (classify, shown[:2]),
    ):
        made = asked.run(stage, tmp_path / stage.__name__.rpartition(".")[2], *model, *words)
        assert (made / "summary.json").is_file() and (made / "report.html").is_file()
