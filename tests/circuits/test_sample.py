"""A sample taken batch by batch, against all contributions at once."""

import numpy as np
import pytest

from convscope.activations.recorder import LayerBatch
from convscope.circuits import attribution
from convscope.circuits.attribution import Sampler, contributions
from convscope.models.graph import Window
from convscope.models.linear import Linear
from convscope.models.receptive_field import Axis, Inside, ReceptiveField

PHOTOGRAPHS, ROWS, COLUMNS = 24, 9, 13
GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.gamma(0.5, 1, (PHOTOGRAPHS, ROWS, COLUMNS, 6)).astype(np.float32)
KERNEL = GENERATOR.normal(size=(3, 2, 4)).astype(np.float32)
LINEAR = Linear(KERNEL, 0.25, np.array([0, 2, 3, 5]), Window((3, 2), padding="same"))
EVERY = contributions(INPUTS, LINEAR)
MAPS = (0.25 + EVERY.sum(-1))[..., None]
INSIDE = Inside(range(1, 8), range(0, 12))
FIRST = np.arange(PHOTOGRAPHS) % 2 == 0


def sampler(order=None, batch=5, most=16, first=FIRST, inside=INSIDE):
    """A sampler that has seen the photographs in this order."""
    order = np.arange(PHOTOGRAPHS) if order is None else order
    made = Sampler(LINEAR, 0, most, len(order), 3, inside, (ROWS, COLUMNS))
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        made.add(LayerBatch(INPUTS[part], MAPS[part]), first[part].tolist())
    return made


def test_means_and_preactivations_are_those_of_all_positions_inside():
    found = sampler().sample()
    for part, which in ((found.discovery, FIRST), (found.confirmation, ~FIRST)):
        u = EVERY[which][:, 1:8, 0:12]
        np.testing.assert_allclose(part.mean, u.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(part.z, MAPS[which][:, 1:8, 0:12, 0].reshape(12, -1))
        assert part.center.sum() + 0.25 == pytest.approx(part.z.mean(), rel=1e-5)
    assert found.apart and not found.whole and not found.thinned
    assert found.places.tolist() == np.flatnonzero(~FIRST).tolist()


def test_the_sample_has_as_many_positions_of_each_photograph_and_what_they_add():
    found = sampler().sample().confirmation
    assert np.bincount(found.of).tolist() == [16] * 12
    assert found.u.shape == (12 * 16, 4)
    nearest = np.abs(found.sampled[:, None] - found.z[found.of]).min(axis=1)
    assert nearest.max() < 1e-4


def test_every_strong_position_is_kept_and_the_threshold_is_that_of_the_discovery_half():
    found = sampler().sample()
    z = np.sort(found.discovery.z.ravel())
    assert found.discovery.threshold == found.confirmation.threshold == z[int(0.99 * len(z))]
    for part in (found.discovery, found.confirmation):
        strong = np.argwhere(part.z >= part.threshold)
        assert part.top_of.tolist() == strong[:, 0].tolist()
        np.testing.assert_allclose(part.strong, part.z[part.z >= part.threshold], rtol=1e-5)
    assert found.error < 1e-5


def test_strong_positions_passed_over_at_first_are_asked_for_again():
    # All strong positions lie on the first photographs, where they are no rare thing yet.
    scale = np.where(np.arange(PHOTOGRAPHS) < 4, 6, 1)[:, None, None, None].astype(np.float32)
    inputs, maps = INPUTS * scale, (EVERY * scale).sum(-1, keepdims=True) + 0.25
    made = Sampler(LINEAR, 0, 16, PHOTOGRAPHS, 3, INSIDE, (ROWS, COLUMNS))
    for start in range(0, PHOTOGRAPHS, 4):
        part = slice(start, start + 4)
        made.add(LayerBatch(inputs[part], maps[part]), FIRST[part].tolist())
    missing = made.missing()
    assert missing and set(missing) <= {0, 1, 2, 3}
    for number in missing:
        made.again(LayerBatch(inputs[[number]], maps[[number]]), [number])
    assert made.missing() == []
    found = made.sample()
    for part in (found.discovery, found.confirmation):
        assert part.top_of.tolist() == np.argwhere(part.z >= part.threshold)[:, 0].tolist()
        np.testing.assert_allclose(part.strong, part.z[part.z >= part.threshold], rtol=1e-4)


def test_the_same_photographs_in_other_batches_give_the_same_sample():
    one, other = sampler(batch=5).sample(), sampler(batch=24).sample()
    np.testing.assert_allclose(one.confirmation.u, other.confirmation.u, rtol=1e-6)
    np.testing.assert_allclose(one.confirmation.top, other.confirmation.top, rtol=1e-6)


@pytest.mark.parametrize("first", [np.arange(24) < 7, np.arange(24) < 17 + 0 * FIRST])
def test_a_half_of_fewer_than_eight_photographs_makes_all_of_them_both_halves(first):
    found = sampler(first=first).sample()
    assert not found.apart
    assert found.discovery.photographs == found.confirmation.photographs == 24


def test_without_a_position_inside_all_of_them_count():
    found = sampler(inside=None).sample()
    assert found.whole and found.inside.count == ROWS * COLUMNS


def test_memory_bounds_what_is_kept(monkeypatch):
    monkeypatch.setattr(attribution, "POSITIONS", 24 * 25)
    monkeypatch.setattr(attribution, "BYTES", 24 * 4 * 4 * 5)
    found = sampler().sample()
    assert found.thinned and found.inside == Inside(range(1, 8, 2), range(0, 12, 2))
    assert np.bincount(found.confirmation.of).tolist() == [5] * 12
    expected = EVERY[~FIRST][:, 1:8:2, 0:12:2].mean(axis=(1, 2))
    np.testing.assert_allclose(found.confirmation.mean, expected, rtol=1e-5, atol=1e-6)


def test_positions_inside_see_nothing_beyond_the_image():
    field = ReceptiveField(Axis(92, 8, 42), Axis(92, 8, 42))
    found = field.inside((28, 20), (224, 160))
    assert found == Inside(range(6, 22), range(6, 14))
    boxes = [field.box(row, column) for row in found.rows for column in found.columns]
    assert min(box.top for box in boxes) >= 0 and max(box.right for box in boxes) <= 160
    assert field.box(22, 6).bottom > 224 and field.box(5, 6).top < 0
    assert field.inside((8, 8), (64, 64)) is None
