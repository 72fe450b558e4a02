"""The page of a network without classes: the photographs that its features put near each other."""

import re

import numpy as np
import pytest
from browser import fits, needs_browser, overflow, tags

from convscope.report.neighbours import AGREEMENTS, COLUMNS, Neighbourhood

SIZES = (1280, 390)


def made(count=40, labelled=True, control=True, classes=4, strength=3.0, **others):
    """Photographs of some classes, whose features lie around their class's."""
    random = np.random.default_rng(0)
    codes = np.arange(count) % classes
    centres = random.normal(size=(classes, 12))
    features = (strength * centres[codes] + random.normal(size=(count, 12))).astype(np.float32)
    names = {f"class{code}": f"class {code}" for code in range(classes)}
    given = {
        "network": "tiny", "source": "somewhere", "layer": "end", "names": names,
        "origin": "folders", "sides": (64, 96), "fit": "crop", "skipped": 0,
    }  # fmt: skip
    return Neighbourhood.of(
        labels=[f"class{code}" if labelled else None for code in codes],
        features=features,
        control=random.normal(size=(count, 12)).astype(np.float32) if control else None,
        count=5, images=[f"photo-{at}.png" for at in range(count)], **given | others,
    )  # fmt: skip


def views(count=40):
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (12, 18, 3), np.uint8) for _ in range(count)]


def test_rows_and_agreements_are_of_their_columns():
    found = made()
    assert len(found.rows()) == 40 * 5
    for row in found.rows():
        said = dict(zip(COLUMNS, row, strict=True))
        assert said["same_class"] == (said["truth"] == said["neighbour_truth"])
        assert said["same_kind"] == said["same_class"]  # plain names have no groups
    for row in found.agreement_rows():
        assert dict(zip(AGREEMENTS, row, strict=True))["photographs"] == 40
    shares = {one.what: one.share for one in found.agreements if one.count == 1}
    own = [row[1] == row[4] for row in found.rows() if row[2] == 1]
    assert shares["class"] == pytest.approx(np.mean(own))


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ({}, "It sees: the nearest photograph to 1"),
        ({"control": False}, "It sees: the nearest photograph to 1"),
        ({"strength": 0.0}, "It tells photographs apart no better than chance: "),
        ({"count": 12}, "Too few photographs to tell whether it sees: "),
        ({"labelled": False}, "No two of these photographs are labelled alike, so "),
        ({"count": 12, "classes": 12}, "No two of these photographs are labelled alike, so "),
    ],
    ids=["sees", "no control", "chance", "few", "no labels", "all differ"],
)
def test_the_verdict_follows_from_the_numbers(given, start):
    if given.get("count") == 12 and "classes" not in given:
        given = given | {"strength": 0.3}
    found = made(**given)
    assert found.verdict.startswith(start)
    assert found.lines() == [found.verdict]
    assert ("with random weights" in found.verdict) == (found.main is not None and found.controlled)
    assert any("chance alone" in note for note in found.notes) == (not found.controlled)
    sees = found.summary()["classify/sees"]
    assert sees is (None if found.main is None else found.main.clear)
    few = found.main is not None and found.main.few
    assert any("are few" in note for note in found.notes) == few == (start[:3] == "Too")


def test_photographs_without_a_class_are_shown_and_do_not_count():
    found = made(count=40)
    some = [None if at % 3 else "class0" for at in range(40)]
    mixed = Neighbourhood.of(
        labels=some, features=np.random.default_rng(2).normal(size=(40, 6)).astype(np.float32),
        control=None, count=3, images=found.images, network="tiny", source="", layer="end",
        names={}, origin="a table", sides=(9, 9), fit="crop", skipped=2,
    )  # fmt: skip
    assert {one.photographs for one in mixed.agreements} == {14}
    assert all(one.share == one.chance == 1 for one in mixed.agreements)
    unknown = [row for row in mixed.rows() if row[1] is None or row[4] is None]
    assert unknown and all(row[6] is None and row[7] is None for row in unknown)
    assert any("2 files were set aside" in note for note in mixed.notes)


def test_the_page_asks_for_nothing_and_holds_each_photograph_once():
    page = made(names={"class0": "<script>alert(1)</script>"}).page(views(), 10, {"model": "tiny"})
    assert not re.search(r"https?:|@import|fetch\(|XMLHttp|<iframe|<object|<img", page)
    uris = re.findall(r'url\("(data:image/webp;base64,[^"]*)"\)', page)
    assert 10 <= len(uris) == len(set(uris)) <= 40
    assert "<script>alert" not in page
    shown = [given for tag, given in tags(page) if "tile" in given.get("class", "").split()]
    assert len(shown) == 10 * 6 and all(given["role"] == "img" for given in shown)
    assert "10 of 40, those with the nearest neighbours" in page


def test_the_picture_shows_rows_of_a_photograph_and_its_neighbours():
    drawn = made().picture(views())
    assert drawn.dtype == np.uint8 and drawn.shape[0] > 24 * 112 and drawn.shape[1] > 6 * 112


@needs_browser
def test_nothing_runs_over_the_edge_on_wide_and_narrow_screens(tmp_path):
    assert overflow(made().page(views(), 40, {"model": "tiny"}), SIZES, tmp_path) == fits(SIZES)
