"""How a unit's preactivation is spread, as a picture."""

import pytest
from histograms import histogram, preactivations

from convscope.report.figures.charts import distribution_picture, spread


@pytest.mark.parametrize("optimum", [None, 30.0, 4000.0], ids=str)
def test_the_picture_is_as_large_as_the_drawing_and_marks_the_optimum(optimum):
    values = preactivations()
    made = distribution_picture("block4_conv3:17", histogram(values), values[:99], optimum)
    plan = spread(histogram(values), values[:99], optimum)
    assert made.shape[1] == 2 * (plan.width + 48)
    purple = (made == (0x7A, 0x1F, 0xA2)).all(-1).any(0)
    assert purple.any() == (optimum is not None)
