"""The explorer drawing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convscope.report.figures.canvas import kernel_tile
from convscope.report.figures.explorer import (
    GRAPH_WIDTH,
    HEAD,
    MEAN,
    OPTIMUM,
    PICTURE,
    ROW,
    SCALE,
    STRENGTH,
    TILE,
    Arrow,
    Column,
    InputRow,
    Node,
    UnitPictures,
    diagram,
    explorer,
)
from convscope.unit import Unit


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return a random image."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def pictures(name: str = "block4_conv2:133", **other: Any) -> UnitPictures:
    """Return a unit with everything it can have."""
    crops = (noise(31, 31, 1), noise(31, 31, 2))
    unit = UnitPictures(name, noise(40, 40), 41.5, 3.25, True, crops, (12.0, 9.5))
    return replace(unit, **other)


def row(kernel: np.ndarray, label: str = "excitatory", **other: Any) -> InputRow:
    """Return an input whose strength is that of `kernel`."""
    edge = {
        "source": Unit("block4_conv2", 133), "channel": 133, "rank": 1, "kernel": kernel,
        "l2": float(np.sqrt((kernel**2).sum())), "share": 0.1, "sign_index": 0.5, "label": label,
        "mostly": "mostly excitatory", "pattern": "other", "angle": None, "mean": 0.25,
        "top_shift": 0.0, "drive": 0.0, "release": 0.0, "ablation": 0.0, "ablation_top": 0.0,
        "effect": label, "functional_sign": 0.5, "confidence": 1.0, "unit": pictures(),
    }  # fmt: skip
    return InputRow(**edge | other)


def draw(*rows: InputRow, unit: UnitPictures | None = None) -> np.ndarray:
    """Return the explorer of `rows` with a limit of 1."""
    unit = unit or pictures("block4_conv3:17")
    return explorer(unit, rows, title="Title", subtitle="Subtitle", limit=1.0)


def test_the_explorer_holds_every_tile_pixel_for_pixel():
    kernels = [np.random.default_rng(seed).uniform(-1, 1, (3, 3)) for seed in (0, 1)]
    page = draw(*(row(kernel) for kernel in kernels))
    for index, kernel in enumerate(kernels):
        top = 2 * (HEAD + index * ROW + 8)
        side = 2 * PICTURE
        shown = page[top : top + side, 2 * TILE :][:, :side]
        assert np.array_equal(shown, kernel_tile(kernel, 1.0, side))


def test_the_explorer_grows_with_its_rows_and_repeats_itself_exactly():
    kernel = np.ones((3, 3), np.float32)
    one, two = draw(row(kernel)), draw(row(kernel), row(kernel))
    assert one.dtype == np.uint8
    assert two.shape == (one.shape[0] + 2 * ROW, one.shape[1], 3)
    assert np.array_equal(two, draw(row(kernel), row(kernel)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 5), (11, 11)])
@pytest.mark.parametrize("label", ["excitatory", "inhibitory", "mixed", "negligible"])
def test_the_explorer_draws_every_shape_and_label(shape, label):
    assert draw(row(np.full(shape, 0.5), label)).std() > 0


def test_the_explorer_draws_inputs_without_optimum_crops_or_strength():
    colours = [
        pictures(f"image:{name}", optimum=None, activation=None, activation_mean=None,
                 alive=None, crops=(), crop_activations=())
        for name in ("red", "green", "blue")
    ]  # fmt: skip
    page = draw(*(row(np.zeros((3, 3)), unit=unit) for unit in colours))
    middle = 2 * (OPTIMUM + 50), 2 * (HEAD + 60)
    shown = [tuple(page[middle[1] + 2 * index * ROW, middle[0]]) for index in range(3)]
    assert shown == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_a_unit_that_is_not_alive_is_never_shown_as_a_result():
    dead = pictures(alive=False)
    assert dead.picture is None
    assert dead.absence == "not alive"
    empty = replace(dead, optimum=None)
    kernel = np.ones((3, 3))
    assert np.array_equal(draw(row(kernel, unit=dead)), draw(row(kernel, unit=empty)))
    assert np.array_equal(draw(row(kernel), unit=dead), draw(row(kernel), unit=empty))


def test_names_are_drawn_as_they_are_and_made_to_fit():
    page = draw(row(np.ones((3, 3)), unit=pictures(r"conv_$\frac{" + "x" * 90 + ":1023")))
    left, right = 2 * (STRENGTH - 20), 2 * STRENGTH - 4
    assert (page[2 * HEAD + 20 : -60, left:right][:60] == 255).all()


def test_what_an_input_does_is_drawn_below_what_its_weights_say():
    kernel = np.full((3, 3), 0.5)
    measured = {"top_shift": 2.0, "ablation": -1.0, "effect": "inhibitory", "functional_sign": -0.5}
    plain, full = draw(row(kernel)), draw(row(kernel, **measured))
    assert plain.shape == full.shape
    middle = 2 * (HEAD + 8 + PICTURE // 2 + 22 + 16 + 4)
    assert (full[middle, 2 * (STRENGTH + 75) + 4 : 2 * (STRENGTH + 150) - 4] == (176, 11, 26)).all()
    assert (full[middle, 2 * MEAN + 4 : 2 * (MEAN + 75) - 4] == (24, 83, 198)).all()
    assert not (plain[middle, 2 * MEAN + 4 : 2 * (MEAN + 75) - 4] == (24, 83, 198)).any()


RED, BLUE = (176, 11, 26), (24, 83, 198)


def graph(value):
    inputs = tuple(Node(f"a:{at}", np.zeros((9, 9, 3), np.uint8)) for at in range(4))
    columns = [
        Column("two back", (Node("x:0"), Node("x:1")),
               (Arrow("x:0", "a:0", value), Arrow("x:1", "a:0", value)), True),
        Column("inputs", inputs, tuple(Arrow(it.name, "b:0", value) for it in inputs)),
        Column("unit", (Node("b:0", remark="the unit"),), (Arrow("b:0", "c:7", value),)),
        Column("read by", (Node("c:7", kernel=np.ones((3, 3)) * value),)),
    ]  # fmt: skip
    return diagram(columns, "title", "subtitle")


def has(page, colour):
    return bool((page == colour).all(axis=-1).any())


def test_what_raises_is_red_and_what_lowers_is_blue():
    up, down = graph(2.0), graph(-2.0)
    assert up.dtype == np.uint8 and up.shape[1] == SCALE * GRAPH_WIDTH
    assert has(up, RED) and not has(up, BLUE)
    assert has(down, BLUE) and not has(down, RED)


def test_an_arrow_of_no_size_and_a_column_without_units_can_be_graph():
    page = diagram(
        [Column("none", ()), Column("one", (Node("a:0"),), (Arrow("a:0", "b:0", 0.0),)),
         Column("two", (Node("b:0"),))], "title", "subtitle",
    )  # fmt: skip
    assert page.shape[1] == SCALE * GRAPH_WIDTH


def test_the_same_graph_is_the_same_picture():
    np.testing.assert_array_equal(graph(1.0), graph(1.0))
