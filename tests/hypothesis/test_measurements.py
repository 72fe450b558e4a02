"""What claims are tested with follows from what a run measured."""

from types import SimpleNamespace

import numpy as np

from convscope.hypothesis import measurements


def measured(**profile):
    return measurements.Measurements(
        None, None, None, None, (), character=SimpleNamespace(**profile)
    )


def test_the_share_that_each_exemplar_keeps_is_its_own():
    moves = [SimpleNamespace(kind=kind) for kind in ("mirror", "scale", "scale")]
    kept = np.array([[2.0, 1.0, 4.0, 0.0], [0.0, 5.0, 5.0, 5.0], [10.0, 5.0, 1.0, 2.0]])
    found = SimpleNamespace(
        moves=moves, kept=kept, of=lambda kind: [i for i, m in enumerate(moves) if m.kind == kind]
    )
    curves = measured(invariance=found).curves
    assert curves["mirror"].tolist() == [[0.5], [0.5]]  # the silent one is left out
    assert curves["scale"].tolist() == [[2.0, 0.0], [0.1, 0.2]]
    assert measured(invariance=None).curves == {}


def test_the_orientation_of_a_filter_is_drawn_anew_by_phases():
    angles = np.arange(0, 180, 45.0)
    grating = np.zeros((4, 2, 3, 1, 2))
    grating[1, 1, :, 0, 0] = (1, 2, 3)  # one orientation at one frequency: an index of 1
    measures = {"osi": np.array([1.0, np.nan])}
    tuned = SimpleNamespace(
        axes={"grating": {"orientation": angles}}, sets={"grating": grating}, measures=measures
    )
    found, p = measurements.tunings(tuned, 0)["orientation"]
    assert found.images == 3 and found.value == 1.0
    np.testing.assert_allclose(found.draws, 1.0)
    assert p < 0.1
    assert measurements.tunings(tuned, 1) == {}


def test_the_change_is_that_of_a_plain_loop():
    u = np.array([[1.0, -2.0, 0.5], [3.0, -1.0, 0.0]])
    z, mean = np.array([-0.5, 2.0]), np.array([0.5, -3.0, 0.0])
    given = measurements.Positions(u, z, np.arange(2), 0.0, mean)
    assert given.changed([1]).tolist() == [0.0, -2.0]
    assert given.changed([0, 2]).tolist() == [0.0, -2.0]
    assert given.changed([]).tolist() == [0.0, 0.0]
