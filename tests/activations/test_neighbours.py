"""Features, neighbours and how often they agree, against plain arithmetic and planted cases."""

import numpy as np
import pytest

from convscope.activations.neighbours import (
    agreement,
    features_of,
    nearest,
    pooler,
    same_kind,
)
from convscope.data.wordnet import taxonomy
from convscope.models.backend import keras
from convscope.models.network import build
from convscope.models.zoo.checkpoints import Provenance

L = keras.layers


def network(*parts, size=(None, None)):
    keras.utils.set_random_seed(1)
    image = value = keras.Input((*size, 3))
    for part in parts:
        value = part(value)
    return build("tiny", keras.Model(image, value), "none", Provenance("", ""))


def test_features_are_those_of_the_end_or_of_the_widest_layer():
    first, last = L.Conv2D(24, 3, name="first"), L.Conv2D(9, 3, name="last")
    assert features_of(network(first, last, L.MaxPooling2D(name="end"))) == "end"
    narrow = L.Conv2D(24, 3, name="a"), L.Conv2D(24, 3, name="b"), L.Conv2D(1, 1, name="mask")
    assert features_of(network(*narrow)) == "b"


@pytest.mark.parametrize("size", [(None, None), (21, 18)])
def test_features_are_means_over_positions(size):
    parts = [L.Conv2D(9, 3, activation="relu", name="maps")]
    parts += [L.Flatten(), L.Dense(8, name="row")] if size[0] else []
    made = network(*parts, size=size)
    pixels = np.random.default_rng(0).random((3, 21, 18, 3), np.float32)
    maps = np.asarray(made.graphs[-1]["maps.relu"].output.shape)
    assert maps[-1] == 9
    model = keras.Model(made.model.inputs[0], made.find("maps").output)
    wanted = np.maximum(np.asarray(model(pixels)), 0).mean((1, 2))
    np.testing.assert_allclose(pooler(made, "maps.relu")(pixels), wanted, rtol=1e-5)
    if size[0]:
        assert pooler(made, "row")(pixels).shape == (3, 8)


def test_neighbours_are_those_of_a_plain_loop_and_never_the_photograph_itself():
    features = np.random.default_rng(0).normal(size=(1100, 7)).astype(np.float32)
    features[17], features[18] = 0, features[3]
    places, cosines = nearest(features, 4)
    roots = np.sign(features) * np.sqrt(np.abs(features))
    for at in (0, 3, 17, 1030, 1099):
        alike = [
            -np.inf if other == at else float(
                roots[at] @ one / max(np.linalg.norm(roots[at]) * np.linalg.norm(one), 1e-9)
            )
            for other, one in enumerate(roots)
        ]  # fmt: skip
        np.testing.assert_allclose(cosines[at], np.sort(alike)[::-1][:4], atol=1e-5)
        assert at not in places[at]
    assert places[3, 0] == 18 and places[18, 0] == 3
    assert places[17].tolist() == [0, 1, 2, 3]  # nothing is near what has no features
    assert nearest(features[:3], 9)[0].shape == (3, 2)


def test_classes_are_of_a_kind_below_one_narrow_group():
    known = taxonomy()
    named = {known.name(one): one for one in known.classes}
    beagle, boxer, tench, hen = (named[one] for one in ("beagle", "boxer", "tench", "hen"))
    found = same_kind([beagle, boxer, tench, "something", hen, "anything"])
    assert found[0].tolist() == [True, True, False, False, False, False]
    assert found[3].tolist() == [False, False, False, True, False, False]
    np.testing.assert_array_equal(found, found.T)


def planted(share, seed=0, count=120, classes=6):
    """Photographs of six classes; that share of them has a neighbour of its own class."""
    random = np.random.default_rng(seed)
    codes = np.repeat(np.arange(classes), count // classes)
    own = [random.choice(np.flatnonzero((codes == codes[at]) & (np.arange(count) != at)))
           for at in range(count)]  # fmt: skip
    other = [random.choice(np.flatnonzero(codes != codes[at])) for at in range(count)]
    return codes, np.where(random.random(count) < share, own, other)[:, None]


def test_what_is_planted_is_found_and_chance_and_control_stand_beside_it():
    codes, near = planted(0.8)
    _, control = planted(0.3, seed=1)
    found = agreement("class", np.eye(6, dtype=bool), codes, near, control)
    assert (found.photographs, found.count) == (120, 1)
    assert found.share == np.mean(codes[near[:, 0]] == codes)
    assert found.low < found.share < found.high and found.high - found.low < 0.2
    assert found.chance == pytest.approx(19 / 119, abs=0.01)
    assert found.control == np.mean(codes[control[:, 0]] == codes)
    assert found.p == found.p_control == 0.001 and found.clear and not found.few


@pytest.mark.parametrize(("share", "beside"), [(19 / 119, 0.3), (0.5, 0.5), (0.5, 0.9)])
def test_what_is_no_better_than_chance_or_than_the_control_is_not_clear(share, beside):
    codes, near = planted(share)
    _, control = planted(beside, seed=2)
    found = agreement("class", np.eye(6, dtype=bool), codes, near, control)
    assert not found.clear


def test_p_of_nothing_is_evenly_spread():
    found = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        codes = np.repeat(np.arange(5), 8)
        near = np.array([random.choice(np.delete(np.arange(40), at), 3) for at in range(40)])
        found.append(agreement("class", np.eye(5, dtype=bool), codes, near, None, seed).p)
    assert 0.35 < np.mean(found) < 0.65
    assert np.mean(np.array(found) < 0.05) < 0.15


def test_only_photographs_with_another_of_theirs_count():
    codes, near = np.array([0, 0, 1, 2]), np.array([[1], [2], [0], [0]])
    found = agreement("class", np.eye(3, dtype=bool), codes, near, None)
    assert (found.photographs, found.share, found.control, found.p_control) == (2, 0.5, None, None)
    assert agreement("class", np.eye(4, dtype=bool), np.arange(4), near, None) is None
