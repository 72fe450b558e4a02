"""Settings are read exactly: what does not fit is refused in words that help."""

import math
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Literal

import pytest
from asked import settings, values_of

from convscope.settings import (
    AscentSettings,
    ImageSettings,
    ModelSettings,
    TrackerSettings,
    read,
    setting_names,
    unknown,
)
from convscope.stages import rank
from convscope.text import closest


@dataclass(frozen=True)
class Inner:
    steps: int
    rate: float
    size: int | Literal["auto"]

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} is too small. It must be at least 1.")
        if self.rate > 5:
            raise ValueError("Nobody learns that fast.")


@dataclass(frozen=True)
class Outer:
    layer: str
    filter: int
    quick: bool
    root: str | None
    tags: tuple[str, ...]
    inner: Inner


def values(**changed: object) -> dict[str, object]:
    inner = {"steps": 3, "rate": 0.5, "size": "auto"}
    whole = {"layer": "a", "filter": 7, "quick": False, "root": None, "tags": [], "inner": inner}
    for name, value in changed.items():
        group, _, key = name.rpartition("__")
        (inner if group else whole)[key] = value
    return whole


def refusal(**changed: object) -> str:
    with pytest.raises(ValueError) as caught:
        read(Outer, values(**changed))
    return str(caught.value)


def test_every_value_arrives_with_its_type() -> None:
    made = read(Outer, values(root="/x", tags=["b", "c"], inner__rate=2, inner__size=31))
    assert made == Outer("a", 7, False, "/x", ("b", "c"), Inner(3, 2.0, 31))
    assert type(made.inner.rate) is float
    assert type(made.tags) is tuple


def test_settings_cannot_be_changed_afterwards() -> None:
    made = read(ModelSettings, values_of("model", "vgg16"))
    with pytest.raises(FrozenInstanceError):
        made.weights = "other"  # type: ignore[misc]


def test_an_unknown_key_is_named_as_it_is_typed_with_the_nearest_known_one() -> None:
    assert refusal(inner__stepz=3) == (
        "There is no setting 'inner.stepz'. inner has steps, rate and size."
        " Did you mean 'inner.steps'?"
    )
    assert refusal(layr="b") == (
        "There is no setting 'layr'. At the top there are layer, filter, quick, root, tags and"
        " inner. Did you mean 'layer'?"
    )


def test_an_unknown_key_in_a_group_is_found_before_a_missing_one_outside() -> None:
    assert refusal(layer=None, inner__stepz=3).startswith("There is no setting 'inner.stepz'.")


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert "Did you mean" not in refusal(zzzzzz=3)


def test_all_missing_values_are_told_at_once() -> None:
    assert refusal(layer=None) == "layer is missing. Add layer=... (text) to the command."
    assert refusal(layer=None, filter=None) == (
        "layer and filter are missing. Add layer=... (text) filter=... (a whole number) to the"
        " command."
    )
    assert refusal(inner__size=None) == (
        "inner.size is missing. Add inner.size=... (a whole number or auto) to the command."
    )


def test_a_missing_group_is_missing_and_a_value_is_no_group() -> None:
    assert refusal(inner=None).startswith("inner is missing.")
    assert refusal(inner=3) == "inner=3 does not fit. It takes one of its options."


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("filter", True, "filter=true does not fit. It takes a whole number."),
        ("filter", 7.0, "filter=7.0 does not fit. It takes a whole number."),
        ("filter", "7", "filter='7' does not fit. It takes a whole number."),
        ("quick", 1, "quick=1 does not fit. It takes true or false."),
        ("tags", "a", "tags='a' does not fit. It takes a list of text, like [a,b]."),
        ("tags", ["a", 3], "tags=['a', 3] does not fit. It takes a list of text, like [a,b]."),
        ("inner__rate", False, "inner.rate=false does not fit. It takes a finite number."),
        ("inner__rate", math.nan, "inner.rate=nan does not fit. It takes a finite number."),
        ("inner__rate", -math.inf, "inner.rate=-inf does not fit. It takes a finite number."),
        ("inner__rate", "fast", "inner.rate='fast' does not fit. It takes a finite number."),
        ("inner__size", 2.5, "inner.size=2.5 does not fit. It takes a whole number or auto."),
        ("layer", [1], "layer=[1] does not fit. It takes text."),
    ],
)
def test_a_value_of_a_wrong_type_is_refused(name: str, value: object, told: str) -> None:
    assert refusal(**{name: value}).startswith(told)


def test_a_number_too_large_for_a_float_is_refused() -> None:
    assert "does not fit. It takes a finite number." in refusal(inner__rate=10**400)


def test_a_number_where_text_is_needed_is_told_how_to_become_text() -> None:
    assert refusal(layer=17) == (
        "layer=17 does not fit. It takes text. To give this as text, quote it twice:"
        " layer='\"17\"'."
    )
    assert "root='\"2024\"'" in refusal(root=2024)


def test_a_layer_that_is_called_by_a_number_is_asked_for_by_it() -> None:
    asked = settings(rank, "layer=17", "filter=3")
    assert asked.layer == "17"
    assert settings(rank, "layer=007", "filter=3").layer == "007"
    with pytest.raises(ValueError, match=r"^layer=true does not fit\. It takes text"):
        settings(rank, "layer=true", "filter=3")


def test_a_mistyped_choice_gets_a_suggestion() -> None:
    assert refusal(inner__size="autp").endswith("Did you mean 'auto'?")


def test_a_range_error_names_the_setting_as_it_is_typed() -> None:
    assert refusal(inner__steps=0) == "inner.steps=0 is too small. It must be at least 1."
    assert refusal(inner__rate=6.0) == "Nobody learns that fast."


def test_a_last_part_alone_finds_its_setting() -> None:
    names = list(setting_names(Outer, values()))
    assert names[-4:] == ["inner", "inner.steps", "inner.rate", "inner.size"]
    assert closest("steps", names) == "inner.steps"
    assert closest("inner.layer", names) == "layer"
    assert closest("iner.steps", names) == "inner.steps"
    assert closest("nothing_like_it", names) is None
    assert unknown("iner.steps", names).startswith(
        "There is no setting 'iner.steps'. At the top there are layer,"
    )


ASCENT: dict[str, object] = values_of("ascent", "fourier")


def test_ascent_settings_at_the_edge_of_their_ranges_are_taken() -> None:
    edge = {"steps": 1, "decay": 0, "jitter": 0, "scale": 0, "rotate": 0, "chunk": 1, "size": 1}
    made = read(AscentSettings, ASCENT | edge, "ascent")
    assert (made.steps, made.decay, made.jitter, made.scale, made.rotate) == (1, 0.0, 0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("steps", 0, "At least 1"),
        ("chunk", 0, "At least 1"),
        ("attempts", 0, "At least 1"),
        ("size", 0, "At least 1"),
        ("decay", -0.1, "At least 0"),
        ("jitter", -1, "At least 0"),
        ("scale", -0.1, "At least 0"),
        ("rotate", -1, "At least 0"),
        ("learning_rate", 0, "Above 0"),
        ("deviation", 0.0, "Above 0"),
        ("scale", 1.0, "Below 1"),
        ("blur", -1, "At least 0"),
        ("noise", -0.1, "At least 0"),
        ("crops", -1, "At least 0"),
        ("total_variation", -1, "At least 0"),
        ("l1", -1, "At least 0"),
        ("l2", -1, "At least 0"),
        ("blur_decay", -1, "At least 0"),
        ("view", 0, "At least 1"),
        ("batch", 0, "At least 1"),
        ("size", [96, 0], "At least 1"),
        ("crop_largest", 0, "Above 0"),
        ("crop_smallest", 1.5, "At most 1"),
    ],
)
def test_ascent_settings_outside_their_ranges_are_refused(
    name: str, value: object, limit: str
) -> None:
    with pytest.raises(ValueError, match=rf"^ascent\.{name}=.* is too .*{limit}"):
        read(AscentSettings, ASCENT | {name: value}, "ascent")


def test_each_kind_of_photographs_has_settings_of_its_own() -> None:
    images = {"name": "samples", "size": 224, "fit": "crop", "batch": 8}
    made = read(ImageSettings, images, "images")
    assert (made.sides, made.root, made.labels) == ((224, 224), None, None)
    with pytest.raises(ValueError, match=r"^There is no setting 'images\.root'\. images has name,"):
        read(ImageSettings, images | {"root": "/x"}, "images")
    with pytest.raises(ValueError, match=r"^images\.root is missing\. Add images\.root="):
        read(ImageSettings, images | {"name": "folder"}, "images")
    own = {"root": "/x", "labels": "/y", "fit": "squash"}
    for name in ("folder", "imagenet_samples"):
        assert read(ImageSettings, images | own | {"name": name}, "images").labels == "/y"
    assert read(ImageSettings, images | {"name": "imagenet_samples"}, "images").root is None
    with pytest.raises(ValueError, match=r"^images\.batch=0 is too small"):
        read(ImageSettings, images | {"batch": 0}, "images")
    with pytest.raises(ValueError, match=r"^images\.name='foldr' does not .* mean 'folder'\?$"):
        read(ImageSettings, images | {"name": "foldr"}, "images")


def test_the_tracker_knows_three_modes() -> None:
    tracker = {"name": "wandb", "project": "p", "mode": "offline", "group": None, "tags": ["a"]}
    assert read(TrackerSettings, tracker).tags == ("a",)
    with pytest.raises(ValueError, match="It takes offline, online or disabled"):
        read(TrackerSettings, tracker | {"mode": ""})


def test_reading_settings_imports_nothing_beyond_the_standard_library() -> None:
    source = Path(str(read.__globals__["__file__"])).read_text()
    assert not any(name in source for name in ("numpy", "tensorflow", "omegaconf", "hydra"))


def test_a_group_is_no_suggestion_for_a_setting_inside_it():
    known = ["ascent", "ascent.steps", "layer"]
    assert "Did you mean" not in unknown("ascent.foo", known)
    assert unknown("ascent.stepz", known).endswith("Did you mean 'ascent.steps'?")


def test_pairs_are_read_as_their_types_say():
    @dataclass(frozen=True)
    class Pairs:
        weights: dict[int, float]

    assert read(Pairs, {"weights": {17: 1, 42: -0.5}}).weights == {17: 1.0, 42: -0.5}
    assert read(Pairs, {"weights": {}}).weights == {}
    for wrong in ({"a": 1}, {1: "b"}, [1, 2], 7):
        with pytest.raises(ValueError, match=r"takes pairs of a whole number and a finite number"):
            read(Pairs, {"weights": wrong})


def test_only_pixels_bear_a_step_that_moves_all_numbers_alike():
    with pytest.raises(ValueError, match=r"optimizer=normalized moves all .* add ascent=pixel"):
        read(AscentSettings, ASCENT | {"optimizer": "normalized"}, "ascent")


def test_a_canvas_has_one_side_or_two():
    assert read(AscentSettings, ASCENT | {"size": [40, 60]}, "ascent").size == (40, 60)
    with pytest.raises(ValueError, match=r"ascent.size=\[1, 2, 3\] has 3 numbers"):
        read(AscentSettings, ASCENT | {"size": [1, 2, 3]}, "ascent")


def test_the_items_of_a_list_may_be_of_several_kinds_told_apart_by_their_type():
    @dataclass(frozen=True)
    class Circle:
        type: Literal["circle"]
        radius: float

    @dataclass(frozen=True)
    class Square:
        type: Literal["square"]
        side: int

    @dataclass(frozen=True)
    class Drawing:
        shapes: tuple[Circle | Square, ...]
        holes: tuple[Circle, ...]

    given = [{"type": "square", "side": 3}, {"type": "circle", "radius": 2}]
    made = read(Drawing, {"shapes": given, "holes": given[1:]}, "drawing")
    assert made == Drawing((Square("square", 3), Circle("circle", 2.0)), (Circle("circle", 2.0),))
    for shapes, message in (
        ([given[0], {"type": "circel"}], r"drawing.shapes\[1\].type='circel' .* 'circle'\?"),
        ([{"type": "circle"}], r"drawing.shapes\[0\].radius is missing"),
        ([{"type": "square", "side": 0.5}], r"drawing.shapes\[0\].side=0.5 does not fit"),
        ([{"type": 3}], r"drawing.shapes\[0\].type=3 does not fit. It takes circle or square"),
        ([[]], r"drawing.shapes\[0\]=\[\] does not fit. It takes a mapping with a type"),
        ("circle", "drawing.shapes='circle' does not fit. It takes a list of mappings"),
        (None, "drawing.shapes is missing"),
    ):
        with pytest.raises(ValueError, match=message):
            read(Drawing, {"shapes": shapes, "holes": []}, "drawing")
    with pytest.raises(ValueError, match=r"drawing.holes\[0\].type='square' does not fit"):
        read(Drawing, {"shapes": [], "holes": given}, "drawing")
