"""The table of layers: what one may ask about, and where inputs come from."""

import pytest

from convscope.models.backend import keras
from convscope.models.network import build
from convscope.models.zoo.checkpoints import Provenance
from convscope.report.layers import COLUMNS, counted, inventory, layers_page, lines, rows

L = keras.layers


@pytest.fixture(scope="module")
def entries():
    image = keras.Input((32, 32, 3))
    first = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, strides=2, name="first")(image)))
    depth = L.DepthwiseConv2D((3, 1), padding="same", name="depth")(first)
    gate = L.GlobalAveragePooling2D(keepdims=True, name="squeeze")(depth)
    gate = L.Conv2D(8, 1, activation="sigmoid", name="gate")(gate)
    gated = L.Multiply(name="gated")([depth, gate])
    stream = L.Add(name="stream")([first, gated])
    groups = L.Conv2D(4, 1, groups=2, name="groups")(stream)
    beside = L.Concatenate(name="beside")([groups, stream])
    row = L.Flatten(name="row")(L.MaxPooling2D()(beside))
    last = L.Dense(5, activation="softmax", name="last")(row)
    network = build("tiny", keras.Model(image, last), "none", Provenance("", ""), "abcde", (32, 32))
    return inventory(network)


def test_each_layer_that_makes_channels_has_its_line(entries):
    found = {
        one.layer: (one.kind, one.filters, one.kernel, one.stride, one.field, one.apart)
        for one in entries
    }
    assert found == {
        "first": ("convolution", 8, "3x3", "2x2", "3x3", "2x2"),
        "depth": ("depthwise convolution", 8, "3x1", "1x1", "7x3", "2x2"),
        "gate": ("convolution", 8, "1x1", "1x1", "all", ""),
        "gated": ("product", 8, "", "", "7x3", "2x2"),
        "stream": ("sum", 8, "", "", "7x3", "2x2"),
        "groups": ("convolution in 2 groups", 4, "1x1", "1x1", "7x3", "2x2"),
        "beside": ("concatenation", 12, "", "", "7x3", "2x2"),
        "last": ("classifier", 5, "", "", "all", ""),
    }


def test_a_transposed_convolution_is_called_so_and_its_stride_is_a_part_of_one():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, L.Conv2DTranspose(4, (4, 2), strides=(3, 1), name="up")(image))
    (found,) = inventory(build("tiny", model, "none", Provenance("", "")))
    assert (found.kind, found.kernel, found.stride) == ("transposed convolution", "4x2", "1/3x1")
    assert (found.inputs, found.circuit, found.apart) == ("red, green, blue", True, "1/3x1")


def test_inputs_lead_to_the_layers_that_made_them(entries):
    assert {one.layer: (one.inputs, one.channels) for one in entries} == {
        "first": ("red, green, blue", 3),
        "depth": ("first", 8),
        "gate": ("depth", 8),
        "gated": ("depth (8), gate (8)", 16),
        "stream": ("first (8), gated (8)", 16),
        "groups": ("stream", 8),
        "beside": ("groups (4), stream (8)", 12),
        "last": ("row", 7 * 7 * 12),
    }


def test_what_counts_besides_the_field_and_what_is_tied_to_a_size_is_said(entries):
    known = {one.layer: one for one in entries}
    assert [name for name, one in known.items() if one.whole] == [
        "gated", "stream", "groups", "beside",
    ]  # fmt: skip
    assert known["stream"].whole == "squeeze"
    assert {name: one.size for name, one in known.items() if one.size} == {"last": "32"}
    assert [name for name, one in known.items() if not one.circuit] == [
        "gated", "stream", "beside", "last",
    ]  # fmt: skip


def test_the_lines_of_a_terminal_are_aligned_and_cut_long_lists(entries):
    found = lines(entries, width=12)
    assert found[0].split() == [*COLUMNS[:4], "stride", "field", "apart", "inputs"]
    assert found[-1].startswith("* besides, all of the image counts")
    words = ("inputs", "red", "first")
    places = {line.rindex(word) for line, word in zip(found[:3], words, strict=True)}
    assert len(places) == 1
    assert "... 16 channels" in found[4] and "7x3*" in found[4]


def test_the_rows_of_the_table_have_all_columns(entries):
    assert all(len(row) == len(COLUMNS) for row in rows(entries))


def test_the_page_lists_every_layer_and_a_command_that_can_be_typed(entries):
    page = layers_page(entries, {"network": "tiny"}, {"sum": 1, "dense": 2}, ["model=x"], {})
    for one in entries:
        assert f"<code>{one.layer}</code>" in page
    assert "1 sum, 2 dense layers." in page
    assert "python run.py stage=circuit model=x layer=groups filter=0" in page
    assert page.count("no kernel, so no circuit") == 4
    assert page.count("images of 32 pixels alone") == 1
    with pytest.raises(ValueError, match=r"^A page of layers needs one at least\.$"):
        layers_page([], {}, {}, [], {})


def test_kinds_are_counted_in_words():
    assert counted("convolution", 1) == "1 convolution"
    assert counted("convolution in 4 groups", 3) == "3 convolutions in 4 groups"
    assert counted("dense", 1) == "1 dense layer"
