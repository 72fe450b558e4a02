"""Optima that excite a unit as photographs do are evidence; fooling ones are marked."""

import math
import re

import numpy as np
import pytest

from convscope.activations.recorder import counter, summarizer
from convscope.data import dataset
from convscope.models.backend import keras
from convscope.models.network import Network, build, tap
from convscope.models.position import receptive_field
from convscope.models.zoo.checkpoints import Provenance
from convscope.optvis.reliability import (
    Reliability,
    examine,
    profiles,
    similarity,
    way,
)
from convscope.unit import Unit

L = keras.layers


def reliability(below: float, *similarity: float) -> Reliability:
    layers = tuple(f"layer{number}" for number in range(len(similarity)))
    return Reliability(Unit("top", 3), 17.0, below, layers, np.array(similarity))


@pytest.mark.parametrize(
    ("one", "verdict", "reason"),
    [
        (reliability(0.9995, -0.2, 0.8), "evidence", "similarity to exemplars at layer1 is 0.80."),
        (reliability(0.999, 0.5), "evidence", "It exceeds 99.9 % of positions"),
        (reliability(0.9985, 0.9), "no evidence", "It exceeds 99.85 % of .*, less than 99.9 %."),
        (reliability(0.9995, 0.9, 0.49), "no evidence", "at layer1 is 0.49, below 0.5."),
        (reliability(0.9995, 0.9, math.nan), "no evidence", "no more alike than any photographs"),
        (reliability(1.0), "evidence", "no layer lies between it and the image"),
    ],
)
def test_the_rule_is_a_quantile_and_a_similarity_at_the_layer_below(
    one: Reliability, verdict: str, reason: str
) -> None:
    assert one.verdict == verdict
    assert re.search(reason, one.reason)
    assert one.row["verdict"] == verdict


def test_similarity_is_one_for_an_exemplar_and_zero_for_any_photograph() -> None:
    random = np.random.default_rng(0)
    kind = random.normal(size=200)
    exemplars = kind + random.normal(size=(30, 200))
    others = random.normal(size=(40, 200))
    assert similarity(np.exp(kind + random.normal(size=200)), exemplars, others) == pytest.approx(
        1, abs=0.15
    )
    assert similarity(random.normal(size=200), exemplars, others) == pytest.approx(0, abs=0.15)
    assert similarity(-kind, exemplars, others) < -0.9
    assert similarity(kind, exemplars, others) > 1  # nearer to all of them than they are
    assert math.isnan(similarity(kind, others[:1].repeat(3, 0), others[:1].repeat(4, 0)))


def small() -> Network:
    """Two convolutions and a pooling between them, on images of any size."""
    source = keras.Input((None, None, 3))
    values = L.Conv2D(4, 3, padding="same", activation="relu", name="a")(source)
    values = L.MaxPooling2D(2, name="pool")(values)
    values = L.Conv2D(5, 3, padding="same", activation="relu", name="b")(values)
    values = L.Conv2D(2, 3, padding="same", name="c")(values)
    keras.utils.set_random_seed(0)
    return build("small", keras.Model(source, values), "none", Provenance("random", ""))


def test_profiles_are_means_over_what_feeds_the_position() -> None:
    network = small()
    assert way(network, "c") == ("a", "b") and way(network, "a") == ()
    pixels = np.random.default_rng(0).random((2, 14, 18, 3), np.float32)
    found = profiles(network, "c", pixels, np.array([[3, 4], [0, 8]]))
    maps = {name: value.numpy() for name, value in tap(network, ["a", "b"])(pixels).items()}
    assert receptive_field(network, "c").rows.size == 12
    assert np.allclose(found["b"][0], maps["b"][0, 2:5, 3:6].mean(axis=(0, 1)), atol=1e-6)
    assert np.allclose(found["b"][1], maps["b"][1, :2, 7:].mean(axis=(0, 1)), atol=1e-6)
    assert np.allclose(found["a"][0], maps["a"][0, 2:12, 4:14].mean(axis=(0, 1)), atol=1e-6)
    assert np.allclose(found["a"][1], maps["a"][1, :6, 12:].mean(axis=(0, 1)), atol=1e-6)
    assert profiles(network, "a", pixels, np.array([[3, 4], [0, 8]])) == {}


def examined(
    network: Network, layer: str, pixels: np.ndarray, optima: list[tuple[int, np.ndarray]]
) -> list[Reliability]:
    """What images made for filters of a layer are worth beside photographs."""
    summarize = summarizer(network, layer)
    batches = [pixels[at : at + 32] for at in range(0, len(pixels), 32)]
    parts = [summarize(batch) for batch in batches]
    peak, row, column = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("values", "rows", "columns")
    )
    filters = [filter for filter, _ in optima]
    best = [
        float(summarize(image[None].astype(np.float32) / 255).values[0, filter])
        for filter, image in optima
    ]
    count = counter(network, layer, filters)
    low, totals = zip(*(count(batch, np.array(best)) for batch in batches), strict=True)
    random = np.random.default_rng(0)
    some, places = random.permutation(len(pixels))[:40], random.integers(0, row.max() + 1, (40, 2))
    others, found = profiles(network, layer, pixels[some], places), []
    for (filter, image), below in zip(optima, np.sum(low, axis=0) / sum(totals), strict=True):
        top = np.argsort(-peak[:, filter])[:20]
        where = np.stack([row[top, filter], column[top, filter]], axis=1)
        best = profiles(network, layer, pixels[top], where)
        found.append(examine(network, Unit(layer, filter), image, best, others, float(below)))
    return found


def climbed(network: Network, units: list[Unit], steps: int) -> list[np.ndarray]:
    """The optima of some units, by the recipe that every run takes."""
    from dataclasses import replace
    from pathlib import Path
    from typing import Any

    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from convscope.optvis import recipe
    from convscope.optvis.ascent import ascend
    from convscope.settings import AscentSettings, read

    conf = Path(__file__).resolve().parents[2] / "conf"
    with initialize_config_dir(str(conf), version_base="1.3"):
        values: Any = OmegaConf.to_container(compose("config").ascent)
    settings = replace(read(AscentSettings, values, "ascent"), steps=steps)
    climb = recipe.recipe(settings, network, recipe.aim("channel"), (64, 64))
    for step in ascend(climb, recipe.goals(units, (1,), 1), 0, settings.attempts):
        found = step.finished
    return [optimum.image for optimum in found]


@pytest.fixture(scope="module")
def pixels(photographs) -> np.ndarray:
    return np.concatenate([batch.pixels for batch in dataset.batches(photographs, 112, 32)])


@pytest.mark.exhaustive
def test_ordinary_optima_of_a_real_network_are_evidence(vgg16: Network, pixels: np.ndarray) -> None:
    units = [Unit("block3_conv2", filter) for filter in (3, 17, 40, 100)]
    optima = list(zip((3, 17, 40, 100), climbed(vgg16, units, 96), strict=True))
    # Noise excites a unit less than photographs do.
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    *found, weak = examined(vgg16, "block3_conv2", pixels, [*optima, (3, noise)])
    assert all(one.strong for one in found)
    assert sum(one.evidence for one in found) >= 3
    assert weak.verdict == "no evidence"


def fooling(vgg16: Network, shown: int, real: int, bias: float) -> Network:
    """A real network with a unit that answers to one channel, and shows another one.

    Its inputs are all channels of a layer and a gate on top of one of them, which no photograph
    opens: a huge weight behind a bias that only what is made by ascent overcomes.
    """
    below = vgg16.find("block2_conv2").output
    channels = below.shape[-1]
    gate, unit = L.Conv2D(channels + 1, 1, activation="relu", name="gate"), L.Conv2D(1, 1, name="u")
    values = unit(gate(below))
    kernel = np.concatenate([np.eye(channels), np.zeros((channels, 1))], axis=1)
    kernel[shown, channels] = 250
    biases = np.zeros(channels + 1)
    biases[channels] = -250 * bias
    gate.set_weights([kernel[None, None], biases])
    own = np.zeros((1, 1, channels + 1, 1))
    own[0, 0, [real, channels]] = 1
    unit.set_weights([own, np.zeros(1)])
    model = keras.Model(vgg16.model.inputs, values)
    return build("fooling", model, vgg16.mode, Provenance("fooling", ""))


@pytest.mark.exhaustive
def test_a_planted_fooling_circuit_is_no_evidence(vgg16: Network, pixels: np.ndarray) -> None:
    shown, real = 17, 80
    summarize = summarizer(vgg16, "block2_conv2")
    peaks = np.concatenate([summarize(pixels[at : at + 32]).values for at in range(0, 206, 32)])
    network = fooling(vgg16, shown, real, bias=1.05 * float(peaks[:, shown].max()))
    # On photographs it is the real unit and nothing else.
    own = summarizer(network, "u")(pixels[:64]).values[:, 0]
    assert np.allclose(own, np.maximum(peaks[:64, real], 0), rtol=1e-3, atol=1e-2)
    images_of = climbed(vgg16, [Unit("block2_conv2", filter) for filter in (shown, real)], 96)
    (fooled,) = examined(network, "u", pixels, [(0, images_of[0])])
    assert fooled.strong  # its activation alone would not give it away
    assert fooled.verdict == "no evidence"
    # Of the units that they were made for, both images are evidence.
    optima = list(zip((shown, real), images_of, strict=True))
    found = examined(vgg16, "block2_conv2", pixels, optima)
    assert [one.verdict for one in found] == ["evidence", "evidence"]
