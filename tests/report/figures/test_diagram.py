"""The graph of a circuit as a picture."""

import numpy as np

from convscope.report.figures.explorer import GRAPH_WIDTH, SCALE, Arrow, Column, Node, diagram

RED, BLUE = (176, 11, 26), (24, 83, 198)


def drawn(value):
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
    up, down = drawn(2.0), drawn(-2.0)
    assert up.dtype == np.uint8 and up.shape[1] == SCALE * GRAPH_WIDTH
    assert has(up, RED) and not has(up, BLUE)
    assert has(down, BLUE) and not has(down, RED)


def test_an_arrow_of_no_size_and_a_column_without_units_can_be_drawn():
    page = diagram(
        [Column("none", ()), Column("one", (Node("a:0"),), (Arrow("a:0", "b:0", 0.0),)),
         Column("two", (Node("b:0"),))], "title", "subtitle",
    )  # fmt: skip
    assert page.shape[1] == SCALE * GRAPH_WIDTH


def test_the_same_graph_is_the_same_picture():
    np.testing.assert_array_equal(drawn(1.0), drawn(1.0))
