import numpy as np
import pytest

from convscope.models.backend import keras, tf
from convscope.models.network import Network
from convscope.models.zoo.checkpoints import Provenance
from convscope.optvis.objectives import (
    Objective,
    Reading,
    Samples,
    aligned,
    caricature,
    channel,
    deepdream,
    direction,
    diversity,
    length,
    logit,
    neuron,
    own_map,
    reader,
    relative,
    separable,
    signed,
)

SAMPLES, HEIGHT, WIDTH, FILTERS = 4, 5, 7, 3
CHOSEN = Samples(tf.constant([2, 0, 1, 2]), tf.constant([1.0, -1.0, -1.0, 1.0]))
EACH = np.arange(SAMPLES)

OWN, WHOLE = Reading("b"), Reading("b", whole=True)
SHOWN = Reading("b", whole=True, reference=True)
MAPS, TARGET = (
    np.random.default_rng(seed).normal(size=(SAMPLES, HEIGHT, WIDTH, FILTERS)).astype(np.float32)
    for seed in (0, 1)
)
MINE = np.stack([MAPS[0, ..., 2], MAPS[1, ..., 0], MAPS[2, ..., 1], MAPS[3, ..., 2]])
SPATIAL = {OWN: MINE, WHOLE: MAPS, SHOWN: TARGET}
FLAT = {OWN: MINE[:, 2, 3], WHOLE: MAPS[:, 2, 3], SHOWN: TARGET[:, 2, 3]}

MADE = {
    "channel": channel("b"),
    "neuron": neuron("b"),
    "direction": direction("b", {1: -0.5}),
    "layer": deepdream("b"),
    "logit": logit("b"),
    "caricature": caricature("b"),
    "diversity": diversity("b", 2),
    "relative": relative(channel("b"), diversity("b", 2), 0.7),
}
BOTH = [(name, FLAT if name == "logit" else SPATIAL) for name in MADE]
ALONE = [(name, values) for name, values in BOTH if name not in ("diversity", "relative")]


def scores(objective, values=SPATIAL, chosen=CHOSEN):
    values = {reading: tf.constant(values[reading]) for reading in objective.readings}
    return objective.score(values, chosen).numpy()


def slopes(objective, values, weights, reading=WHOLE):
    """The gradient of the weighted scores with respect to one reading."""
    given = {asked: tf.constant(values[asked]) for asked in objective.readings}
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = tf.reduce_sum(weights * objective.score(given, CHOSEN))
    return tape.gradient(total, given, unconnected_gradients="zero")[reading].numpy()


def constant(name, *values):
    """An objective of one reading of its own name, whose scores are those values."""
    return Objective((Reading(name),), lambda readings, samples: tf.constant(values))


A, B = constant("a", 2.0, -1.0), constant("b", 10.0, 4.0)


def summed(objective):
    return objective.score({}, Samples(tf.constant([0, 1]), tf.constant([1.0, -1.0]))).numpy()


@pytest.mark.parametrize(
    ("objective", "expected"),
    [(relative(A, B, 0.5), [12, 1]), (relative(A, B, -0.5), [-8, -3]), (signed(A), [2, 1])],
)
def test_objectives_compute_what_their_name_says(objective, expected):
    np.testing.assert_allclose(summed(objective), expected, rtol=1e-6)


def test_readings_are_merged_in_order_and_each_stands_once():
    assert relative(channel("a"), deepdream("b"), 1).readings == (Reading("a"), WHOLE)
    assert relative(caricature("b"), deepdream("b"), 1).readings == (WHOLE, SHOWN)
    assert signed(channel("b")).readings == (OWN,)


def test_relative_costs_the_same_share_at_any_scale_and_leaves_its_gradient_to_the_parts():
    weights = np.ones(SAMPLES, np.float32)
    made = MADE["relative"]
    small, large = ({OWN: k * MINE, WHOLE: k * MAPS} for k in (1, 1000))
    np.testing.assert_allclose(1000 * scores(made, small), scores(made, large), rtol=1e-4)
    # No gradient through |main|: the mean has its own slope, whatever the term is worth.
    np.testing.assert_allclose(slopes(made, SPATIAL, weights, OWN), 1 / 35, rtol=1e-6)


def test_channel_is_the_mean_over_the_map():
    np.testing.assert_allclose(scores(channel("b")), MINE.mean(axis=(1, 2)), rtol=1e-5)


def test_neuron_is_one_position_the_centre_unless_another_is_given():
    np.testing.assert_array_equal(scores(neuron("b")), MINE[:, 2, 3])
    np.testing.assert_array_equal(scores(neuron("b"), {OWN: MINE[:, :4, :6]}), MINE[:, 2, 3])
    np.testing.assert_array_equal(scores(neuron("b", (4, 6))), MINE[:, 4, 6])
    np.testing.assert_array_equal(scores(neuron("b", (0, 5))), MINE[:, 0, 5])


def test_of_a_classifier_they_are_the_own_value_itself():
    for made in (channel("b"), neuron("b"), logit("b")):
        np.testing.assert_array_equal(scores(made, FLAT), FLAT[OWN])


def test_alignment_is_the_dot_product_weighed_by_a_floored_cosine():
    # One position each: along v; at an angle of cosine .6; against it; nothing there at all.
    maps = np.array([[[[0, 2]]], [[[3, 4]]], [[[0, -2]]], [[[0, 0]]]], np.float32)
    vectors = np.array([[0, 5], [10, 0], [0, 3], [1, 2]], np.float32)
    plain = aligned(tf.constant(maps), tf.constant(vectors), 0.0)
    np.testing.assert_allclose(plain, [10, 30, -6, 0])
    angled = aligned(tf.constant(maps), tf.constant(vectors), 2.0)
    np.testing.assert_allclose(angled, [10, 30 * 0.36, -6 * 0.01, 0], rtol=1e-3)


def test_a_length_has_a_slope_of_zero_where_there_is_nothing():
    values = tf.constant([[3.0, -4.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        lengths = length(values)
    np.testing.assert_allclose(lengths, [5, 0])
    np.testing.assert_allclose(tape.gradient(lengths, values), [[0.6, -0.8], [0, 0]], rtol=1e-6)


def aligned_by_hand(maps, vectors, power):
    found = []
    for x, v in zip(maps.astype(np.float64), vectors.astype(np.float64), strict=True):
        dot = x @ v
        lengths = (1e-4 + np.linalg.norm(x, axis=-1)) * (1e-4 + np.linalg.norm(v))
        found.append(np.mean(dot * np.maximum(0.1, dot / lengths) ** power))
    return np.array(found)


@pytest.mark.parametrize("power", [0, 1.0, 2.5])
def test_a_direction_is_the_own_filter_with_weights_on_others_and_on_itself(power):
    vectors = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    made = direction("b", power=power)
    np.testing.assert_allclose(
        scores(made), aligned_by_hand(MAPS, vectors, power), rtol=1e-4, atol=1e-6
    )
    vectors = np.array([[0, -0.5, 3], [1, -0.5, 3], [0, -0.5, 3], [0, -0.5, 3]], np.float32)
    made = direction("b", {1: -0.5, 2: 3}, power)
    for values in (SPATIAL, FLAT):
        expected = aligned_by_hand(values[WHOLE], vectors, power)
        np.testing.assert_allclose(scores(made, values), expected, rtol=1e-4, atol=1e-6)


def test_a_direction_keeps_the_weights_it_was_made_with():
    weights = {1: -0.5}
    made, before = direction("b", weights), scores(MADE["direction"])
    weights[1] = 7.0
    np.testing.assert_array_equal(scores(made), before)


def test_without_the_angle_a_direction_of_one_filter_is_its_channel():
    np.testing.assert_allclose(scores(direction("b", power=0)), scores(channel("b")), rtol=1e-5)


def test_a_layer_counts_the_squares_of_what_fires():
    expected = np.square(np.maximum(MAPS, 0)).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(scores(deepdream("b")), expected, rtol=1e-5)


def test_diversity_is_minus_the_mean_similarity_to_the_others_of_the_unit():
    # The first unit fires filter 0; filter 0 again; both as one, whose Gram matrix of length 1 is
    # (1, 1; 1, 1) / 2. How strong, at which position and how far below zero makes no difference.
    maps = np.zeros((6, 3, 5, 2), np.float32)
    maps[0, 0, 1] = [1, 0]
    maps[1, 2, 4] = [30, -9]
    maps[2, 1, 3] = [2, 2]
    maps[3:] = [[[[0, 1]]], [[[4, 0]]], [[[0, 2]]]]
    expected = [-(1 + 0.5) / 2, -(1 + 0.5) / 2, -0.5, -0.5, 0, -0.5]
    np.testing.assert_allclose(scores(diversity("b", 3), {WHOLE: maps}), expected, atol=1e-6)
    pairs = [-1, -1, -0.5, -0.5, 0, 0]
    np.testing.assert_allclose(scores(diversity("b", 2), {WHOLE: maps}), pairs, atol=1e-6)


def test_diversity_lies_from_minus_one_to_zero_and_equal_samples_reach_the_end():
    assert (scores(diversity("b", 4)) <= 0).all()
    equal = np.repeat(MAPS[:1], 4, axis=0)
    np.testing.assert_allclose(scores(diversity("b", 4), {WHOLE: equal}), -1, rtol=1e-5)


def test_units_do_not_influence_one_another_through_diversity():
    changed = np.concatenate([MAPS[:2], 3 - MAPS[2:]])
    before, after = (scores(diversity("b", 2), {WHOLE: maps}) for maps in (MAPS, changed))
    np.testing.assert_array_equal(before[:2], after[:2])
    assert (before[2:] != after[2:]).all()
    reach = slopes(diversity("b", 2), SPATIAL, np.array([1, 1, 0, 0], np.float32))
    assert np.abs(reach[:2]).max() > 0
    assert not reach[2:].any()


def caricature_by_hand(maps, reference, power):
    """Flat values of one sample."""
    target = np.maximum(reference, 0)
    mine = np.where(target > 0, maps, np.maximum(maps, 0))
    return aligned_by_hand(mine[None, None], target[None], power)[0]


@pytest.mark.parametrize("power", [0, 2.0])
def test_a_caricature_is_the_alignment_with_what_fires_in_the_reference(power):
    for values in (SPATIAL, FLAT):
        pairs = zip(values[WHOLE], values[SHOWN], strict=True)
        expected = [caricature_by_hand(x.ravel(), y.ravel(), power) for x, y in pairs]
        found = scores(caricature("b", power), values)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_caricature_calls_silent_filters_and_sends_nothing_into_the_reference():
    maps, target = (np.zeros((SAMPLES, 1, 1, 3), np.float32) for _ in range(2))
    maps[:] = [-3, -5, 1]
    target[:] = [2, -4, 0]
    values, weights = {WHOLE: maps, SHOWN: target}, np.ones(SAMPLES, np.float32)
    made = caricature("b", power=0)
    np.testing.assert_allclose(scores(made, values), -6)
    # Filter 0 is to fire as in the reference; how silent filter 1 is makes no difference.
    np.testing.assert_allclose(slopes(made, values, weights)[0, 0, 0], [2, 0, 0])
    assert not slopes(MADE["caricature"], SPATIAL, weights, SHOWN).any()


@pytest.mark.parametrize(("name", "values"), BOTH)
def test_compiled_and_eager_scores_agree_and_there_is_one_for_each_sample(name, values):
    made = MADE[name]
    given = {reading: tf.constant(values[reading]) for reading in made.readings}
    found = tf.function(made.score)(given, CHOSEN)
    assert found.shape == (SAMPLES,)
    np.testing.assert_allclose(found, scores(made, values), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "values"), ALONE)
def test_a_sample_has_influence_on_its_own_score_alone(name, values):
    made, reading = MADE[name], MADE[name].readings[0]
    for changed in EACH:
        other = values[reading].copy()
        other[changed] += 2.0
        moved = scores(made, values | {reading: other}) != scores(made, values)
        np.testing.assert_array_equal(moved, changed == EACH)
        reach = slopes(made, values, (changed == EACH).astype(np.float32), reading)
        touched = np.abs(reach).reshape(SAMPLES, -1).max(axis=1) > 0
        np.testing.assert_array_equal(touched, changed == EACH)


@pytest.mark.parametrize("name", ["direction", "layer", "caricature", "diversity"])
@pytest.mark.parametrize("dead", [[0], [0, 1], [0, 1, 2, 3]])
def test_where_nothing_fires_scores_and_slopes_are_finite(name, dead):
    maps = MAPS.copy()
    maps[dead] = 0
    values = {WHOLE: maps, SHOWN: maps}
    assert np.isfinite(scores(MADE[name], values)).all()
    assert np.isfinite(slopes(MADE[name], values, np.ones(SAMPLES, np.float32))).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: scores(neuron("b", (5, 0))), r"b has 5 rows and 7 columns, .* \(5, 0\)"),
        (lambda: scores(neuron("b", (0, 7))), r"b has 5 rows and 7 columns, .* \(0, 7\)"),
        (lambda: scores(neuron("b", (0, 7)), FLAT), r"b has no rows and columns, .* \(0, 7\)"),
        (lambda: scores(direction("b", {-1: 2})), "b has 3 filters, .* Received: -1 in a"),
        (lambda: scores(direction("b", {3: 1})), "b has 3 filters, .* Received: 3 in a direction"),
        (lambda: scores(logit("b")), "filter of b take channel. Received: 5 rows and 7 columns"),
    ],
)
def test_what_cannot_be_is_refused_in_words(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_logit_from_a_map_of_one_position_is_that_position():
    small = {OWN: MINE[:, 2:3, 3:4]}
    np.testing.assert_array_equal(scores(logit("b"), small), scores(logit("b"), FLAT))


RANDOM = np.random.default_rng(7)
CASES = [
    ((3, 3), (1, 1), (1, 1), "same"),
    ((3, 3), (1, 1), (1, 1), "valid"),
    ((5, 3), (2, 1), (1, 1), "same"),
    ((5, 3), (2, 3), (1, 1), "valid"),
    ((3, 2), (1, 1), (2, 3), "same"),
    ((11, 11), (4, 4), (1, 1), "valid"),
    ((1, 1), (2, 2), (1, 1), "same"),
]


def network(layers, classes=0):
    image = keras.Input((None, None, 3))
    value = image
    for layer in layers:
        value = layer(value)
    if classes:
        pooled = keras.layers.GlobalAveragePooling2D()(value)
        value = keras.layers.Dense(classes, activation="softmax", name="head")(pooled)
    model = keras.Model(image, value)
    model.set_weights([RANDOM.normal(size=part.shape) for part in model.get_weights()])
    return Network("tiny", model, lambda pixels: pixels, Provenance("by hand", "0"))


@pytest.mark.parametrize(("size", "strides", "rates", "padding"), CASES)
def test_a_filter_computed_alone_is_the_same_as_among_all(size, strides, rates, padding):
    layer = keras.layers.Conv2D(7, size, strides, padding, dilation_rate=rates, activation="relu")
    inputs = RANDOM.normal(size=(4, 13, 18, 5)).astype(np.float32)
    layer.build(inputs.shape)
    layer.set_weights([RANDOM.normal(size=part.shape) for part in layer.get_weights()])
    filters = [6, 0, 3, 0]
    whole = layer.convolution_op(inputs, layer.kernel) + layer.bias
    found = own_map(layer, tf.constant(inputs), tf.constant(filters))
    expected = np.stack([whole[at, ..., filter] for at, filter in enumerate(filters)])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_filter_of_a_layer_without_bias_has_none():
    layer = keras.layers.Conv2D(2, 1, use_bias=False)
    layer.build((None, None, None, 3))
    layer.set_weights([np.arange(6, dtype=np.float32).reshape(1, 1, 3, 2)])
    found = own_map(layer, tf.ones((1, 2, 2, 3)), tf.constant([1]))
    np.testing.assert_array_equal(found, np.full((1, 2, 2), 1 + 3 + 5))


def test_grouped_and_other_convolutions_are_computed_whole():
    assert separable(keras.layers.Conv2D(4, 3))
    assert not separable(keras.layers.Conv2D(4, 3, groups=2))
    assert not separable(keras.layers.DepthwiseConv2D(3))
    assert not separable(keras.layers.Dense(3))


def test_every_reading_is_taken_from_the_images_and_from_the_references():
    first = keras.layers.Conv2D(4, 3, activation="relu", padding="same", name="a")
    second = keras.layers.Conv2D(6, 3, activation="relu", name="b")
    net = network([first, second])
    asked = [Reading("a"), Reading("b"), Reading("b", True, True), Reading("b", False, True)]
    images, others = (tf.constant(RANDOM.random((2, 9, 11, 3)), tf.float32) for _ in range(2))
    filters = tf.constant([3, 1])
    found = reader(net, asked)([images, others], filters)
    before = {"images": first(images), "others": first(others)}
    plain = first.convolution_op(images, first.kernel) + first.bias
    maps = {name: second.convolution_op(value, second.kernel) for name, value in before.items()}
    maps = {name: value + second.bias for name, value in maps.items()}
    each = lambda values: np.stack([values[0, ..., 3], values[1, ..., 1]])  # noqa: E731
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(found[Reading("a")], each(plain), **close)
    np.testing.assert_allclose(found[Reading("b")], each(maps["images"]), **close)
    np.testing.assert_allclose(found[Reading("b", True, True)], maps["others"], **close)
    np.testing.assert_allclose(found[Reading("b", False, True)], each(maps["others"]), **close)


def test_a_classifier_is_read_before_its_softmax():
    net = network([keras.layers.Conv2D(4, 3, name="a")], classes=5)
    images = tf.constant(RANDOM.random((2, 6, 5, 3)), tf.float32)
    found = reader(net, [Reading("head"), Reading("head", True)])([images], tf.constant([4, 2]))
    head = net.model.get_layer("head")
    pooled = tf.reduce_mean(net.model.get_layer("a")(images), axis=(1, 2))
    logits = (tf.matmul(pooled, head.kernel) + head.bias).numpy()
    np.testing.assert_allclose(found[Reading("head", True)], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[Reading("head")], logits[[0, 1], [4, 2]], rtol=1e-4, atol=1e-5)


def test_only_what_lies_before_the_last_layer_asked_for_is_computed():
    net = network([keras.layers.Conv2D(4, 3, name="a"), keras.layers.Conv2D(4, 30, name="b")])
    found = reader(net, [Reading("a")])([tf.zeros((1, 5, 5, 3))], tf.constant([2]))
    assert found[Reading("a")].shape == (1, 3, 3)
