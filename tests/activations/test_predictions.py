"""What a network takes photographs for, from probabilities made by hand."""

from pathlib import Path

import colours
import numpy as np
import pytest

from convscope.activations.predictions import (
    Guess,
    Prediction,
    Rate,
    Target,
    class_names,
    mistakes,
    predict,
    predictor,
    rate,
    targets,
)
from convscope.data.wordnet import taxonomy
from convscope.models.backend import keras
from convscope.models.network import build, cast
from convscope.models.zoo.checkpoints import Provenance
from convscope.stats.inference import wilson

KEYS = ("a", "b", "c", "d", "e")
NAMES = ("A", "B", "C", "D", "E")
SHARES = np.array([0.1, 0.4, 0.05, 0.25, 0.2], np.float32)


def prediction(shares, places=None, truth="b", top=3):
    target = None if places is None else Target(frozenset(places), "key")
    found = predict(np.asarray(shares, np.float32), target, KEYS, NAMES, top)
    return Prediction(Path("x.png"), "x.png", truth, truth, *found)


def test_classes_come_most_probable_first_and_know_whether_they_are_right():
    guesses, rank, probability = predict(SHARES, Target(frozenset({3}), "key"), KEYS, NAMES, 3)
    assert guesses == (
        Guess("b", "B", float(SHARES[1]), False),
        Guess("d", "D", 0.25, True),
        Guess("e", "E", float(SHARES[4]), False),
    )
    assert (rank, probability) == (2, 0.25)


def test_the_truth_has_its_rank_and_probability_beyond_what_is_kept():
    guesses, rank, probability = predict(SHARES, Target(frozenset({2}), "key"), KEYS, NAMES, 1)
    assert len(guesses) == 1 and guesses[0].right is False
    assert (rank, probability) == (5, pytest.approx(0.05))


def test_any_class_of_a_group_is_right_and_their_probabilities_add_up():
    guesses, rank, probability = predict(SHARES, Target(frozenset({0, 3}), "group"), KEYS, NAMES, 9)
    assert [guess.right for guess in guesses] == [False, True, False, True, False]
    assert (rank, probability) == (2, pytest.approx(0.35))


def test_without_truth_nothing_is_right_or_wrong():
    guesses, rank, probability = predict(SHARES, None, KEYS, NAMES, 2)
    assert [guess.right for guess in guesses] == [None, None]
    assert rank is probability is None


def test_of_equal_probabilities_the_earlier_class_stands_first():
    guesses, rank, _ = predict(np.full(5, 0.2), Target(frozenset({1}), "key"), KEYS, NAMES, 5)
    assert [guess.key for guess in guesses] == list(KEYS)
    assert rank == 2


@pytest.mark.parametrize(
    ("places", "truth", "state", "correct"),
    [
        ({1}, "b", "right", True),
        ({2}, "c", "wrong", False),
        (None, "zebra", "unknown", None),
        (None, None, "unlabelled", None),
    ],
)
def test_a_photograph_is_right_wrong_unknown_or_unlabelled(places, truth, state, correct):
    one = prediction(SHARES, places, truth)
    assert (one.state, one.correct) == (state, correct)


def test_the_rate_counts_those_whose_truth_is_known():
    found = [prediction(SHARES, {place}) for place in (1, 1, 3, 2)] + [prediction(SHARES)]
    assert rate(found) == Rate(2, 4)
    assert rate(found, 2) == Rate(3, 4)
    assert rate(found, 5) == Rate(4, 4)
    assert rate(found[-1:]) == Rate(0, 0)


def test_mistakes_come_most_confident_first():
    less = prediction([0.5, 0.2, 0.1, 0.1, 0.1], {1})
    more = prediction([0.8, 0.1, 0.1, 0, 0], {1})
    assert mistakes([less, prediction(SHARES, {1}), more, prediction(SHARES)]) == [more, less]


def noise(count, height=9, width=7):
    random = np.random.default_rng(3)
    return random.random((count, height, width, 3), np.float32)


def test_probabilities_are_the_softmax_of_the_logits():
    pixels = noise(5)
    found = predictor(colours.network())(pixels)
    assert found.dtype == np.float32 and found.shape == (5, 4)
    np.testing.assert_allclose(found, colours.probabilities(pixels), rtol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)


def test_a_photograph_gives_the_same_bits_in_batches_of_any_length_and_by_one_graph(monkeypatch):
    network, traced = colours.network(), []
    shown = type(network.preprocess).call
    look, pixels = predictor(network), noise(8)
    monkeypatch.setattr(
        type(network.preprocess), "call", lambda *given: traced.append(1) or shown(*given)
    )
    whole = look(pixels)
    for size in (1, 3, 7):
        parts = [look(pixels[at : at + size]) for at in range(0, 8, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    look(noise(2, 16, 12))
    assert len(traced) == 1


def test_logits_beyond_what_float32_can_raise_e_to_still_give_probabilities():
    network = colours.network()
    dense = network.model.get_layer("predictions")
    dense.set_weights([1000 * dense.get_weights()[0], dense.get_weights()[1]])
    found = predictor(network)(np.ones((1, 4, 4, 3), np.float32) * np.float32([1, 0.5, 0]))
    np.testing.assert_array_equal(found, [[1, 0, 0, 0]])


def test_a_classifier_with_a_softmax_of_its_own_is_asked_before_it():
    image = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    dense = keras.layers.Dense(4, activation="softmax", name="predictions")
    model = keras.Model(image, dense(pooled))
    dense.set_weights([colours.GAIN * np.eye(3, 4), np.float32(colours.BIAS)])
    made = build("own", model, "unit", Provenance("own", "0" * 64), colours.CLASSES)
    pixels = noise(2)
    found = predictor(made)(pixels)
    np.testing.assert_allclose(found, colours.probabilities(pixels), rtol=1e-5)


def behind(*parts, dense=4):
    """Three colours, a dense layer of known weights, and what comes behind it; and its logits."""
    L = keras.layers
    image = keras.Input((None, None, 3))
    value = logits = L.Dense(dense, name="dense")(L.GlobalAveragePooling2D()(image))
    for part in parts:
        value = part(value)
    model = keras.Model(image, value)
    model.get_layer("dense").set_weights(
        [8 * np.eye(3, dense), np.float32([0.5, -3, 1, 2][:dense])]
    )
    names = [str(number) for number in range(max(dense, 2))]
    return build("own", model, "unit", Provenance("own", ""), names), model, logits


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "parts",
    [
        (keras.layers.Rescaling(0.25), keras.layers.Softmax()),
        (keras.layers.ReLU(), keras.layers.Activation("softmax")),
        (keras.layers.ReLU(), keras.ops.softmax),
        (keras.layers.Activation("sigmoid"),),
        (keras.ops.sigmoid, keras.layers.Identity()),
        (keras.layers.Rescaling(-1.0), keras.layers.Softmax(), keras.layers.Flatten()),
    ],
)
def test_probabilities_are_the_networks_own_output_whatever_stands_before_it(parts, dtype):
    network, model, _ = behind(*parts)
    pixels = noise(6)
    found = predictor(cast(network, dtype))(pixels)
    near = 1e-6 if dtype == "float32" else 0.02
    np.testing.assert_allclose(found, model(pixels), atol=near)


def test_one_sigmoid_is_the_second_of_two_classes():
    network, model, _ = behind(keras.layers.Activation("sigmoid"), dense=1)
    pixels = noise(6)
    ours, its = predictor(network)(pixels), np.asarray(model(pixels))
    np.testing.assert_allclose(ours, np.hstack([1 - its, its]), atol=1e-6)


def test_an_output_that_is_no_longer_what_it_was_taken_for_is_refused():
    network, *_ = behind(keras.layers.Activation("softmax", name="last"))

    def softmax(values):
        return keras.ops.sigmoid(values)

    network.model.get_layer("last").activation = softmax
    look = predictor(network)
    with pytest.raises(ValueError, match="output last of own is not the softmax of dense"):
        look(noise(1))


def test_a_network_in_half_precision_gives_probabilities_in_float32():
    pixels = noise(2)
    found = predictor(cast(colours.network(), "bfloat16"))(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, colours.probabilities(pixels), rtol=0.05)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)


def test_a_network_that_names_nothing_is_refused(vgg16):
    with pytest.raises(ValueError, match=r"^vgg16 has no classifier, .*model=efficientnet_lite0\."):
        predictor(vgg16)
    with pytest.raises(ValueError, match="has a classifier whose classes are not named, so"):
        predictor(colours.network(classes=()))
    with pytest.raises(ValueError, match=r"^predictions of .* tells 4 classes apart, and 3"):
        predictor(colours.network(classes=colours.CLASSES[:3]))


def test_damaged_weights_are_said():
    network = colours.network()
    dense = network.model.get_layer("predictions")
    dense.set_weights([dense.get_weights()[0] * np.nan, dense.get_weights()[1]])
    with pytest.raises(ValueError, match="logits of efficientnet_lite0 are no finite numbers"):
        predictor(network)(np.zeros((1, 4, 4, 3), np.float32))


IMAGENET = taxonomy().classes
TENCH, DOG, CHIHUAHUA, BEAGLE = "n01440764", "n02084071", "n02085620", "n02088364"
MINE = (TENCH, CHIHUAHUA, BEAGLE, "red_panda", "Dog")


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0000),
    ],
)
def test_wilsons_interval_is_the_published_one(hits, total, low, high):
    assert wilson(hits, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("total", [1, 7, 10**6])
def test_none_and_all_end_exactly_at_zero_and_one(total):
    low, high = wilson(0, total)
    assert low == 0.0 and 0 < high < 1
    assert wilson(total, total) == (pytest.approx(1 - high), 1.0)


def test_the_interval_narrows_with_the_photographs_and_holds_the_share():
    widths = []
    for total in (4, 40, 400):
        low, high = wilson(total // 4, total)
        assert low < 0.25 < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(("hits", "total"), [(-1, 5), (6, 5), (0, 0)])
def test_what_is_no_share_has_no_interval(hits, total):
    with pytest.raises(ValueError, match=f"{hits} of {total} is no share"):
        wilson(hits, total)


def test_a_rate_says_share_counts_and_interval():
    assert str(Rate(169, 206)) == "82 % (169 of 206; 95 % interval 76 to 87 %)"
    assert str(Rate(1169, 2060)) == "57 % (1,169 of 2,060; 95 % interval 55 to 59 %)"
    none = Rate(0, 0)
    assert (none.share, none.interval, str(none)) == (None, None, "unknown")


@pytest.mark.parametrize(
    ("key", "name", "target"),
    [
        (TENCH, "tench", Target(frozenset({0}), "key")),
        ("red_panda", "red_panda", Target(frozenset({3}), "key")),
        ("Red  Panda", "Red Panda", Target(frozenset({3}), "name")),
        ("TENCH", "TENCH", Target(frozenset({0}), "name")),
        ("Tinca_tinca", "Tinca_tinca", Target(frozenset({0}), "name")),  # another word of it
        ("dog", "dog", Target(frozenset({4}), "name")),  # the class of this name, not the group
        (DOG, "dog", Target(frozenset({4}), "name")),
        ("n99999999", "red panda", Target(frozenset({3}), "name")),  # named by its folder
        ("hound", "hound", Target(frozenset({2}), "group")),
        ("n02087122", "hunting dog", Target(frozenset({2}), "group")),
        ("n02083346", "canine", Target(frozenset({1, 2}), "group")),
        ("zebrafish", "zebrafish", None),
        ("n02123045", "tabby", None),
        ("n00000000", "n00000000", None),
    ],
)
def test_a_label_is_a_class_by_key_or_name_or_a_group_of_classes(key, name, target):
    assert targets([key], {key: name}, MINE).get(key) == target


def test_a_group_of_wordnet_stands_for_all_classes_below_it():
    found = targets([DOG, "dog", None], {}, IMAGENET)
    assert found.keys() == {DOG, "dog"}
    for one in found.values():
        assert one.how == "group" and len(one.places) == 118
        assert {IMAGENET[place] for place in one.places} == taxonomy().leaves(DOG)


def test_a_name_that_two_classes_share_stands_for_both():
    found = targets(["crane"], {}, IMAGENET)["crane"]
    assert found.how == "name"
    assert {IMAGENET[place] for place in found.places} == {"n02012849", "n03126707"}


def test_every_class_of_imagenet_is_itself_by_its_key():
    found = targets(IMAGENET, {}, IMAGENET)
    assert all(found[key].places == {place} for place, key in enumerate(IMAGENET))


def test_a_class_is_named_by_wordnet_or_as_it_is():
    assert class_names(["n03126707", TENCH, "red_panda"]) == [
        taxonomy().name("n03126707"), "tench", "red panda",
    ]  # fmt: skip
