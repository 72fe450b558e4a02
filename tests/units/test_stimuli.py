"""Drawn stimuli against closed forms, on sides odd and even."""

import numpy as np
import pytest

from convscope.units import stimuli

SIZES = [(33, 33), (31, 40), (50, 51), (3, 3)]
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("size", SIZES)
def test_every_stimulus_has_its_size_and_lies_in_the_unit_range(size):
    for kind, shown in stimuli.battery(size):
        count = np.prod([len(axis) for axis in shown.axes.values()])
        assert shown.images.shape == (count, *size, 3), kind
        assert shown.images.dtype == np.float32
        assert np.isfinite(shown.images).all()
        assert shown.images.min() >= 0 and shown.images.max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_a_grating_is_grey_on_average_over_its_phases(size):
    phases = np.arange(0, 360, 45)
    shown = stimuli.gratings(size, np.array([0, 37.5]), np.array([0.11]), phases, (0.25, 1))
    images = shown.images.reshape(2, 1, 8, 2, *size, 3)
    np.testing.assert_allclose(images.mean(axis=2), 0.5, atol=1e-6)
    assert np.ptp(images[..., 0, :, :, :]) <= 0.25 + 1e-6


@pytest.mark.parametrize(
    ("orientation", "row", "column"), [(0, 6, 0), (90, 0, 6), (45, 6, 6), (135, 6, -6)]
)
def test_a_gratings_spectrum_has_its_peak_where_it_should(orientation, row, column):
    # Bars that rise to the right change downwards and rightwards.
    pace = np.hypot(row, column) / 48
    shown = stimuli.gratings((48, 48), np.array([orientation]), np.array([pace]), np.array([20.0]))
    spectrum = np.abs(np.fft.fft2(shown.images[0, ..., 0] - 0.5))
    spectrum[0, 0] = 0
    peaks = {tuple(place) for place in np.argwhere(spectrum > 0.99 * spectrum.max())}
    assert peaks == {(row % 48, column % 48), (-row % 48, -column % 48)}
    assert spectrum.max() == pytest.approx(48 * 48 / 4, rel=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (33, 33), (24, 31)])
def test_half_a_turn_maps_stimuli_onto_those_half_a_circle_on(size):
    angles = np.arange(0, 360, 30.0)
    for shown in (
        stimuli.edges(size, angles),
        stimuli.corners(size, angles),
        stimuli.arcs(size, np.array([4.0]), angles),
        stimuli.pairs(size, angles),
    ):
        first, second = np.split(shown.images, 2)
        np.testing.assert_allclose(first[:, ::-1, ::-1], second, atol=1e-5)
    lines = stimuli.lines(size, np.arange(0, 180, 30.0)).images
    np.testing.assert_allclose(lines[:, ::-1, ::-1], lines, atol=1e-5)


@pytest.mark.parametrize("side", [32, 33])
def test_a_quarter_of_a_turn_is_that_of_the_image(side):
    angles = np.array([20.0, 110.0])
    for shown in (
        stimuli.edges((side, side), angles),
        stimuli.corners((side, side), angles),
        stimuli.arcs((side, side), np.array([5.0]), angles),
        stimuli.pairs((side, side), angles),
    ):
        first, second = np.split(shown.images, 2)
        np.testing.assert_allclose(np.rot90(first, axes=(1, 2)), second, atol=1e-5)


def test_an_edge_brightens_towards_its_angle():
    right, up = stimuli.edges((9, 9), np.array([0.0, 90.0])).images[..., 0]
    np.testing.assert_array_equal(right[0], [0, 0, 0, 0, 0.5, 1, 1, 1, 1])
    np.testing.assert_array_equal(up[:, 0], [1, 1, 1, 1, 0.5, 0, 0, 0, 0])


def test_an_edge_is_covered_by_parts():
    shown = stimuli.edges((33, 33), np.array([17.0])).images[0, ..., 0]
    assert shown.mean() == pytest.approx(0.5, abs=1e-6)
    assert ((shown > 0) & (shown < 1)).any()


def test_lines_and_arcs_have_the_ink_of_their_length():
    straight = stimuli.lines((65, 65), np.array([0.0, 90.0])).images[..., 0]
    width = 65 / 16
    np.testing.assert_allclose(
        (straight - 0.5).sum(axis=(1, 2)) / 65 / (width / 2), [1, -1, 1, -1], atol=0.01
    )
    arc = stimuli.arcs((65, 65), np.array([10.0]), np.array([30.0])).images[0, ..., 0]
    assert (arc - 0.5).sum() == pytest.approx(np.pi * 10 * width / 2, rel=0.03)


def test_a_disk_has_its_area_and_an_infinite_one_fills_the_image():
    shown = stimuli.disks((65, 64), np.array([20.0, np.inf])).images[..., 0]
    assert (shown[0] - 0.5).sum() == pytest.approx(np.pi * 400 / 2, rel=0.01)
    assert (shown[2] == 1).all() and (shown[3] == 0).all()


def test_hues_have_the_luma_of_grey_and_none_is_cut():
    shown = stimuli.hues((7, 7), np.arange(0, 360, 15.0)).images
    np.testing.assert_allclose(shown @ LUMA, 0.5, atol=1e-5)
    colours = stimuli.rgb(np.arange(0, 360, 15.0))
    assert colours.min() > 0 and colours.max() < 1
    np.testing.assert_allclose(shown[:24, 3, 3], colours, atol=1e-6)
    assert colours[0].argmax() == 2 and colours[6].argmax() == 0


def test_textures_differ_in_frequency_alone():
    shown = stimuli.textures((64, 64), np.array([0.0, 90.0])).images[..., 0]
    assert np.ptp(shown.std(axis=(1, 2))) < 0.05
    np.testing.assert_allclose(np.rot90(shown[0]), shown[1], atol=1e-5)


def test_the_slowest_grating_fits_into_the_side():
    assert stimuli._frequencies((5, 9), 8)[[0, -1]] == pytest.approx([0.2, 0.45])
    assert stimuli._frequencies((196, 196), 8)[0] == 0.02
