"""The charts of a unit: nothing is hidden, every corner inside its panel, and their pictures."""

import numpy as np
import pytest
from indices import histogram, preactivations
from parts import part, random_part

from convscope.activations.statistics import cells
from convscope.report.figures.charts import (
    HEIGHT,
    TOP,
    Distribution,
    distribution,
    distribution_picture,
    faithfulness_chart,
    faithfulness_picture,
)


def drawn(values: np.ndarray, scores: np.ndarray, **given: object) -> Distribution:
    return distribution(histogram(values), scores, **given)


def inside(made: Distribution) -> bool:
    """Return whether all that is drawn lies inside of the drawing."""
    points = [
        point
        for panel in (made.positions, made.photographs)
        for _, outline in panel.areas
        for point in outline
    ]
    points += [(mark.across, mark.down) for mark in made.marks]
    points += [(across, 0) for across, _ in made.positions.across]
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
    assert strongest.across < far.gap < optimum.across < far.positions.right
    assert optimum.label == "optimum 2500"
    assert max(float(label.replace(",", "").replace("\N{MINUS SIGN}", "-"))
               for _, label in far.positions.across) < 100  # fmt: skip


def test_an_outline_is_as_high_as_the_density_on_a_logarithmic_axis():
    values = np.concatenate([np.full(1000, 1.0), np.full(10, 9.0)])
    made = drawn(values, np.array([9.0]))
    ticks = {label: down for down, label in made.positions.down}
    ((_, silent), (_, firing_)) = made.positions.areas
    assert silent == ()
    decade = ticks["10"] - ticks["100"]
    heights = sorted({down for _, down in firing_})[:2]
    edges, counts = cells(histogram(values), float(made.unit) / 2)
    density = np.sort(counts / np.diff(edges))[-2:]
    apart = np.log10(density[1] / density[0])
    assert heights[1] - heights[0] == pytest.approx(decade * apart, abs=0.3)


def overlapping(made: Distribution) -> list[tuple[str, str]]:
    """Return the labels that cover each other, letters taken as 6.6 units wide."""
    spans = []
    for mark in made.marks:
        wide = 6.6 * len(mark.label)
        start = mark.across - 6 - wide if mark.before else mark.across + 6
        spans.append((mark.down, start, start + wide, mark.label))
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


@pytest.mark.parametrize("optimum", [None, 30.0, 4000.0], ids=str)
def test_the_picture_is_as_large_as_the_drawing_and_marks_the_optimum(optimum):
    values = preactivations()
    made = distribution_picture("block4_conv3:17", histogram(values), values[:99], optimum)
    plan = distribution(histogram(values), values[:99], optimum)
    assert made.shape[1] == 2 * (plan.width + 48)
    purple = (made == (0x7A, 0x1F, 0xA2)).all(-1).any(0)
    assert purple.any() == (optimum is not None)


@pytest.mark.parametrize("inputs", [1, 3, 40, 700])
def test_every_corner_lies_inside_its_panel(inputs, curves_of):
    _, found = curves_of(random_part(inputs=inputs), min(10, inputs), 20)
    drawn = faithfulness_chart(found)
    assert [name for name, _ in drawn.names] == ["l2", "top_shift", "greedy", "best", "random"]
    for panel in drawn.panels:
        for _, points in (*panel.lines, *panel.areas):
            across, down = np.array(points).T
            assert panel.left <= across.min() and across.max() <= panel.right
            assert down.min() >= TOP and down.max() <= TOP + HEIGHT
        assert panel.left <= panel.mark <= panel.right
        assert panel.across[0][1] == str(inputs)
        assert [label for _, label in panel.down if label in ("0 %", "100 %")]


def test_a_line_stands_where_its_values_say(curves_of):
    _, found = curves_of(part([[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 4, 5]]), 1)
    panel = faithfulness_chart(found).panels[0]
    (line,) = [points for name, points in panel.lines if name == "l2"]
    down = [round(1 - (y - TOP) / HEIGHT, 3) for _, y in line]
    assert down == pytest.approx([0, 0.1, 0.5, 1], abs=0.002)
    assert line[0][0] == panel.left and line[-1][0] == panel.right
    assert panel.mark == line[1][0]


def test_the_ranking_shown_is_drawn_whatever_it_is(curves_of):
    _, found = curves_of(random_part(), 10, 20)
    drawn = faithfulness_chart(found, "covariance")
    assert drawn.names[-1] == ("covariance", "covariance")
    assert [name for name, _ in drawn.panels[0].areas] == ["random", "covariance"]


def test_the_picture_is_8_bit_colour_and_repeats_itself(curves_of):
    _, found = curves_of(random_part(), 10, 20)
    picture = faithfulness_picture("b:1", found)
    assert picture.dtype == np.uint8 and picture.shape[-1] == 3 and picture.std() > 0
    assert np.array_equal(picture, faithfulness_picture("b:1", found))


def test_a_filter_that_never_varies_is_drawn_without_lines(curves_of):
    _, found = curves_of(part(np.ones((9, 2))), 1)
    assert faithfulness_picture("b:1", found).shape[-1] == 3
