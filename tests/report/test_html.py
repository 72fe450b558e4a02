"""What all pages share: templates, pictures as text, words for values."""

import jinja2
import numpy as np
import pytest
from browser import decoded
from results import texture

from convscope.data.photograph import data_uri
from convscope.report.html import breakable, flat, picture, render
from convscope.text import aligned, words

DASH, MINUS, SPACE = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


def test_an_image_comes_back_from_its_uri_pixel_by_pixel():
    image = texture(1, 20, 30)
    assert np.array_equal(decoded(data_uri(image)), image)
    assert data_uri(image, format="WEBP", quality=80).startswith("data:image/webp;base64,")


def test_a_large_picture_is_made_smaller_and_a_tiny_one_keeps_its_pixels():
    large = picture(texture(1, 100, 200), 64)
    assert decoded(str(large["uri"])).shape == (32, 64, 3)
    assert large["pixelated"] is False
    tiny = texture(1, 5, 7)
    assert picture(tiny, 64) == {"uri": data_uri(tiny), "pixelated": True}


def test_nested_settings_have_dotted_names():
    nested = {
        "layer": "a",
        "ascent": {"steps": 3, "inner": {"x": None}},
        "stage": {"direction": {}},
    }
    assert flat(nested) == {
        "layer": "a", "ascent.steps": 3, "ascent.inner.x": None, "stage.direction": {}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, DASH), (True, "yes"), (np.bool_(False), "no"), (0.1, "0.1"), (12, "12"),
     ([1, None], f"1, {DASH}"), ((), "none"), ("a", "a")],
)  # fmt: skip
def test_a_value_is_told_in_words(value, said):
    assert words(value) == said


def test_digits_of_a_value_can_be_asked_for():
    assert words(np.float32(-0.123456), 2) == f"{MINUS}0.12"


def test_the_points_of_a_column_align():
    assert aligned([12.5, 0.25, None]) == ["12.50", "0.25", DASH]
    assert aligned([1.5, -0.25], "signed") == ["+1.500", f"{MINUS}0.250"]
    assert aligned([0.125], "percent") == [f"12.50{SPACE}%"]
    assert aligned([3], "rank") == ["3"]


def test_a_name_breaks_before_its_filter_and_is_escaped():
    assert breakable("<b>:3") == "&lt;b&gt;<wbr>:3"


def test_a_name_that_a_template_misses_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="units"):
        render("maximize.html")
