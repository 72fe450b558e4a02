"""Positions at which one input alone keeps a filter silent."""

import pytest
from parts import part

from convscope.circuits.effects import silencing


def test_silencing_is_counted_where_the_filter_would_fire_without_the_input():
    # z = -2, 1, -1, 0 over two photographs; without the second input 1, 1, -1, 2.
    given = part([[1, -3], [1, 0], [-1, 0], [2, -2]], of=[0, 0, 1, 1])
    (found,) = silencing(given, [1])
    assert (found.channel, found.share) == (1, 0.5)
    assert found.active == 1.0  # the one position at which it inhibits most
    assert found.photographs == (0, 1) and found.positions == (1, 1)


def test_an_input_that_prevents_nothing_has_no_photographs():
    (found,) = silencing(part([[1, -0.5], [1, 0]]), [1])
    assert found.share == found.active == pytest.approx(0) and found.photographs == ()
