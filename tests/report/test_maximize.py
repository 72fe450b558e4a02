"""The HTML page of a maximize run."""

import html
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from browser import TOOLS, browse, decoded, fits, needs_browser, overflow, tags
from PIL import Image
from results import optimum, texture

from convscope.report.maximize import OptimumSummary, by_unit, facts, maximize_page, notes, rows
from convscope.unit import WHOLE

FACTS = {"network": "vgg16"}
SETTINGS = {"layer": "block4_conv3", "ascent": {"steps": 96, "size": None}}
NOTES = ["Eleven photographs are few."]
URI = r"data:image/[a-z]+;base64,[\w+/=]+"


def page(cards: list[OptimumSummary], **changed: Any) -> str:
    given: dict[str, Any] = {"facts": FACTS, "settings": SETTINGS, "notes": NOTES}
    return maximize_page(cards, **(given | {"positions": 8624} | changed))


def layer() -> list[OptimumSummary]:
    """Forty filters: 7 is not alive, 11 and 12 are weak, 30 diverged, 5 was not compared."""
    made = [
        optimum(number, activation=100.0 + 37 * number % 41, seconds=1 + number * 7 % 40)
        for number in range(40)
    ]
    made[7] = replace(made[7], alive=False, activation=-1.5, quantile=0.3)
    made[11] = replace(made[11], quantile=0.95)
    made[12] = replace(made[12], quantile=0.99)
    made[30] = replace(made[30], stopped=31, curve=np.array([1.0, 2.0, np.nan]))
    made[5] = replace(made[5], quantile=None)
    return made


@pytest.mark.parametrize("count", [1, 3, 40])
def test_the_page_asks_for_nothing_but_the_files_beside_it(count):
    made = page([replace(one, animation="images/a.webp") for one in layer()[:count]])
    assert not re.search(r"https?:|@import|fetch\(|XMLHttp|<iframe|<object|url\(", made)
    found = tags(made)
    sources = [given["src"] for tag, given in found if tag == "img" and "src" in given]
    assert len(sources) == count
    assert all(source.startswith("data:") for source in sources)
    links = {given["href"] for tag, given in found if "href" in given}
    assert all(re.match(r"data:,|#block4_conv3-|images/", link) for link in links)
    policy = [given for _, given in found if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0]["content"].startswith("default-src 'none'; img-src data: 'self' file:;")


def test_few_images_are_in_the_page_as_they_are():
    made = [optimum(number, image=texture(number, 30, 50)) for number in range(16)]
    shown = [decoded(uri) for uri in re.findall(URI, page(made))]
    assert all(np.array_equal(a, b.image) for a, b in zip(shown, made, strict=True))


def test_many_images_are_made_smaller_and_keep_their_shape():
    images = [texture(number, 200, 300) for number in range(4)]
    made = [optimum(number, image=images[number % 4]) for number in range(200)]
    text = page(made)
    shown = [decoded(uri) for uri in re.findall(URI, text)]
    assert {image.shape for image in shown} == {(107, 161, 3)}
    small = np.asarray(Image.fromarray(images[0]).resize((161, 107), Image.Resampling.LANCZOS))
    assert np.abs(shown[0].astype(float) - small).mean() < 16


def test_a_page_of_a_whole_layer_stays_modest():
    images = [texture(number, 96, 96) for number in range(8)]
    made = [optimum(number, image=images[number % 8]) for number in range(512)]
    text = page(made)
    assert len(re.findall(URI, text)) == 512
    assert len(text.encode()) < 6_000_000


def test_one_image_is_told_with_all_that_is_known():
    text = page([optimum(quantile=1 - 1 / 8624, animation="images/block4_conv3-17-0.webp")])
    assert "<h1>What excites block4_conv3:17 most</h1>" in text
    assert "The image reaches 217.0: above all but 1 of 8,624 positions on photographs." in text
    for name, words in {
        "activation": "217.0, the peak on the saved image",
        "mean of the map": "\N{MINUS SIGN}1.50 at the start, 40.0 at the end",
        "score": "120 after 32 updates",
        "time": "2.5 s",
        "network": "vgg16",
        "ascent.steps": "96",
    }.items():
        assert f"<dt>{name}</dt><dd>{words}</dd>" in text
    assert '<article class="piece card" id="block4_conv3-17-0">' in text
    assert 'data-play="images/block4_conv3-17-0.webp"' in text
    assert "<li>Eleven photographs are few.</li>" in text


def test_samples_of_both_signs_stand_in_pairs():
    made = [optimum(17, sample, sign) for sign in (1, -1) for sample in range(2)]
    text = page(made)
    titles = re.findall(r"<article.*?<h2>(.*?)</h2>", text, re.DOTALL)
    assert titles == [
        "Positive, sample 0", "Negative, sample 0", "Positive, sample 1", "Negative, sample 1"
    ]  # fmt: skip
    assert "<h1>What excites block4_conv3:17 most, and what it dislikes</h1>" in text
    assert "\N{MINUS SIGN}217.0, the lowest on the saved image" in text


def test_only_negative_images_are_introduced_as_such():
    assert "<h1>What block4_conv3:17 dislikes most</h1>" in page([optimum(sign=-1)])
    both = page([optimum(1, sign=-1), optimum(2, sign=-1)])
    assert "<h1>What 2 filters of block4_conv3 dislike most</h1>" in both


def test_a_layer_as_a_whole_has_a_name_and_no_number():
    whole = {"name": "block5_conv3:whole", "layer": "block5_conv3", "filter": -1}
    assert "<h1>What excites block5_conv3:whole most</h1>" in page([optimum(**whole)])
    assert "<b>whole</b>" in page([optimum(1), replace(optimum(), **whole)])


@pytest.mark.parametrize("count", [1, 2])
def test_what_stands_against_an_image_is_told_in_words(count):
    warned = optimum(1, quantile=0.9, stopped=31)
    dead = optimum(1, 1, alive=False, quantile=0.2)
    for one, marks in ((warned, ["weak", "diverged"]), (dead, ["not alive"])):
        text = page([one, optimum(2)][:count])
        assert re.findall(r'<span class="mark">(.*?)</span>', text) == marks
        assert re.findall(r'<p class="warning">(.*?)</p>', text) == list(one.warnings)
        assert text.count(' faded">') == (one is dead)


def test_a_gallery_counts_what_stands_against_its_images():
    text = page(layer())
    assert "40 images by gradient ascent: 2 weak, 1 not alive and 1 diverged." in text
    assert "2 images by gradient ascent: all alive, none weak." in page(layer()[:2])
    assert "2 images by gradient ascent: all alive." in page(layer()[4:6])


def test_the_curve_of_an_ascent_goes_from_its_first_to_its_last_update():
    text = page([optimum(curve=np.array([-10.0, 20.0, 15.0, 30.0]))])
    assert '<path class="line" d="M0 320L333 80L667 120L1000 0"/>' in text
    assert '<path class="zero" d="M0 240H1000"/>' in text
    assert "from \N{MINUS SIGN}10.0 to 30.0, at most 30.0" in text


def test_a_curve_that_diverged_ends_at_a_mark():
    text = page([optimum(curve=np.array([1.0, 2.0, 3.0, np.inf, np.nan]), stopped=4)])
    assert '<path class="line" d="M0 320L333 160L667 0"/>' in text
    assert '<path class="end" d="M1000 0V320"/>' in text
    assert "diverged at the dashed line" in text


@pytest.mark.parametrize("curve", [[], [3.0], [np.nan, np.nan, 1.0]])
def test_without_a_curve_nothing_is_drawn(curve):
    assert "<svg" not in page([optimum(curve=np.array(curve))])


def test_a_level_curve_is_drawn():
    assert 'd="M0 0L500 0L1000 0"' in page([optimum(curve=np.full(3, 7.0))])


def test_a_long_curve_is_drawn_with_a_bounded_number_of_points():
    text = page([optimum(curve=np.arange(4096.0))])
    (path,) = re.findall(r'class="line" d="([^"]+)"', text)
    assert 60 < path.count("L") < 80
    assert path.endswith("L1000 0")


def test_hostile_names_are_shown_and_not_run():
    hostile = '"><script>alert(1)</script>'
    words = {"name": hostile, "layer": hostile, "file": f"images/{hostile}.png"}
    for made in ([optimum(**words)], [optimum(1, **words), optimum(2)]):
        text = page(made, facts={hostile: hostile}, notes=[hostile], settings={hostile: hostile})
        assert "<script>alert" not in text
        assert sum(tag == "script" for tag, _ in tags(text)) == 1


def test_the_same_run_gives_the_same_bytes():
    assert page(layer()) == page(layer())


@pytest.mark.parametrize(
    ("made", "received"),
    [([], "0 images from 0 files"), ([optimum(1), optimum(1)], "2 images from 1 files")],
    ids=["none", "twice"],
)
def test_images_that_are_none_or_the_same_are_refused(made, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        page(made)


@needs_browser
def test_a_gallery_is_searched_by_number_range_and_words(tmp_path):
    made = layer()
    asked = {
        "17": [17],
        "3 17,30": [3, 17, 30],
        "10-12": [10, 11, 12],
        "38-": [38, 39],
        "weak": [11, 12],
        "we": [11, 12],
        "dead": [7],
        "Not Alive": [7],
        "diverged": [30],
        "alive 6-8": [6, 8],
        "weak 12 13": [12],
        "conv3:17": [17],
        "negative": [],
        "positive 39": [39],
    }
    script = f"""
    const found = {{}};
    for (const words of {list(asked)}) found[words] = [type(words), find("shown").textContent];
    found.nothing = [type("nonsense"), find("nothing").hidden];
    found.all = [type(" ").length, find("nothing").hidden];
    return found;
    """
    found = browse(page(made), TOOLS + script, tmp_path)
    assert found.pop("nothing") == [[], False]
    assert found.pop("all") == [40, True]
    assert found == {words: [wanted, f"{len(wanted)} of 40"] for words, wanted in asked.items()}


@needs_browser
def test_a_gallery_is_sorted_by_every_quantity_and_turned_round(tmp_path):
    made = layer()
    script = """
    const found = { start: numbers(), orders: [0, 1, 2, 3, 4].map((key) => order(String(key))) };
    order("1");
    found.words = find("direction").textContent;
    find("direction").click();
    found.turned = numbers();
    type("20-25");
    found.few = numbers();
    return found;
    """
    found = browse(page(made), TOOLS + script, tmp_path)

    def sorted_by(key, down=True):
        known = [one for one in made if key(one) is not None]
        ordered = sorted(known, key=key, reverse=down)
        ordered += [one for one in made if key(one) is None]
        return [one.filter for one in ordered]

    assert found["start"] == found["orders"][0] == list(range(40))
    assert found["orders"][1] == sorted_by(lambda one: one.activation)
    assert found["orders"][2] == list(range(40))
    assert found["orders"][3] == sorted_by(lambda one: one.quantile)
    assert found["orders"][3][-1] == 5  # not compared: last either way
    assert found["orders"][4] == sorted_by(lambda one: one.seconds)
    assert found["words"] == "\N{DOWNWARDS ARROW} largest first"
    assert found["turned"] == sorted_by(lambda one: one.activation, down=False)
    wanted = [one for one in found["turned"] if 20 <= one <= 25]
    assert found["few"] == wanted


@needs_browser
def test_a_search_for_one_sign_leaves_half_of_each_pair(tmp_path):
    made = [optimum(number, 0, sign) for number in range(3) for sign in (1, -1)]
    script = """
    const chip = document.querySelector('[data-search="negative"]');
    chip.click();
    const found = { links: tiles().map((one) => one.hash), said: find("shown").textContent };
    found.pressed = [chip.getAttribute("aria-pressed"), find("search").value];
    found.sorted = (order("1"), tiles().map((one) => one.hash));
    chip.click();
    found.again = [tiles().length, chip.getAttribute("aria-pressed")];
    return found;
    """
    found = browse(page(made), TOOLS + script, tmp_path)
    links = [f"#block4_conv3-{number}-0-negative" for number in range(3)]
    assert found["links"] == found["sorted"] == links
    assert found["said"] == "3 of 6"
    assert found["pressed"] == ["true", "negative"]
    assert found["again"] == [6, "false"]


@needs_browser
def test_a_link_to_an_image_opens_it_large_with_all_facts(tmp_path):
    script = """
    const view = find("view");
    const found = { open: view.open, title: title(), place: find("place").textContent };
    found.facts = view.querySelector(".facts").innerText.replace(/\\n/g, " ");
    found.warning = view.querySelector(".warning").textContent;
    found.same = view.querySelector("img").src === tiles()[11].querySelector("img").src;
    found.curve = view.querySelectorAll("svg .line").length;
    return found;
    """
    found = browse(page(layer()), TOOLS + script, tmp_path, "#block4_conv3-11-0")
    assert found["open"] is True
    assert found["title"] == "block4_conv3:11, weak"
    assert found["place"] == "12 of 40"
    assert "above all but 5.0\N{NO-BREAK SPACE}% of 8,624 positions" in found["facts"]
    assert found["warning"].startswith("Weak: ")
    assert found["same"] is True
    assert found["curve"] == 1


@needs_browser
def test_an_unknown_link_opens_nothing(tmp_path):
    script = "return { open: find('view').open };"
    found = browse(page(layer()), TOOLS + script, tmp_path, "#block4_conv3-99-0")
    assert found == {"open": False}


@needs_browser
def test_the_large_view_goes_on_in_the_order_shown_and_gives_the_focus_back(tmp_path):
    script = """
    const view = find("view");
    type("10-14");
    order("0");
    find("direction").click();
    tiles()[1].click();
    const found = { seen: [[title(), location.hash, find("place").textContent]] };
    const note = () => found.seen.push([title(), location.hash, find("place").textContent]);
    press("ArrowRight", view); note();
    find("after").click(); note();
    press("ArrowLeft", view); note();
    press("End", view);
    for (const _ of "12345") press("ArrowRight", view);
    note();
    found.last = [find("before").disabled, find("after").disabled];
    const closed = new Promise((tell) => view.addEventListener("close", tell));
    find("close").click();
    await closed;
    found.after = [view.open, location.hash, document.activeElement.hash];
    location.hash = "#block4_conv3-3-0";
    await soon(() => view.open);
    found.hidden = [title(), find("place").textContent];
    return found;
    """
    found = browse(page(layer()), TOOLS + script, tmp_path)
    views = [(13, 2), (12, 3), (11, 4), (12, 3), (10, 5)]
    marks = {11: ", weak", 12: ", weak"}
    assert found["seen"] == [
        [f"block4_conv3:{number}{marks.get(number, '')}", f"#block4_conv3-{number}-0",
         f"{place} of 5"]
        for number, place in views
    ]  # fmt: skip
    assert found["last"] == [False, True]
    assert found["after"] == [False, "", "#block4_conv3-10-0"]
    assert found["hidden"] == ["block4_conv3:3", "4 of 40"]


@needs_browser
def test_arrow_keys_go_from_image_to_image_and_only_one_is_a_stop_of_tab(tmp_path):
    script = """
    const here = () => Number(document.activeElement.hash.split("-")[1]);
    const across = tiles().filter((one) => one.offsetTop === tiles()[0].offsetTop).length;
    const found = { across, stops: tiles().filter((one) => one.tabIndex === 0).length };
    tiles()[0].focus();
    found.way = ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp", "End", "Home"]
      .map((key) => (press(key), here()));
    found.stop = tiles().filter((one) => one.tabIndex === 0).map((one) => one.hash);
    press("/");
    found.search = document.activeElement.id;
    return found;
    """
    found = browse(page(layer()), TOOLS + script, tmp_path)
    across = found["across"]
    assert across > 3
    assert found["stops"] == 1
    assert found["way"] == [1, 1 + across, across, 0, 0, 39, 0]
    assert found["stop"] == ["#block4_conv3-0-0"]
    assert found["search"] == "search"


@needs_browser
def test_files_beside_the_page_are_shown_in_full_and_as_ascent(tmp_path):
    made = [replace(one, animation=one.file.replace("png", "webp")) for one in layer()[:3]]
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(texture(1, 60, 90)).save(tmp_path / made[1].file)
    frames = [Image.fromarray(texture(seed, 60, 70)) for seed in range(3)]
    frames[0].save(tmp_path / made[1].animation, save_all=True, append_images=frames[1:])
    script = """
    const picture = find("view").querySelector("img");
    const button = () => find("view").querySelector("[data-play]");
    const found = { beside: await soon(() => picture.naturalWidth === 90) };
    button().click();
    found.plays = await soon(() => picture.naturalWidth === 70);
    found.playing = [button().textContent, button().getAttribute("aria-pressed")];
    button().click();
    found.stops = await soon(() => picture.naturalWidth === 90);
    find("after").click();
    found.next = [picture.naturalWidth, button().hidden, button().textContent];
    button().click();
    await soon(() => button().disabled);
    found.missing = button().textContent;
    return found;
    """
    found = browse(page(made), TOOLS + script, tmp_path, "#block4_conv3-1-0")
    assert found["playing"] == ["Show the image", "true"]
    assert found["next"][1:] == [False, "Play the ascent"]
    assert found["missing"] == "images/block4_conv3-2-0.webp is not beside this page"


@needs_browser
@pytest.mark.parametrize(
    "kind",
    [
        "gallery",
        *(
            pytest.param(kind, marks=pytest.mark.exhaustive)
            for kind in ("pairs", "large", "one", "samples", "both")
        ),
    ],
)
def test_nothing_runs_over_the_edge_of_a_narrow_page(kind, tmp_path):
    long = {"name": "conv4_block23_concat:1023", "file": "images/conv4_block23_concat-1023-0.png"}
    made = {
        "gallery": layer(),
        "large": [*layer(), optimum(1023, **long, quantile=0.5, stopped=5)],
        "pairs": [optimum(f, s, sign) for f in range(9) for s in range(2) for sign in (1, -1)],
        "one": [optimum(1023, **long, quantile=0.5, stopped=5, animation="images/a.webp")],
        "samples": [optimum(17, sample) for sample in range(5)],
        "both": [optimum(17, sample, sign) for sample in range(2) for sign in (1, -1)],
    }[kind]
    anchor = "#conv4_block23_concat-1023-0" if kind == "large" else ""
    text = page(made, facts={"weights": "sha256:" + "4f5d7e2a" * 8})
    widths = (390, 820, 1440)
    assert overflow(text, widths, tmp_path, anchor) == fits(widths)


@needs_browser
def test_a_gallery_inside_another_page_needs_no_address_of_its_own(tmp_path):
    script = """
    tiles()[3].click();
    press("ArrowRight", find("view"));
    const found = [title(), find("view").open];
    const closed = new Promise((tell) => find("view").addEventListener("close", tell));
    find("close").click();
    closed.then(() => parent.postMessage([...found, find("view").open], "*"));
    """
    probe = f"<script>addEventListener('load', () => {{{TOOLS}{script}}})</script>"
    inner = html.escape(page(layer()).replace("</body>", probe + "</body>"))
    outer = f"""<script>
    const told = new Promise((tell) => addEventListener("message", ({{ data }}) => tell(data)));
    </script><body><iframe srcdoc="{inner}"></iframe></body>"""
    found = browse(outer, "return { told: await told };", tmp_path)
    assert found == {"told": ["block4_conv3:4", True, False]}


@pytest.mark.parametrize(
    ("sign", "quantile", "words"),
    [
        (1, 1.0, "above all 8,624 positions"),
        (1, 1 - 1 / 8624, "above all but 1 of 8,624 positions"),
        (1, 0.995, "above all but 0.50\N{NO-BREAK SPACE}% of 8,624 positions"),
        (1, 0.4, "above only 40\N{NO-BREAK SPACE}% of 8,624 positions"),
        (-1, 0.0, "below all 8,624 positions"),
        (-1, 3 / 8624, "below all but 3 of 8,624 positions"),
        (-1, 0.75, "below only 25\N{NO-BREAK SPACE}% of 8,624 positions"),
        (1, None, "not compared with photographs"),
    ],
)
def test_a_quantile_is_told_in_words(sign, quantile, words):
    assert optimum(sign=sign, quantile=quantile).standing(8624) == words


def test_without_the_number_of_positions_a_quantile_is_a_share():
    assert optimum(quantile=1.0).standing() == "above all positions"
    assert optimum(quantile=0.9995).standing() == (
        "above all but 0.050\N{NO-BREAK SPACE}% of the positions"
    )


@pytest.mark.parametrize(
    ("changed", "marks"),
    [
        ({}, ()),
        ({"quantile": 0.999}, ()),
        ({"quantile": 0.9989}, ("weak",)),
        ({"sign": -1, "quantile": 0.001}, ()),
        ({"sign": -1, "quantile": 0.0011}, ("weak",)),
        ({"quantile": None}, ()),
        ({"alive": False, "quantile": 0.2}, ("not alive",)),
        ({"alive": False, "stopped": 31}, ("not alive", "diverged")),
        ({"quantile": 0.5, "stopped": 1}, ("weak", "diverged")),
    ],
)
def test_what_stands_against_an_image_is_marked(changed, marks):
    assert optimum(**changed).marks == marks
    assert len(optimum(**changed).warnings) == len(marks)


def test_warnings_say_what_happened():
    warned = optimum(sign=-1, quantile=0.5, stopped=31).warnings
    assert warned[0].startswith("Weak: photographs inhibit the unit more than this image")
    assert warned[1].startswith("Diverged at step 31:")
    assert optimum(quantile=0.5).warnings[0].startswith("Weak: photographs excite the unit more")


def test_a_card_is_named_like_its_file():
    assert optimum(3, 1, -1).slug == "block4_conv3-3-1-negative"


def test_optima_of_a_unit_stand_together_in_pairs_of_sign():
    made = [optimum(9, sample, sign) for sign in (-1, 1) for sample in (1, 0)] + [
        optimum(2),
        optimum(9, 2),
    ]
    units = [[(one.filter, one.sample, one.sign) for one in unit] for unit in by_unit(made)]
    assert units == [
        [(9, 0, 1), (9, 0, -1), (9, 1, 1), (9, 1, -1), (9, 2, 1)],
        [(2, 0, 1)],
    ]


COLUMNS = [
    "layer", "filter", "sample", "objective", "size", "steps", "activation_start", "activation",
    "activation_mean", "quantile", "alive", "seconds",
]  # fmt: skip


def test_a_row_begins_with_the_columns_that_other_programs_read():
    (row,) = rows([optimum()], "channel", (96, 128), 96)
    assert list(row)[: len(COLUMNS)] == COLUMNS
    assert row["size"] == "96x128"
    assert row["objective"] == "channel"


def test_a_whole_layer_has_no_filter_number():
    (row,) = rows([optimum(filter=WHOLE)], "layer", (96, 96), 96)
    assert row["filter"] is None


def test_the_facts_count_what_is_alive(vgg16):
    some = [optimum(layer="block4_conv3", alive=True, activation=10.0), optimum(alive=False)]
    some[1] = optimum(layer="block4_conv3", alive=False, activation=-5.0, filter=9)
    found = facts(some, vgg16, "channel", 17)
    assert found["alive"] == "1 of 2"
    assert found["receptive field"] == "92 x 92 pixels, a position every 8"
    assert found["activation"].startswith("10.0 on average")
    assert found["photographs"] == "17"
    assert "alive" not in facts(some[:1], vgg16, "channel", 0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"quantile": 0.5, "alive": True}, "Weak, below 99.9 %"),
        ({"quantile": 0.5, "alive": False}, "Not alive from any start"),
    ],
)
def test_what_is_no_evidence_is_said_with_its_names(vgg16, values, words):
    several = [optimum(name=f"a:{number}", filter=number, **values) for number in range(12)]
    said = " ".join(notes(several, vgg16, 17))
    assert words in said
    assert "a:0, a:1, a:2, a:3, a:4, a:5, a:6, a:7 and 4 more" in said
    assert "17 photographs are few" in said


def test_good_images_of_many_photographs_need_no_warning(vgg16):
    said = " ".join(notes([optimum(quantile=1.0, alive=True)], vgg16, 500))
    assert "Weak" not in said
    assert "few" not in said
    assert "Not alive" not in said
