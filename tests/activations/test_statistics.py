"""What a histogram of float16 values says, in exact numbers."""

import numpy as np
import pytest
from indices import histogram, preactivations

from convscope.activations.statistics import (
    EDGES,
    MAGNITUDES,
    below,
    cells,
    firing,
    ordered,
    quantiles,
)


def test_every_finite_float16_lies_between_the_edges_of_its_bin():
    patterns = np.arange(2**16, dtype=np.uint16)
    values = patterns.view(np.float16).astype(np.float64)
    finite = np.isfinite(values)
    found = ordered(histogram(values[finite].astype(np.float16)))
    assert len(EDGES) == len(found) + 1 == 497
    assert (np.diff(EDGES) > 0).all()
    assert (np.delete(found, (247, 248)) == 128).all()
    assert found[247:249].tolist() == [129, 127]  # zero
    for index in (0, 1, 130, 246, 247, 248, 249, 400, 495):
        inside = (values >= EDGES[index]) & (values <= EDGES[index + 1]) & finite
        assert inside.sum() >= 128
    assert MAGNITUDES[1] == 2.0**-17
    assert EDGES[248] == 0
    assert EDGES[-1] == 65536


def test_bins_grow_by_an_eighth_at_most():
    normal = MAGNITUDES[8:]
    assert (np.diff(normal) / normal[:-1]).max() <= 0.125


def test_infinite_values_and_nan_are_left_out():
    counted = histogram(np.array([np.inf, -np.inf, np.nan, 1.0, -2.0]))
    assert counted.sum() == 5
    assert ordered(counted).sum() == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [(np.zeros(512), "a histogram of none"), (np.zeros(511), r"shape=\(511,\)"),
     (histogram(np.array([np.nan])), "a histogram of none")],
    ids=["empty", "short", "nan"],
)  # fmt: skip
def test_a_histogram_of_nothing_is_refused(given, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        ordered(given)


def test_firing_is_the_share_above_zero():
    assert firing(histogram(np.array([-1.0, 0.0, -0.0, 1e-3, 5, 7, -3, 2]))) == 0.5
    assert firing(np.stack([histogram(np.zeros(9)), histogram(np.ones(9))])).tolist() == [0, 1]


@pytest.mark.parametrize("width", [1e-9, 0.01, 0.5, 3, 1000])
def test_the_density_adds_up_to_the_number_of_positions(width):
    values = preactivations()
    edges, counts = cells(histogram(values), width)
    assert len(edges) == len(counts) + 1
    assert (np.diff(edges) >= width * (1 - 1e-6)).all()
    assert 0 in edges
    density = counts / np.diff(edges)
    assert (density * np.diff(edges)).sum() == pytest.approx(len(values))
    assert counts[0] > 0
    assert counts[-1] > 0
    rounded = values.astype(np.float16)
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        below = (
            (rounded > low) & (rounded <= high)
            if high <= 0
            else (rounded >= low) & (rounded < high)
        )
        assert below.sum() == count


def test_values_on_one_side_of_zero_have_cells_on_that_side():
    edges, counts = cells(histogram(np.array([5.0, 6, 7])), 0.5)
    assert edges[0] == 0
    assert counts.sum() == 3
    edges, _ = cells(histogram(np.array([-5.0, -6, -7])), 0.5)
    assert edges[-1] == 0


@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.9, 0.99, 0.999, 1])
def test_quantiles_are_within_a_bin_of_the_true_ones(share):
    values = preactivations()
    (found,) = quantiles(histogram(values), [share])
    true = np.quantile(values, share)
    assert abs(found - true) <= 0.125 * abs(true) + 1e-3
    assert abs((values <= found).mean() - share) < 0.01


def test_a_quantile_lies_inside_a_bin_that_holds_something():
    found = quantiles(histogram(np.array([-100.0] * 9 + [100.0])), [0.5, 0.9, 0.95, 1])
    assert -104 <= found[0] < found[1] <= -96
    assert found[2:].tolist() == [100, 104]


def test_a_quantile_is_exact_at_edges_and_no_further_off_than_its_bin():
    seen = np.random.default_rng(3).normal(1, 40, 5000).astype(np.float32)
    number = seen.astype(np.float16).view(np.uint16) >> 7
    histogram = np.bincount(number, minlength=512)
    assert below(histogram, 0.0) == (seen < 0).mean()
    assert below(histogram, 1e6) == 1 and below(histogram, -1e6) == 0
    for value in (-60.0, -3.3, 0.1, 5.0, 77.7):
        bin = (np.float16(value).view(np.uint16) >> 7) == number
        assert abs(below(histogram, value) - (seen < value).mean()) <= bin.mean()
        assert abs(below(histogram, value) - (seen < value).mean()) < 0.01
