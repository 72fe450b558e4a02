from pathlib import Path

import numpy as np
import results
from asked import ascent

from convscope.data.dataset import Batch
from convscope.models.backend import keras
from convscope.models.network import Network
from convscope.models.zoo.checkpoints import Provenance
from convscope.optvis.ascent import Goal, Optimum, Step
from convscope.optvis.recipe import aim, batches, filled, goals, recipe
from convscope.stages.optima import Optimization, OptimumFiles, climbed, compare
from convscope.stages.resume import JOURNAL
from convscope.tracking.tracker import Tracker
from convscope.unit import Unit

A, B = Goal(Unit("a", 0)), Goal(Unit("a", 1))


def step(number, attempt, goals, scores, finished=()):
    curve = np.array(scores, np.float32)
    images = np.full((len(goals), 2, 3, 3), number, np.uint8)
    total = number + 4 * (attempt - 1)
    return Step(number, attempt, goals, curve, total, images, tuple(finished))


def optimum(goal, attempt):
    return Optimum(goal, np.zeros((2, 3, 3), np.uint8), 1.0, 0.5, 0.0, 0.7, attempt)


def test_the_curve_and_the_frames_are_those_of_the_last_start():
    shown = []
    found = climbed(
        iter(
            [
                step(2, 1, (A, B), [[1, 5], [2, 6]]),
                step(4, 1, (A, B), [[3, 7], [4, 8]], [optimum(A, 1)]),
                step(2, 2, (B,), [[10], [11]], [optimum(A, 1)]),
                step(4, 2, (B,), [[12], [13]], [optimum(A, 1), optimum(B, 2)]),
            ]
        ),
        shown.append,
    )
    assert [given.total for given in shown] == [2, 4, 6, 8]
    np.testing.assert_array_equal(found[A][1], [1, 2, 3, 4])
    np.testing.assert_array_equal(found[B][1], [10, 11, 12, 13])
    assert [int(frame[0, 0, 0]) for frame in found[B][2]] == [2, 4]
    assert found[B][0].attempt == 2


def test_copies_that_fill_a_batch_change_nothing():
    once = climbed(iter([step(2, 1, (A, B), [[1, 5], [2, 6]], [optimum(A, 1)])]), lambda _: None)
    twice = climbed(
        iter([step(2, 1, (A, B, A), [[1, 5, 9], [2, 6, 9]], [optimum(A, 1)] * 2)]), lambda _: None
    )
    np.testing.assert_array_equal(once[A][1], twice[A][1])
    assert len(twice[A][2]) == 1


def test_the_quantile_counts_positions_below_over_all_photographs():
    image = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(2, 1, name="a", activation="relu")
    model = keras.Model(image, layer(image))
    # Filter 0 sees red, filter 1 red upside down.
    layer.set_weights([np.array([[[[1, -1], [0, 0], [0, 0]]]], np.float32), np.zeros(2)])
    network = Network("tiny", model, lambda pixels: pixels, Provenance("by hand", "0"))
    pixels = np.zeros((2, 1, 4, 3), np.float32)
    pixels[0, 0, :, 0], pixels[1, 0, :, 0] = [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]
    batches = [Batch((at,), (Path(str(at)),), pixels[at : at + 1], (), (), ()) for at in range(2)]
    broken = Batch((), (), np.empty((0, 1, 4, 3), np.float32), (), (), ((Path("x"), "broken"),))
    cards = [
        results.optimum(layer="a", filter=0, activation=0.45),
        results.optimum(layer="a", filter=0, activation=0.15),
        results.optimum(layer="a", filter=1, activation=-0.65, sign=-1),
    ]
    done: list[int] = []
    compared, positions, seen, skipped = compare(network, cards, [broken, *batches], done.append)
    assert [item.quantile for item in compared] == [0.5, 0.125, 0.25]
    assert (positions, seen, skipped) == (8, [Path("0"), Path("1")], 1)
    assert done == [1, 2, 3]
    alone, positions, *_ = compare(network, cards, [broken], done.append)
    assert [item.quantile for item in alone] == [None] * 3 and positions == 0


def test_a_short_last_batch_is_neither_traced_anew_nor_kept_twice(tmp_path):
    image = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(5, 3, name="a", activation="relu")
    network = Network(
        "tiny", keras.Model(image, layer(image)), lambda pixels: pixels,
        Provenance("by hand", "0"),
    )  # fmt: skip
    climb = recipe(ascent(steps=2, precision="float32"), network, aim("channel"), (12, 9))
    every = goals([Unit("a", number) for number in range(5)], (1,), 1)
    tracker = Tracker(tmp_path)
    optimization = Optimization(tracker, 0, 1, lambda goal: goal.slug)
    files = OptimumFiles(tracker, {"Software": "tests"}, shown=True)
    parts = [filled(part, 2) for part in batches(every, 2, 1)]
    cards = list(map(files.write, optimization.optima(climb, parts)))
    assert [made.filter for made in cards] == [0, 1, 2, 3, 4]
    assert len((tmp_path / JOURNAL).read_text().splitlines()) == 5
    assert climb._climb.experimental_get_tracing_count() == 1
