"""Receptive fields: the published table, and pixels that do and do not matter."""

from dataclasses import replace

import numpy as np
import pytest

from convscope.models import position
from convscope.models.backend import keras, tf
from convscope.models.network import Network, build, tap
from convscope.models.position import receptive_field
from convscope.models.receptive_field import Axis, Box, ReceptiveField
from convscope.models.zoo.checkpoints import Provenance
from convscope.optvis.recipe import canvas

L = keras.layers

# Simonyan and Zisserman's network in the table of google-research/receptive_field.
PUBLISHED = {
    "block1_conv1": (3, 1, 1),
    "block1_pool": (6, 2, 2),
    "block2_conv1": (10, 2, 4),
    "block2_pool": (16, 4, 6),
    "block3_conv1": (24, 4, 10),
    "block3_conv2": (32, 4, 14),
    "block3_pool": (44, 8, 18),
    "block4_conv1": (60, 8, 26),
    "block4_conv2": (76, 8, 34),
    "block4_conv3": (92, 8, 42),
    "block4_pool": (100, 16, 42),
    "block5_conv1": (132, 16, 58),
    "block5_conv2": (164, 16, 74),
    "block5_conv3": (196, 16, 90),
    "block5_pool": (212, 32, 90),
}


def chain(*parts: keras.layers.Layer) -> Network:
    """A network of layers in a row, given the image as it is; the last is named `last`."""
    inputs = output = keras.Input((None, None, 1))
    for part in parts:
        output = part(output)
    model = keras.Model(inputs, L.Identity(name="last")(output))
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 0.5, np.float32))
    return Network("tiny", model, lambda image: image, Provenance("", ""))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_fields_of_the_real_network_are_the_published_ones(vgg16, name):
    field = receptive_field(vgg16, name)
    assert field.rows == field.columns == Axis(*PUBLISHED[name])


def test_the_box_of_block4_conv3_is_the_published_formula(vgg16):
    field = receptive_field(vgg16, "block4_conv3")
    for row, column in ((0, 0), (3, 11), (27, 5)):
        assert field.box(row, column) == Box(
            8 * row - 42, 8 * column - 42, 8 * row + 50, 8 * column + 50
        )


def test_a_box_is_exact_where_rows_and_columns_differ():
    tiny = chain(
        L.Conv2D(1, (3, 2), strides=(2, 1), padding="valid"),  # rows 3/2, columns 2/1
        L.AveragePooling2D((1, 3), strides=(1, 3)),  # rows 3/2, columns 4/3
        L.Conv2D(1, (2, 3), dilation_rate=(3, 1), padding="same"),  # extent 4 and 3, padding 1, 1
    )
    field = receptive_field(tiny, "last")
    assert field == ReceptiveField(Axis(9, 2, 2), Axis(10, 3, 3))
    assert field.box(5, 7) == Box(8, 18, 17, 28)


CHAINS = {
    "strides": [L.Conv2D(2, (3, 2), strides=(2, 1)), L.Conv2D(1, (2, 5), strides=(1, 3))],
    "same padding": [L.Conv2D(2, (4, 3), padding="same"), L.Conv2D(1, (3, 2), padding="same")],
    "dilation": [L.Conv2D(2, (2, 3), dilation_rate=(3, 2), padding="same"), L.Conv2D(1, (2, 1))],
    "pooling": [L.AveragePooling2D((2, 3)), L.Conv2D(1, 3, padding="same"), L.AveragePooling2D(2)],
    "overlapping pooling": [L.AveragePooling2D((3, 2), strides=1, padding="same"), L.ReLU()],
    "pointwise": [L.Conv2D(2, 1), L.ReLU(), L.Conv2D(1, (1, 3)), L.LeakyReLU()],
}


@pytest.mark.parametrize("parts", CHAINS.values(), ids=CHAINS)
def test_a_box_bounds_exactly_the_pixels_with_a_gradient(parts):
    tiny = chain(*parts)
    field, height, width = receptive_field(tiny, "last"), 29, 37
    image = tf.Variable(np.ones((1, height, width, 1), np.float32))
    rows, columns = tiny.model(image).shape[1:3]
    whole = 0
    for row in (0, 1, rows // 2, rows - 1):
        for column in (0, columns // 2, columns - 1):
            with tf.GradientTape() as tape:
                value = tf.reduce_sum(tiny.model(image)[0, row, column])
            support = np.argwhere(tape.gradient(value, image).numpy()[0, ..., 0])
            top, left = support.min(axis=0)
            bottom, right = support.max(axis=0) + 1
            box = field.box(row, column)
            # Beyond an edge a hole of a dilated kernel, or a rest too small to pool, may lie.
            assert top == box.top if box.top >= 0 else top >= 0
            assert left == box.left if box.left >= 0 else left >= 0
            assert bottom == box.bottom if box.bottom <= height else bottom <= height
            assert right == box.right if box.right <= width else right <= width
            whole += min(box.top, box.left) >= 0 and box.bottom <= height and box.right <= width
    assert whole


@pytest.mark.parametrize(
    ("name", "row", "column"),
    [("block2_conv2", 11, 14), ("block3_conv3", 8, 11), ("block4_conv3", 6, 9)],
)
def test_only_pixels_inside_the_box_matter_to_the_real_network_and_its_edges_do(
    vgg16, name, row, column
):
    box = receptive_field(vgg16, name).box(row, column)
    height, width = 109, 127  # large enough that every box lies within
    assert box.top > 0 and box.left > 0 and box.bottom < height and box.right < width
    generator = np.random.default_rng(0)
    image = generator.random((height, width, 3), np.float32)
    inside = slice(box.top, box.bottom), slice(box.left, box.right)

    outside = 1 - image
    outside[inside] = image[inside]
    edges = []
    for line in (
        (slice(box.top, box.top + 1), inside[1]),
        (slice(box.bottom - 1, box.bottom), inside[1]),
        (inside[0], slice(box.left, box.left + 1)),
        (inside[0], slice(box.right - 1, box.right)),
    ):
        changed = image.copy()
        changed[line] += 100  # far beyond an image, so that no maximum hides it
        edges.append(changed)
    values = tap(vgg16, [name], pre=True)(np.stack([image, outside, *edges]))[name]
    before, without, *after = values.numpy()[:, row, column]
    np.testing.assert_allclose(without, before, rtol=1e-4, atol=1e-4 * np.abs(before).max())
    for value in after:
        assert np.abs(value - before).max() > 0.01 * np.abs(before).max()


def test_what_cannot_be_followed_counts_as_all_of_the_image():
    tiny = chain(L.Conv2D(1, 3), L.Lambda(abs, name="odd"), L.ReLU())
    assert receptive_field(tiny, "last") is None


def test_zeros_and_cuts_shift_the_field():
    tiny = chain(L.ZeroPadding2D(((2, 1), (0, 3))), L.Conv2D(1, 3), L.Cropping2D(((1, 0), (2, 2))))
    assert receptive_field(tiny, "last") == ReceptiveField(Axis(3, 1, 1), Axis(3, 1, -2))


def test_where_ways_divide_the_field_is_the_hull_of_both():
    image = keras.Input((None, None, 1))
    wide, early = L.Conv2D(1, (5, 1), padding="same")(image), L.Conv2D(1, (1, 3))(image)
    late = L.ZeroPadding2D(((0, 0), (0, 2)))(early)
    model = keras.Model(image, L.Add(name="meet")([wide, late]))
    network = Network("tiny", model, lambda pixels: pixels, Provenance("", ""))
    assert receptive_field(network, "meet") == ReceptiveField(Axis(5, 1, 2), Axis(3, 1, 0))


def test_a_gate_that_sees_all_of_the_image_is_named_beside_the_box():
    image = keras.Input((None, None, 3))
    value = L.Conv2D(4, 3, name="conv")(image)
    squeezed = L.GlobalAveragePooling2D(keepdims=True, name="squeeze")(value)
    gate = L.Conv2D(4, 1, activation="sigmoid", name="gate")(squeezed)
    last = L.Conv2D(2, 3, name="last")(L.Multiply(name="gated")([value, gate]))
    network = build("tiny", keras.Model(image, last), "none", Provenance("", ""))
    assert receptive_field(network, "conv").whole == ()
    assert receptive_field(network, "gate") is None
    field = receptive_field(network, "last")
    assert field == ReceptiveField(Axis(5), Axis(5), ("squeeze",))
    assert field.words == (
        "5 x 5 pixels, a position every 1; besides, all of the image counts through squeeze"
    )


@pytest.mark.parametrize("size", [(16, 21), (17, 18), (30, 15)])
@pytest.mark.parametrize("part", [L.Conv2D, L.AveragePooling2D, L.DepthwiseConv2D])
def test_a_stride_with_same_padding_begins_where_the_size_of_the_image_says(part, size):
    first = (1,) if part is L.Conv2D else ()
    parts = [part(*first, (3, 4), strides=2, padding="same") for _ in range(2)]
    tiny = chain(*parts, L.Conv2D(1, 3, padding="same"))
    field = receptive_field(tiny, "last", size)
    assert (field.rows.size, field.rows.stride, field.columns.size) == (15, 4, 18)
    image = tf.Variable(np.ones((1, *size, 1), np.float32))
    rows, columns = tiny.model(image).shape[1:3]
    for row, column in np.ndindex(rows, columns):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tiny.model(image)[0, row, column])
        support = np.argwhere(tape.gradient(value, image).numpy()[0, ..., 0])
        box = field.box(row, column)
        assert support.min(axis=0).tolist() == [max(box.top, 0), max(box.left, 0)]
        last = [min(box.bottom, size[0]) - 1, min(box.right, size[1]) - 1]
        assert support.max(axis=0).tolist() == last


def test_without_a_size_a_field_is_that_of_sides_which_the_strides_divide():
    tiny = chain(L.Conv2D(1, 3, strides=2, padding="same"), L.MaxPooling2D(2, padding="same"))
    assert receptive_field(tiny, "last") == receptive_field(tiny, "last", (16, 64))


@pytest.mark.parametrize(
    ("rows", "columns", "side"),
    [
        (Axis(3, 1, 1), Axis(3, 1, 1), 64),  # never below 64
        (Axis(92, 8, 42), Axis(92, 8, 42), 96),  # whole strides
        (Axis(96, 8, 42), Axis(60, 8, 42), 96),  # the longer axis
        (Axis(60, 8, 42), Axis(97, 8, 42), 104),
        (Axis(196, 16, 90), Axis(196, 16, 90), 128),  # never above 128
    ],
)
def test_a_canvas_is_the_field_in_whole_strides_within_limits(rows, columns, side):
    assert canvas(ReceptiveField(rows, columns)) == side


def test_the_canvases_of_the_real_network(vgg16):
    names = ("block1_conv1", "block3_conv3", "block4_conv2", "block4_conv3", "block5_conv1")
    sides = [canvas(receptive_field(vgg16, name)) for name in names]
    assert sides == [64, 64, 80, 96, 128]


# Maps that are made larger

LARGER = [
    *(L.Conv2DTranspose(4, kernel, strides=stride, padding=padding, name="larger")
      for kernel, stride, padding in (
          (2, 2, "same"), (3, 2, "same"), (3, 2, "valid"), (4, 2, "same"), (5, 3, "valid"),
          (3, 1, "valid"), (4, 1, "same"), ((2, 5), (1, 3), "same"))),
    L.Conv2DTranspose(4, 3, dilation_rate=2, name="larger"),
    L.Conv2DTranspose(4, 3, strides=2, output_padding=1, padding="same", name="larger"),
    L.Conv2DTranspose(4, 5, strides=3, output_padding=0, name="larger"),
    L.UpSampling2D(2, name="larger"), L.UpSampling2D((2, 4), name="larger"),
    L.UpSampling2D(3, name="larger"),
    L.UpSampling2D(2, interpolation="bilinear", name="larger"),
    L.UpSampling2D((3, 2), interpolation="bilinear", name="larger"),
]  # fmt: skip


@pytest.mark.parametrize("larger", LARGER, ids=str)
def test_a_box_holds_every_pixel_that_counts_where_a_map_is_made_larger(larger):
    image = keras.Input((None, None, 3))
    value = L.Conv2D(3, 3, strides=2, padding="same")(image)
    value = L.Conv2D(2, 3, name="behind")(type(larger).from_config(larger.get_config())(value))
    value = L.Conv2D(2, 3, strides=2, padding="same", name="deep")(L.MaxPooling2D(2)(value))
    model, random = keras.Model(image, value), np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.uniform(0.1, 1, weight.shape))
    network, size = build("tiny", model, "none", Provenance("", "")), (26, 33)
    pixels = tf.Variable(random.random((1, *size, 3), np.float32))
    for name in ("larger", "behind", "deep"):
        field, look = receptive_field(network, name, size), tap(network, [name])
        rows, columns = look(pixels)[name].shape[1:3]
        some = {(int(random.integers(rows)), int(random.integers(columns))) for _ in range(12)}
        for row, column in {(0, 0), (rows - 1, columns - 1)} | some:
            with tf.GradientTape() as tape:
                value = tf.reduce_sum(look(pixels)[name][0, row, column])
            seen = tape.gradient(value, pixels).numpy()[0].any(axis=-1)
            box, (top, left) = field.box(row, column), np.argwhere(seen).min(0)
            bottom, right = np.argwhere(seen).max(0) + 1
            assert box.top <= top and box.left <= left
            assert box.bottom >= bottom and box.right >= right
            # Not much more than what counts: the largest value alone is pooled.
            assert box.bottom - box.top <= bottom - top + 12 or box.top < 0 or box.bottom > size[0]


def test_what_is_enlarged_by_more_than_neighbours_sees_all_of_the_image():
    image = keras.Input((None, None, 3))
    value = L.UpSampling2D(2, interpolation="bicubic", name="larger")(L.Conv2D(2, 3)(image))
    network = build("tiny", keras.Model(image, value), "none", Provenance("", ""))
    assert receptive_field(network, "larger") is None


def test_a_field_that_leaves_out_what_counts_is_refused(monkeypatch):
    image = keras.Input((None, None, 3))
    value = L.Conv2D(4, 3, activation="relu")(image)
    value = L.UpSampling2D(2)(L.MaxPooling2D(2)(value))
    model = keras.Model(image, L.Conv2D(4, 3, name="last")(value))
    network = build("own", model, "none", Provenance("", ""))
    field, outside = position.verified(network, "last", (24, 31))
    assert field == receptive_field(network, "last", (24, 31)) and outside == 0
    through = position._through

    def narrow(operation, *given):
        found = through(operation, *given)
        large = type(operation) is L.UpSampling2D
        return tuple(replace(axis, size=axis.size - 1) for axis in found) if large else found

    monkeypatch.setattr(position, "_through", narrow)
    with pytest.raises(ValueError, match=r"^last of own depends on pixels outside of the \d"):
        position.verified(network, "last", (24, 31))
    _, outside = position.verified(replace(network, error=None), "last", (24, 31))
    assert outside is None  # model.check=false
