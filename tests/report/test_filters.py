"""The page of a whole layer: its mosaics, its table, and a gallery that is searched by group."""

import html
import io
import math
import re
from base64 import b64decode
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from browser import TOOLS, browse, decoded, fits, needs_browser, overflow, tags
from PIL import Image
from responses import (
    BIRDS,
    DOGS,
    FIELD,
    ROWS,
    activations,
    photographs,
    responses_of,
)  # fmt: skip
from results import NOTHING, summary, texture, whole_layer

from convscope.activations.dataset_examples import shrunk
from convscope.data.labels import Labels
from convscope.report.figures.grids import mosaic
from convscope.report.filters import (
    UnitSummary,
    facts,
    layer_page,
    notes,
    rows,
    sheet,
    summaries,
)  # fmt: skip
from convscope.units import selectivity
from convscope.units.responses import Responses

FACTS = {"network": "vgg16"}
SETTINGS = {"layer": "block4_conv3", "images": {"fit": "crop", "root": None}}
NOTES = ["Eleven photographs are few."]
URI = r"data:image/[a-z]+;base64,[\w+/=]+"


def page(units: list[UnitSummary], **changed: Any) -> str:
    given: dict[str, Any] = {"facts": FACTS, "settings": SETTINGS, "notes": NOTES}
    return layer_page(units, **(given | changed))


@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_page_asks_for_nothing(count):
    text = page(whole_layer()[:count])
    assert not re.search(r"https?:|@import|fetch\(|XMLHttp|<iframe|<object|url\(|file:", text)
    found = tags(text)
    sources = [given["src"] for tag, given in found if tag == "img"]
    assert len(sources) == count
    assert all(source.startswith("data:") for source in sources)
    links = {given["href"] for _, given in found if "href" in given}
    assert all(re.match(r"data:,|#block4_conv3-", link) for link in links)
    (policy,) = [given for _, given in found if given.get("http-equiv")]
    assert policy["content"].startswith("default-src 'none'; img-src data:; style-src")


@pytest.mark.exhaustive
def test_a_page_of_a_whole_layer_stays_modest():
    crops = tuple(texture(seed, 100, 100) for seed in range(9))
    words = tuple(f"group of classes number {count}" for count in range(12))
    text = page([summary(number, crops=crops, words=words) for number in range(512)])
    assert len(re.findall(URI, text)) == 512
    # Noise: photographs take half of it.
    assert len(text.encode()) < 16_000_000
    assert len(re.sub(URI, "", text)) < 1_500_000
    assert decoded(re.findall(URI, text)[0]).shape == (228, 228, 3)


def test_the_mosaics_of_few_filters_are_as_fine_as_their_crops():
    crops = tuple(texture(seed, 70, 90) for seed in range(9))
    (shown,) = [decoded(uri) for uri in re.findall(URI, page([summary(crops=crops)]))]
    assert shown.shape == (270, 270, 3)
    assert np.abs(shown.astype(float) - mosaic(crops, 270)).mean() < 20


def test_mosaics_of_tiny_crops_are_kept_without_loss_and_shown_as_pixels():
    crops = tuple(texture(seed, 5, 5) for seed in range(9))
    text = page([summary(crops=crops)])
    (uri,) = re.findall(URI, text)
    assert uri.startswith("data:image/png")
    assert np.array_equal(decoded(uri), mosaic(crops, 144))
    assert '<img class="picture pixels"' in text


@pytest.mark.parametrize("size", [5, 60])
def test_the_page_is_seen_where_a_crop_is_missing(size):
    square = np.zeros((size, size, 3), np.uint8)
    few = {"labels": ("beagle",) * 4, "activations": (1.0,) * 4, "crops": (square,) * 4}
    (uri,) = re.findall(URI, page([summary(**few)]))
    image = Image.open(io.BytesIO(b64decode(uri.split(",")[1])))
    assert image.mode == "RGBA"
    side = image.width // 3
    cover = np.asarray(image)[side // 2 :: side, side // 2 :: side, 3]
    assert cover.tolist() == [[255, 255, 255], [255, 0, 0], [0, 0, 0]]


def test_a_filter_without_any_crop_still_has_its_tile():
    text = page([summary(1), summary(2, crops=(), labels=(), activations=())])
    assert text.count('class="tile"') == 2


def test_a_filter_is_told_with_all_that_is_known():
    asked = ["images=folder", "images.root=my photographs"]
    text = html.unescape(page([summary(17, avoids="car"), summary(2)], asked=asked))
    for name, words in {
        "fires for": "hunting dog",
        "also fires for": "dog, animal",
        "avoids": "car",
        "q": "0.0020",
        "firing rate": "12 % of positions above zero",
        "sparseness": "0.50",
        "activation": "217.0, the largest on any photograph",
        "network": "vgg16",
        "images.fit": "crop",
    }.items():
        assert f"<dt>{name}</dt><dd>{words}</dd>" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "<dt>AUROC</dt><dd>0.88, 95\N{NO-BREAK SPACE}% interval 0.80 to 0.93<span" in text
    assert '<i style="left:80.0%;right:calc(100% - 93.0%)"></i><b style="left:87.5%">' in text
    command = "python run.py stage=rank layer=block4_conv3 filter=17 images=folder"
    assert f">{command} 'images.root=my photographs'</code>" in text
    assert "<li><b>beagle</b> <span>217</span></li>" in text
    assert "<li><b>\N{EN DASH}</b> <span>215</span></li>" in text
    assert "<li>Eleven photographs are few.</li>" in text


def test_what_is_not_significant_is_told_with_its_q():
    text = page([whole_layer()[6]])
    assert "<dt>group</dt><dd>dog: not significant</dd>" in text
    assert '<span class="caption"><span class="group">dog, q 0.50</span>' in text
    assert 'class="caption found"' not in text
    assert "No filter fires for a class or group beyond chance (q &lt; 0.05)." in text
    none = page([summary(**NOTHING, words=())])
    assert "<dt>group</dt><dd>none stands out</dd>" in none
    assert "AUROC</dt>" not in none


def test_what_is_not_a_number_is_a_dash():
    text = page([summary(auroc=np.nan, q=None, low=None)])
    assert "<dt>AUROC</dt><dd>\N{EN DASH}</dd>" in text
    assert "<dt>q</dt><dd>not tested</dd>" in text
    assert 'data-numbers="[17.0, 0.125, null, null, 0.5, 217.0]"' in text


def test_the_head_says_so_where_nothing_could_be_tested() -> None:
    text = layer_page(whole_layer(), {}, {}, [], tested=False)
    assert "No class or group could be tested; 1 is silent on every photograph." in text


def test_the_head_counts_what_was_found():
    assert "3 of 20 filters fire for a class or group (q &lt; 0.05); 1 is silent" in page(
        whole_layer()
    )
    assert "<h1>Which photographs excite 20 filters of block4_conv3</h1>" in page(whole_layer())
    one = page([summary()])
    assert "1 of 1 filter fires for a class or group (q &lt; 0.05)." in one
    assert "<h1>Which photographs excite block4_conv3:17</h1>" in one


def test_the_groups_that_most_filters_fire_for_are_offered_with_their_counts():
    chips = re.findall(r'data-search="(.*?)".*?>(.*?) <b>(\d+)</b>', page(whole_layer()))
    assert [(html.unescape(search), words, int(many)) for search, words, many in chips] == [
        ("selective", "selective", 3),
        ("avoiding", "avoiding", 2),
        ("silent", "silent", 1),
        ('fires:"bird"', "bird", 2),
        ('fires:"hunting dog"', "hunting dog", 1),
    ]
    many = [summary(number, best=f"group {number}", words=()) for number in range(30)]
    assert page(many).count('data-search="fires:') == 8


def test_hostile_names_are_shown_and_not_run():
    hostile = '"><script>alert(1)</script>\n|'
    words = {"layer": hostile, "best": hostile, "avoids": hostile, "words": (hostile,)}
    made = summary(**words, labels=(hostile,) * 9)
    facts = {"facts": {hostile: hostile}, "notes": [hostile], "settings": {hostile: hostile}}
    text = page([made], asked=[hostile], **facts)
    assert "<script>alert" not in text
    assert sum(tag == "script" for tag, _ in tags(text)) == 1


def test_the_same_layer_gives_the_same_bytes():
    assert page(whole_layer()) == page(whole_layer())


@pytest.mark.parametrize(
    ("made", "received"),
    [
        ([], "Received: 0 filters, 0 of them different"),
        ([summary(1), summary(1)], "Received: 2 filters, 1 of them different"),
        ([summary(labels=("a",))], "block4_conv3:17: 9 crops, 1 labels and 9 activations"),
    ],
    ids=["none", "twice", "labels"],
)
def test_filters_that_cannot_be_shown_are_refused(made, received):
    with pytest.raises(ValueError, match=received):
        page(made)


@pytest.mark.parametrize("count", [1, 2, 7, 64, 100])
def test_a_sheet_shows_every_mosaic(count):
    height, width, _ = sheet([summary(number) for number in range(count)]).shape
    assert width <= 2700
    assert count < 7 or 0.6 < width / height < 1.7


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="needs at least one filter"):
        sheet([])


@needs_browser
def test_a_layer_is_searched_by_number_group_class_and_words(tmp_path):
    animals = [2, 3, 4]
    asked = {
        "17": [17],
        "3-5, 19": [3, 4, 5, 19],
        "animal": animals,
        "bird": [3, 4],
        "BIR": [3, 4],
        "dog": [2],
        "hunting dog": [2],
        '"dog"': [2],
        '"hunting"': [],
        '"hunting': [2],
        "hunting-dog": [2],
        "fires:dog": [2],
        'fires:"hunting dog"': [2],
        "fires:beagle": [],
        "fires:": animals,
        "avoids:dog": [4, 5],
        "avoids:": [4, 5],
        "avoiding": [4, 5],
        "class:beagle": [2, 3, 4, 5, 6],
        "beagle 5-": [5, 6],
        "class:dog": [],
        "silent": [7],
        "selective": animals,
        "selective avoiding": [4],
        "conv3:11": [11],
        "rot:dog": [],
    }
    script = f"""
    const found = {{}};
    for (const words of {list(asked)}) found[words] = [type(words), find("shown").textContent];
    found.nothing = [type("nonsense"), find("nothing").hidden];
    found.all = [type(" , ").length, find("nothing").hidden];
    return found;
    """
    found = browse(page(whole_layer()), TOOLS + script, tmp_path)
    assert found.pop("nothing") == [[], False]
    assert found.pop("all") == [20, True]
    assert found == {words: [wanted, f"{len(wanted)} of 20"] for words, wanted in asked.items()}


@needs_browser
def test_a_chip_looks_for_its_group_and_is_let_go_again(tmp_path):
    made = [*whole_layer(), summary(30, best="bird of prey", words=("bird of prey", "bird"))]
    script = """
    return [...document.querySelectorAll("[data-search]")].map((chip) => {
      chip.click();
      const [found, pressed] = [tiles().length, chip.getAttribute("aria-pressed")];
      const said = Number(chip.querySelector("b").textContent);
      chip.click();
      return [chip.textContent, said === found, pressed, find("search").value, tiles().length];
    });
    """
    found = browse(page(made), TOOLS + f"return {{ it: (() => {{{script}}})() }};", tmp_path)["it"]
    assert [text for text, *_ in found] == [
        "selective 4", "avoiding 2", "silent 1", "bird 3", "bird of prey 1", "hunting dog 1"
    ]  # fmt: skip
    assert [rest for _, *rest in found] == [[True, "true", "", 21]] * 6


@needs_browser
def test_a_layer_is_sorted_by_every_figure_which_each_tile_then_shows(tmp_path):
    made = whole_layer()
    script = """
    const values = () => tiles().slice(0, 2).map((one) => one.querySelector(".value").textContent);
    return { orders: [0, 1, 2, 3, 4, 5].map((key) => [order(String(key)), values()]) };
    """
    orders = browse(page(made), TOOLS + script, tmp_path)["orders"]

    def sorted_by(key, down):
        known = [one for one in made if key(one) is not None]
        ordered = sorted(known, key=key, reverse=down)
        return [one.filter for one in (*ordered, *(one for one in made if key(one) is None))]

    assert [found for found, _ in orders] == [
        list(range(20)),
        sorted_by(lambda one: one.firing_rate, True),
        sorted_by(lambda one: one.auroc, True),
        sorted_by(lambda one: one.q, False),
        list(range(20)),
        sorted_by(lambda one: one.activation, True),
    ]
    assert orders[2][0][:5] == [3, 2, 4, 6, 5]
    space = "\N{NO-BREAK SPACE}"
    assert [values[0] for _, values in orders] == [
        "AUROC \N{EN DASH}", f"fires 20{space}%", "AUROC 0.90", "q 1.0e\N{MINUS SIGN}06",
        "sparse 0.50", "peak 219",
    ]  # fmt: skip


@needs_browser
def test_a_filter_opens_large_with_a_crop_for_each_photograph(tmp_path):
    script = """
    const view = find("view");
    tiles()[2].focus();
    tiles()[2].click();
    const items = () => [...view.querySelectorAll(".nine li")];
    const found = { open: view.open, title: title(), hash: location.hash, many: items().length };
    found.labels = items().slice(0, 3).map((one) => one.textContent.trim());
    found.alt = items()[4].querySelector("img").alt;
    const within = (one, whole) => {
      const [a, b] = [one.getBoundingClientRect(), whole.getBoundingClientRect()];
      return [(a.left - b.left) / b.width, (a.top - b.top) / b.height, b.width / a.width];
    };
    const cut = items()[5].querySelector(".cut");
    found.place = within(cut, cut.firstElementChild).map((one) => Math.round(300 * one));
    press("ArrowRight", view);
    found.next = [title(), location.hash, items().length];
    find("close").click();
    await soon(() => !view.open && document.activeElement.hash === "#block4_conv3-3");
    return found;
    """
    found = browse(page(whole_layer()), TOOLS + script, tmp_path)
    assert found == {
        "open": True,
        "title": "block4_conv3:2",
        "hash": "#block4_conv3-2",
        "many": 9,
        "labels": ["beagle 202", "tench 201", "\N{EN DASH} 200"],
        "alt": "Crop 5",
        "place": [200, 100, 900],
        "next": ["block4_conv3:3", "#block4_conv3-3", 9],
    }


@needs_browser
def test_a_link_to_a_filter_opens_it(tmp_path):
    script = "return { title: title(), text: find('view').querySelector('.command').textContent };"
    found = browse(page(whole_layer()), TOOLS + script, tmp_path, "#block4_conv3-11")
    assert found["title"] == "block4_conv3:11"
    assert found["text"] == "python run.py stage=rank layer=block4_conv3 filter=11"


@needs_browser
@pytest.mark.parametrize(
    "kind",
    ["layer", *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in ("large", "one"))],
)
def test_nothing_runs_over_the_edge_of_a_narrow_page(kind, tmp_path):
    long = "an_uncommonly_long_name_of_a_group_of_classes_without_a_space"
    names = {"best": long, "avoids": long, "words": (long, "dog"), "labels": (long,) * 9}
    odd = replace(summary(1023, **names), layer="conv4_block23_concat")
    made = [odd] if kind == "one" else [*whole_layer(), odd]
    anchor = "#conv4_block23_concat-1023" if kind == "large" else ""
    text = page(made, asked=["images.root=/data/" + "deep/" * 30])
    widths = (390, 820, 1440)
    assert overflow(text, widths, tmp_path, anchor) == fits(widths)


RED, BLUE = (255, 0, 0), (0, 0, 255)
COLUMNS = (
    "layer", "filter", "firing_rate", "sparseness", "activation", "group", "side", "auroc", "low",
    "high", "q", "avoids",
)  # fmt: skip


def solid(height: int, width: int, colour: tuple[int, int, int] = RED) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def test_the_rows_of_the_table_are_what_is_known_of_each_filter():
    assert [tuple(row) for row in rows([summary(1), summary(2)])] == [COLUMNS] * 2
    first, second, third = rows([summary(17), summary(3, **NOTHING), whole_layer()[5]])
    assert list(first.values()) == [
        "block4_conv3", 17, 0.125, 0.5, 217.0, "hunting dog", "fires", 0.875, 0.8, 0.93, 0.002, None
    ]  # fmt: skip
    assert list(second.values())[5:] == [None] * 7
    assert (third["group"], third["side"], third["avoids"]) == ("dog", "avoids", "dog")


def test_a_mosaic_has_its_crops_in_rows_and_paper_where_there_is_none():
    picture = mosaic([solid(5, 5, (place, 0, 0)) for place in range(7)], 31)
    assert picture.dtype == np.uint8
    assert picture.shape == (31, 31, 3)
    centres = picture[5::10, 5::10][:3, :3].reshape(9, 3)
    assert centres.tolist() == [[place, 0, 0] for place in range(7)] + [[255] * 3] * 2


@pytest.mark.parametrize("shape", [(30, 90), (90, 30), (1, 64), (64, 1), (3, 2), (300, 200)])
def test_the_middle_of_a_crop_fills_its_square(shape):
    crop = solid(*shape)
    long = int(np.argmax(shape))
    side = min(shape)
    near = math.ceil(3 * max(side / 20, 1))  # as far as the filter that makes it smaller reaches
    ends = np.arange(shape[long]) < (shape[long] - side) // 2 - near
    np.moveaxis(crop, long, 0)[ends] = BLUE
    picture = mosaic([crop], 60)
    assert (picture[:20, :20] == RED).all()
    assert (picture[20:] == 255).all()


def test_crops_of_a_few_pixels_are_enlarged_as_pixels():
    crop = texture(3, 3, 3)
    picture = mosaic([crop] * 9, 3 * 3 * 7)
    assert np.array_equal(picture[21:42, 42:], crop.repeat(7, axis=0).repeat(7, axis=1))


@pytest.mark.parametrize(
    ("count", "side", "received"), [(10, 30, "10 crops, side=30"), (1, 2, "1 crops, side=2")]
)
def test_a_mosaic_of_too_many_crops_or_too_few_pixels_is_refused(count, side, received):
    with pytest.raises(ValueError, match=f"at least 3 pixels. Received: {received}"):
        mosaic([solid(4, 4)] * count, side)


CHIHUAHUA, BEAGLE, *_ = DOGS
NAMES = [
    "n02123045_0.png",  # a tabby, broken
    *(f"{wnid}_{number}.png" for wnid in (*DOGS, *BIRDS) for number in range(6)),
    "new\nline.png",
    "gone.png",  # broken
]
GOOD = range(1, 26)
PLAIN, FIRES, SILENT, AVOIDS = range(4)  # the filters, by what they do
MAPS = activations(len(NAMES), filters=4)
MAPS[1:7, ..., FIRES] += 20  # Chihuahuas
MAPS[..., SILENT] = -np.abs(MAPS[..., SILENT])
MAPS[1:7, ..., AVOIDS] -= 20
PEAKS = MAPS.max((1, 2))


@pytest.fixture(scope="module")
def responses(tmp_path_factory) -> Responses:
    """What photographs did to the four filters."""
    paths = photographs(tmp_path_factory.mktemp("photographs"), NAMES, broken=(0, 26))
    return responses_of(tmp_path_factory.mktemp("index"), paths, MAPS)


def told(responses: Responses) -> list[UnitSummary]:
    """Return what is said about each of the four filters, its crops in another order."""
    studies = list(responses.studies(range(4)))
    *_, crops = responses.crops(range(4), 9)
    return summaries(responses, {filter: shown[::-1] for filter, shown in crops.items()}, studies)


def test_a_filter_is_summed_up_with_its_figures_and_its_crops_by_rank(responses):
    for filter, found in enumerate(told(responses)):
        assert (found.layer, found.filter) == ("conv", filter)
        assert found.firing_rate == (MAPS[GOOD][..., filter] > 0).mean()
        assert found.activation == PEAKS[GOOD, filter].max()
        top = responses.top(filter, 9)
        assert found.activations == tuple(hit.activation for hit in top)
        assert found.labels == tuple(hit.label for hit in top)
        for crop, example in zip(found.crops, responses.show(top), strict=True):
            np.testing.assert_array_equal(crop, shrunk(example.crop, 9))
    excited = PEAKS[GOOD, PLAIN].astype(float)
    share = excited.mean() ** 2 / (excited**2).mean()
    assert told(responses)[PLAIN].sparseness == pytest.approx((1 - share) / (1 - 1 / 25))


def test_the_best_name_of_a_filter_stands_with_its_parents_and_the_q_of_all_filters(responses):
    plain, fires, silent, avoids = told(responses)
    assert (fires.best, fires.side, fires.avoids) == ("Chihuahua", "fires", None)
    assert fires.words == ("Chihuahua", "dog")
    assert (avoids.best, avoids.side, avoids.avoids) == ("Chihuahua", "avoids", "Chihuahua")
    assert avoids.words == ()
    (one,), (other,) = responses.study(FIRES).fires, responses.study(AVOIDS).avoids
    assert (fires.auroc, fires.low, fires.high) == (one.auroc, one.low, one.high) != (0, 0, 0)
    assert (avoids.auroc, avoids.low, avoids.high) == (other.auroc, other.low, other.high)
    # Classes share their halves: all eight groups count, and the classes that were chosen.
    tests = [test for study in responses.studies(range(4)) for test in study.family]
    assert sum(test.kind == "group" for test in tests) == 8
    smallest = sorted(test.p for test in tests)[:2]
    assert smallest == sorted([one.p, other.p])
    assert fires.q == avoids.q == pytest.approx(max(smallest) * len(tests) / 2)
    assert fires.q > one.q
    for nothing in (plain, silent):
        assert nothing.best is nothing.auroc is nothing.low is nothing.high is nothing.q is None
        assert (nothing.words, nothing.avoids, nothing.side) == ((), None, "fires")


def test_a_silent_filter_is_summed_up(responses):
    silent = told(responses)[SILENT]
    assert silent.silent and silent.marks == ("silent",)
    assert (silent.firing_rate, silent.sparseness) == (0, None)
    assert silent.activation <= 0


def test_plain_classes_have_no_parents(responses):
    keys = tuple({CHIHUAHUA: "cat", BEAGLE: "dog"}.get(key, key) for key in responses.labels.keys)
    names = {"cat": "a cat", "dog": "a dog"} | BIRDS
    other = replace(responses, labels=Labels(keys, names, "folders"))
    study = other.study(FIRES)
    (found,) = summaries(other, {FIRES: ()}, [study])
    assert (found.words, found.crops) == (("a cat",), ())


def test_a_group_is_not_its_own_parent(responses):
    study = responses.study(FIRES)
    (dog,) = (one for one in study.groups if one.name == "dog")
    study = replace(study, fires=(dog, *study.fires))
    (found,) = summaries(responses, {FIRES: ()}, [study])
    assert found.words == ("dog", "Chihuahua", "dog")


def test_facts_state_the_network_the_photographs_and_the_filter(responses):
    assert facts(responses, FIRES, "own weights") == {
        "network": "tiny",
        "weights": "own weights",
        "filter": "1 of conv",
        "receptive field": "9 x 13 pixels, a position every 4 x 5",
        "photographs": "25 at 33 x 33 (crop)",
        "fires at": f"{100 * (MAPS[GOOD][..., FIRES] > 0).mean():.1f} % of positions on the"
        " photographs",
        "sparseness": f"{selectivity.sparseness(PEAKS[GOOD, FIRES]):.2f}",
        "score of a photograph": "peak activation",
        "classes": "from file names",
    }
    assert facts(responses, SILENT, "own")["sparseness"] == "\N{EN DASH}"
    several = facts(replace(responses, score="mean"), None, "own")
    assert list(several) == [
        "network", "weights", "receptive field", "photographs", "score of a photograph", "classes"
    ]  # fmt: skip
    assert several["score of a photograph"] == "mean activation"


def test_notes_say_how_names_were_found_and_what_was_set_aside(responses):
    assert notes(responses, "own weights") == [
        "These are the weights 'own weights'. A filter's number means nothing beyond one set of"
        " weights.",
        "Names are chosen on one half of the photographs and tested on the other; a hash of each"
        " file decides which half it is in. What is not tested may still be true.",
        "2 files were set aside: tables/skipped.csv says why.",
    ]


def test_photographs_without_labels_need_no_note_on_names(tmp_path):
    made = responses_of(
        tmp_path / "home", photographs(tmp_path / "p", ["a.png", "b.png"]), activations(2)
    )
    assert not made.labelled
    assert facts(made, 0, "own")["classes"] == "none known"
    assert [note.split(".")[0] for note in notes(made, "own")] == ["These are the weights 'own'"]
    (hit, _) = made.top(0, 2)
    assert hit.wnid is hit.label is None
    (note,) = made.study(0).notes
    assert note.startswith("The photographs have no labels")


@pytest.mark.parametrize(
    ("count", "note"),
    [
        (1, "1 activation lies beyond what the index can hold: kept as 65504."),
        (2, "2 activations lie beyond what the index can hold: kept as 65504."),
    ],
)
def test_notes_count_what_the_index_could_not_hold(tmp_path, count, note):
    maps = activations(2)
    maps[:count, ROWS - 1, 0, 2] = 70_000
    made = responses_of(tmp_path / "home", photographs(tmp_path / "p", ["a.png", "b.png"]), maps)
    assert notes(made, "own")[1:] == [note]
    assert made.top(2, 1)[0].activation == 65504
    assert made.field == FIELD


def test_of_a_layer_without_positions_the_whole_square_is_the_field(tmp_path):
    made = responses_of(
        tmp_path / "home", photographs(tmp_path / "p", ["a.png"]), activations(1)[:, :1, :1],
        field=None, fit="squash",
    )  # fmt: skip
    assert facts(made, None, "own")["receptive field"].startswith("33 x 33 pixels")
