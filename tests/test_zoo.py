"""Fields, kernels and inputs of the networks people use, against arithmetic of the test's own."""

import gc
from dataclasses import dataclass

import asked
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from convscope.applications import application, fresh_names, mode, names
from convscope.attribution import contributions
from convscope.field import Axis, ReceptiveField
from convscope.flow import sizes
from convscope.graph import Applied, behind, inputs
from convscope.linear import linear
from convscope.network import Network, build, inputs_of, look, tap
from convscope.network import layers as layers_of
from convscope.receptive import receptive_field
from convscope.stages import circuit, classify, layers, maximize, rank
from convscope.unit import IMAGE
from convscope.weights import Provenance

L = keras.layers
SIZES = ((97, 131), (118, 99))  # odd, so that "same" padding begins where it likes
JUDGED = {
    "VGG16": ("block1_conv2", "block2_conv1", "block3_conv3"),
    "ResNet50": (
        "conv1_conv", "conv2_block1_0_conv", "conv2_block2_1_conv", "conv3_block1_1_conv",
        "conv3_block1_2_conv",
    ),
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
    "EfficientNetV2B0": (
        "stem_conv", "block2b_expand_conv", "block4a_dwconv2", "block4a_project_conv",
        "block4b_expand_conv",
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


def scrambled(name: str) -> Network:
    """A network with normal weights and all that normalizes drawn far from one and zero."""
    with fresh_names():
        options = {"include_top": False, "input_shape": (None, None, 3)} if name == "VGG16" else {}
        model = names()[name](weights=None, **options)
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


@pytest.fixture(scope="module", params=JUDGED)
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
        if kind in ("Add", "CustomScaleLayer", "Average"):
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
            "LayerNormalization", "Applied", "Multiply", "StochasticDepth",
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
    top, left = max(box.top, reach[0]), max(box.left, reach[1])
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
    assert reach[:2] == (0, 0)
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
    found = list(layers_of(network))
    spatial = [name for name in found if receptive_field(network, name)]
    for name in dict.fromkeys([*JUDGED[network.name], *spatial[:: max(len(spatial) // 9, 1)]]):
        field = receptive_field(network, name)
        if field is None or field.rows.size > 1100:
            continue
        size = (field.rows.size + 2 * field.rows.stride + 1, field.columns.size + 3 * field.columns.stride)
        whole = judge(network, name, size, thin=True)
        assert whole, f"{name} has no box within {size}"
