"""How a unit's preactivation is spread, laid out so that nothing is hidden."""

import subprocess
import sys

import numpy as np
import pytest
from histograms import histogram, preactivations

from convscope.activations.statistics import cells
from convscope.report.figures.charts import Spread, spread


def drawn(values: np.ndarray, scores: np.ndarray, **given: object) -> Spread:
    return spread(histogram(values), scores, **given)


def inside(made: Spread) -> bool:
    """Return whether all that is drawn lies inside of the drawing."""
    points = [
        point
        for panel in (made.positions, made.photographs)
        for _, outline in panel.outlines
        for point in outline
    ]
    points += [(mark.across, made.label(mark)) for mark in made.marks]
    points += [(across, 0) for across, _ in made.values]
    return all(0 <= x <= made.width and 0 <= y <= made.height for x, y in points)


@pytest.mark.parametrize("width", [340, 960, 1130])
@pytest.mark.parametrize("optimum", [None, 12.0, 60.0, 5000.0, -90.0], ids=str)
@pytest.mark.parametrize("shape", ["usual", "positive", "negative", "level", "tiny", "huge"])
def test_everything_is_inside_of_the_drawing(shape, optimum, width):
    values = {
        "usual": preactivations(), "positive": np.abs(preactivations()) + 3,
        "negative": -np.abs(preactivations()) - 3, "level": np.zeros(100),
        "tiny": preactivations() * 1e-4, "huge": preactivations() * 900,
    }[shape]  # fmt: skip
    made = drawn(values, values[:50], optimum=optimum, width=width)
    assert inside(made)
    assert made.positions.bottom < made.photographs.top
    assert [mark.across for mark in made.marks] == sorted(mark.across for mark in made.marks)


def test_all_marks_are_there_with_their_numbers():
    values = np.concatenate([np.full(900, -4.0), np.full(100, 40.0)])
    made = drawn(values, np.array([-4.0, 40.0, np.nan]), optimum=50)
    assert {mark.kind for mark in made.marks} == {"zero", "quantile", "strongest", "optimum"}
    labels = [mark.label for mark in made.marks]
    assert "fires at 10.0 %" in labels
    assert "strongest photograph 40.0" in labels
    assert "optimum 50.0" in labels
    assert sum("of positions below" in label for label in labels) == 3
    assert made.gap is None
    assert not any(mark.kind == "optimum" for mark in drawn(values, np.array([4.0])).marks)


def test_an_optimum_far_to_the_right_stands_behind_a_gap():
    values = preactivations()
    near, far = (drawn(values, values[:99], optimum=optimum) for optimum in (60.0, 2500.0))
    assert near.gap is None
    strongest, optimum = (mark for mark in far.marks if mark.kind in ("strongest", "optimum"))
    assert strongest.across < far.gap < optimum.across < far.right
    assert optimum.label == "optimum 2500"
    assert max(float(label.replace(",", "").replace("\N{MINUS SIGN}", "-"))
               for _, label in far.values) < 100  # fmt: skip


def test_an_outline_is_as_high_as_the_density_on_a_logarithmic_axis():
    values = np.concatenate([np.full(1000, 1.0), np.full(10, 9.0)])
    made = drawn(values, np.array([9.0]))
    ticks = {label: down for down, label in made.positions.ticks}
    ((_, silent), (_, firing_)) = made.positions.outlines
    assert silent == ()
    decade = ticks["10"] - ticks["100"]
    heights = sorted({down for _, down in firing_})[:2]
    edges, counts = cells(histogram(values), float(made.unit) / 2)
    density = np.sort(counts / np.diff(edges))[-2:]
    apart = np.log10(density[1] / density[0])
    assert heights[1] - heights[0] == pytest.approx(decade * apart, abs=0.3)


def overlapping(made: Spread) -> list[tuple[str, str]]:
    """Return the labels that cover each other, letters taken as 6.6 units wide."""
    spans = []
    for mark in made.marks:
        wide = 6.6 * len(mark.label)
        start = mark.across - 6 - wide if mark.before else mark.across + 6
        spans.append((mark.level, start, start + wide, mark.label))
    return [
        (one[3], other[3])
        for at, one in enumerate(spans)
        for other in spans[at + 1 :]
        if one[0] == other[0] and one[1] < other[2] and other[1] < one[2]
    ]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("width", [340, 960])
def test_labels_do_not_cover_each_other(seed, width):
    values = preactivations(seed=seed) * (seed + 1) - 3 * seed
    optimum = [None, 30.0, 900.0][seed % 3]
    assert overlapping(drawn(values, values[:40], optimum=optimum, width=width)) == []


def test_a_distribution_needs_a_score():
    with pytest.raises(ValueError, match=r"a finite score\. Received: none"):
        drawn(preactivations(), np.array([np.nan, np.inf]))


def test_numbers_need_no_drawing_library():
    code = "import convscope.report.figures.charts, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
