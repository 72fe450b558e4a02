"""The drawing of faithfulness: every corner inside its panel, and the picture of it."""

import numpy as np
import pytest
from parts import part, random_part

from convscope.report.figures.charts import HEIGHT, TOP, chart, faithfulness_picture
from tests.circuits.test_faithfulness import curves_of


@pytest.mark.parametrize("inputs", [1, 3, 40, 700])
def test_every_corner_lies_inside_its_panel(inputs):
    _, found = curves_of(random_part(inputs=inputs), min(10, inputs), 20)
    drawn = chart(found)
    assert [name for name, _ in drawn.names] == ["l2", "top_shift", "greedy", "best", "random"]
    for panel in drawn.panels:
        for _, points in (*panel.lines, *panel.areas):
            across, down = np.array(points).T
            assert panel.left <= across.min() and across.max() <= panel.right
            assert down.min() >= TOP and down.max() <= TOP + HEIGHT
        assert panel.left <= panel.mark <= panel.right
        assert panel.across[0][1] == str(inputs)
        assert [label for _, label in panel.down if label in ("0 %", "100 %")]


def test_a_line_stands_where_its_values_say():
    _, found = curves_of(part([[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 4, 5]]), 1)
    panel = chart(found).panels[0]
    (line,) = [points for name, points in panel.lines if name == "l2"]
    down = [round(1 - (y - TOP) / HEIGHT, 3) for _, y in line]
    assert down == pytest.approx([0, 0.1, 0.5, 1], abs=0.002)
    assert line[0][0] == panel.left and line[-1][0] == panel.right
    assert panel.mark == line[1][0]


def test_the_ranking_shown_is_drawn_whatever_it_is():
    _, found = curves_of(random_part(), 10, 20)
    drawn = chart(found, "covariance")
    assert drawn.names[-1] == ("covariance", "covariance")
    assert [name for name, _ in drawn.panels[0].areas] == ["random", "covariance"]


def test_the_picture_is_8_bit_colour_and_repeats_itself():
    _, found = curves_of(random_part(), 10, 20)
    picture = faithfulness_picture("b:1", found)
    assert picture.dtype == np.uint8 and picture.shape[-1] == 3 and picture.std() > 0
    assert np.array_equal(picture, faithfulness_picture("b:1", found))


def test_a_filter_that_never_varies_is_drawn_without_lines():
    _, found = curves_of(part(np.ones((9, 2))), 1)
    assert faithfulness_picture("b:1", found).shape[-1] == 3
