"""The HTML page of a circuit run."""

import re
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from browser import browse, decoded, fits, needs_browser, overflow, tags
from PIL import Image
from tests.circuits.test_findings import FOUND

from convscope.report.circuit import circuit_page, evidence
from convscope.report.figures.canvas import kernel_colours, kernel_tile
from convscope.report.figures.explorer import InputRow, UnitPictures
from convscope.text import number

MEASURED = ("top_shift", "drive", "release", "ablation", "covariance_share", "functional_sign")
pytestmark = pytest.mark.filterwarnings("error")


def photograph(generator: np.random.Generator, side: int) -> np.ndarray:
    """Return an image that compresses about as badly as a real one."""
    coarse = generator.integers(0, 256, (side // 6, side // 6, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def parts(count: int, shape: tuple[int, int] = (3, 3), shown: int = 10, side: int = 96) -> dict:
    """Return all arguments of a page about a filter with `count` inputs, strongest first."""
    generator = np.random.default_rng(count)
    kernels = generator.normal(size=(count, *shape)) * 0.01 * generator.gamma(1, 1, (count, 1, 1))
    kernels = kernels[np.argsort(-(kernels**2).sum((1, 2)), kind="stable")]
    filters = generator.permutation(count).tolist()
    limit, total = float(np.abs(kernels).max()), float((kernels**2).sum())
    table, rows = [], []
    for index, (kernel, filter_) in enumerate(zip(kernels, filters, strict=True)):
        positive, negative = kernel.clip(0).sum(), (-kernel).clip(0).sum()
        sign = float((positive - negative) / (positive + negative))
        label = "mixed" if abs(sign) < 0.2 else "excitatory" if sign > 0 else "inhibitory"
        entry = {
            "source": "block4_conv2", "filter": filter_, "name": f"block4_conv2:{filter_}",
            "l2": float(np.sqrt((kernel**2).sum())), "l1": positive + negative,
            "sum": positive - negative, "positive": positive, "negative": negative,
            "sign_index": sign, "label": label,
            "mostly": "mostly excitatory" if sign >= 0 else "mostly inhibitory",
            "majority": float((kernel > 0).mean()), "share": float((kernel**2).sum()) / total,
            "mean": float(generator.normal()), "rank_l2": index + 1, "in_ten": index < shown,
            "effect": label, **dict.fromkeys(MEASURED, 0.125), "rank_top_shift": 1,
            "rank_greedy": 2,
        }  # fmt: skip
        table.append(entry)
        if index < shown:
            crops = (photograph(generator, side), photograph(generator, side))
            optimum = photograph(generator, side)
            unit = UnitPictures(entry["name"], optimum, 9.0 + index, 1.0, True, crops, (7.0, 6.5))
            edge = dict.fromkeys(field.name for field in fields(InputRow)) | {"effect": ""}
            edge |= {name: entry[name] for name in
                     ("l2", "sign_index", "label", "mostly", "share", "mean")}  # fmt: skip
            rows.append(InputRow(**edge | {"unit": unit, "kernel": kernel.astype(np.float32)}))
    unit = replace(rows[0].unit, name="block4_conv3:17", optimum=photograph(generator, 224))
    return {
        "unit": unit, "rows": rows, "table": table, "limit": limit,
        "tiles": [kernel_tile(kernel, limit, 24) for kernel in kernels],
        "facts": {"model": "vgg16", "bias": "0.5"},
        "optima": [{"layer": "block4_conv3", "filter": 17, "activation": 41.25, "alive": True}],
        "settings": {"layer": "block4_conv3", "ascent": {"steps": 96, "size": None, "decay": 0.5}},
        "notes": ["Eighteen photographs are few."],
    }  # fmt: skip


def without(unit: UnitPictures, **other: Any) -> UnitPictures:
    """Return `unit` as a colour input: nothing to ascend, nothing to crop."""
    empty: dict[str, Any] = {
        "optimum": None,
        "activation": None,
        "activation_mean": None,
        "alive": None,
    }
    return replace(unit, **(empty | {"crops": (), "crop_activations": ()} | other))


def test_the_page_asks_for_nothing():
    page = circuit_page(**parts(40))
    assert not re.search(r"https?:|@import|fetch\(|XMLHttp|<iframe|<object", page)
    assert set(re.findall(r"url\(([a-z]+:|[^d])", page)) == {"data:"}
    found = tags(page)
    loads = [value for _, given in found for key, value in given.items() if key in ("src", "href")]
    assert all(value.startswith("data:") for value in loads)
    policy = [given for _, given in found if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0]["content"].startswith("default-src 'none'")


def test_every_image_in_the_page_can_be_decoded():
    given = parts(40)
    page = circuit_page(**given)
    images = [decoded(uri) for uri in re.findall(r"data:image/[a-z]+;base64,[\w+/=]+", page)]
    assert len(images) == 1 + 10 + 2 * 11 + 2  # Optima, crops, the legend and the sprite.
    assert all(len(np.unique(image.reshape(-1, 3), axis=0)) > 1 for image in images)


@pytest.mark.parametrize("count", [3, 512, 2048])
def test_the_table_holds_every_input(count):
    given = parts(count, shown=min(10, count), side=48)
    page = circuit_page(**given)
    named = re.findall(r"</i><span>(block4_conv2)<wbr>:(\d+)</span>", page)
    assert [int(filter_) for _, filter_ in named] == [entry["filter"] for entry in given["table"]]
    assert f"All {count} inputs" in page
    assert len(page.encode()) < 2_500_000


def test_a_page_with_ten_large_optima_stays_modest():
    assert len(circuit_page(**parts(512, side=224)).encode()) < 2_500_000


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (1, 7), (7, 1), (11, 11)])
def test_the_sprite_holds_each_kernel_with_a_pixel_for_each_weight(shape):
    given = parts(70, shape, shown=2)
    page = circuit_page(**given)
    sprite = decoded(re.search(r"--sprite:url\((data:[^)]+)\)", page)[1])
    height, width = shape
    places = re.findall(r'class="kernel" style="--x:(\d+);--y:(\d+)"', page)
    assert len(places) == 70
    for (x, y), tile in zip(places, given["tiles"], strict=True):
        top, left = int(y) * (height + 2) + 1, int(x) * (width + 2) + 1
        side = tile.shape[0] // height
        assert np.array_equal(sprite[top : top + height, left : left + width], tile[::side, ::side])


def test_the_kernels_of_the_rows_are_drawn_in_the_colours_of_the_tiles():
    given = parts(12, (2, 3), shown=1)
    kernel = given["rows"][0].kernel
    drawing = circuit_page(**given).split('class="tile"')[1].split("</svg>")[0]
    expected = kernel_colours(kernel, given["limit"]).reshape(-1, 3)
    colours = ["#" + colour.tobytes().hex() for colour in expected]
    assert re.findall(r'fill="(#\w+)"', drawing) == colours


def test_hostile_names_are_shown_and_not_run():
    given = parts(12)
    hostile = '"><script>alert(1)</script>'
    given["unit"] = replace(given["unit"], name=hostile)
    given["rows"][0] = replace(given["rows"][0], unit=replace(given["rows"][0].unit, name=hostile))
    given["table"][0]["name"] = given["facts"]["model"] = hostile
    given["notes"] = given["settings"][hostile] = [hostile]
    given["optima"][0]["layer"] = hostile
    page = circuit_page(**given)
    assert "<script>alert" not in page
    assert sum(tag == "script" for tag, _ in tags(page)) == 1
    assert page.count("&lt;script&gt;alert(1)") >= 8


def test_an_input_that_is_not_alive_has_a_placeholder_and_no_image():
    given = parts(12, shown=2)
    first = given["rows"][0]
    before = circuit_page(**given).count("data:image")
    given["rows"][0] = replace(first, unit=replace(first.unit, alive=False))
    page = circuit_page(**given)
    assert page.count("data:image") == before - 1
    assert '<span class="picture absent">not alive</span>' in page
    given["unit"] = replace(given["unit"], alive=False)
    assert circuit_page(**given).count("not alive") == 3


def test_colour_inputs_are_shown_as_their_colours():
    given = parts(3, shown=3)
    names = ("image:red", "image:green", "image:blue")
    given["rows"] = [
        replace(row, unit=without(row.unit, name=name), mean=None)
        for row, name in zip(given["rows"], names, strict=True)
    ]
    for entry in given["table"]:
        entry["mean"] = None
    page = circuit_page(**given)
    assert re.findall(r"background:(#(?:ff|00){3})", page) == ["#ff0000", "#00ff00", "#0000ff"]
    assert "no photograph" not in page
    assert "All 3 inputs are shown" in page


def test_a_mixed_input_says_which_side_it_leans_to():
    given = parts(12, shown=1)
    given["rows"][0] = replace(
        given["rows"][0], label="mixed", mostly="mostly inhibitory", sign_index=-0.125
    )
    page = circuit_page(**given)
    assert '<p class="text-inhibitory">mostly inhibitory</p>' in page
    assert '<span class="chip mixed">mixed</span>' in page
    assert "sign index \N{MINUS SIGN}0.12" in page


def test_three_crops_one_crop_and_none_are_all_shown():
    given = parts(12, shown=3)
    for index, count in enumerate((3, 1, 0)):
        crops = (np.full((5, 5, 3), 40 * index, np.uint8),) * count
        unit = replace(given["rows"][index].unit, crops=crops, crop_activations=(1.0,) * count)
        given["rows"][index] = replace(given["rows"][index], unit=unit)
    page = circuit_page(**given)
    assert len(re.findall(r'class="picture pixels"', page)) == 4
    assert page.count("no photograph") == 1


def test_the_same_run_gives_the_same_bytes():
    assert circuit_page(**parts(40)) == circuit_page(**parts(40))


def test_settings_are_named_as_they_are_typed():
    page = circuit_page(**parts(12))
    dash = "\N{EN DASH}"
    for name, value in (("ascent.steps", "96"), ("ascent.size", dash), ("ascent.decay", "0.5")):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page


def test_a_column_has_equally_many_decimals_and_no_minus_zero():
    given = parts(3, shown=1)
    for entry, mean in zip(given["table"], (2.5, -1e-9, None), strict=True):
        entry["mean"] = mean
    page = circuit_page(**given)
    assert all(f"<td>{words}</td>" in page for words in ("+2.500", "+0.000", "\N{EN DASH}"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": []}, "Received: 0 inputs, 12 tiles, 12 rows"),
        ({"tiles": []}, "Received: 10 inputs, 0 tiles, 12 rows"),
        ({"tiles": [np.zeros((8, 24, 3), np.uint8)] * 12}, r"3x3 .* Received: \(8, 24, 3\)"),
    ],
    ids=["no inputs", "no tiles", "wrong tiles"],
)
def test_a_page_that_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        circuit_page(**(parts(12) | change))


@needs_browser
def test_the_table_sorts_filters_and_shows_all_in_a_browser(tmp_path):
    given = parts(60, side=24)
    found = browse(
        circuit_page(**given),
        """
        const heads = [...document.querySelectorAll("#inputs thead th")];
        const head = (name) => heads.find((one) => one.textContent === name);
        const click = (name) => head(name).firstElementChild.click();
        const ranks = () => [...document.querySelectorAll("#inputs tbody tr:not([hidden])")]
          .map((row) => Number(row.cells[0].textContent));
        const more = document.getElementById("more"), filter = document.getElementById("filter");
        const found = { first: ranks(), label: more.textContent };
        more.click();
        found.all = ranks();
        found.label_all = more.textContent;
        click("mean");
        found.mean = ranks();
        found.mean_sort = head("mean").getAttribute("aria-sort");
        click("mean");
        found.mean_up = ranks();
        click("input");
        found.input = ranks();
        found.sorted = heads.filter((one) => one.hasAttribute("aria-sort")).length;
        filter.value = "inhibitory MIXED";
        filter.dispatchEvent(new Event("input"));
        found.mixed = ranks();
        found.said = document.getElementById("shown").textContent;
        more.click();
        filter.value = "";
        filter.dispatchEvent(new Event("input"));
        found.again = ranks();
        return found;
        """,
        tmp_path,
    )
    table = given["table"]

    def ranks(key, backwards=False):
        return [entry["rank_l2"] for entry in sorted(table, key=key, reverse=backwards)]

    assert found["first"] == list(range(1, 11))
    assert (found["label"], found["label_all"]) == ("Show all 60", "Show the first 10")
    assert found["all"] == list(range(1, 61))
    assert found["mean"] == ranks(lambda entry: entry["mean"], backwards=True)
    assert found["mean_sort"] == "descending"
    assert found["mean_up"] == ranks(lambda entry: entry["mean"])
    assert found["input"] == ranks(lambda entry: entry["filter"])
    assert found["sorted"] == 1
    mixed = [
        entry["rank_l2"]
        for entry in sorted(table, key=lambda entry: entry["filter"])
        if entry["label"] == "mixed" and entry["mostly"] == "mostly inhibitory"
    ]
    assert found["mixed"] == mixed
    assert found["said"] == f"{len(mixed)} of {len(mixed)} matching shown"
    assert found["again"] == found["input"][:10]


def measured(given: dict) -> dict:
    """Return the arguments of a page whose inputs were measured on photographs."""
    found = evidence(FOUND)
    values = np.random.default_rng(0).normal(size=(len(given["rows"]), 4))
    given["rows"] = [
        replace(
            row, top_shift=a, drive=a, release=0.0, ablation=b, ablation_top=c, effect="inhibitory",
            functional_sign=-0.5, confidence=0.75, pattern="opponent", angle=d * 10,
        )
        for row, (a, b, c, d) in zip(given["rows"], values.tolist(), strict=True)
    ]  # fmt: skip
    return given | {"evidence": found}


def test_a_page_of_measured_inputs_shows_effects_and_faithfulness():
    given = measured(parts(40))
    page = circuit_page(**given)
    first = given["rows"][0]
    assert page.count("by effect <b") == 10 and page.count("opponent, positive towards") == 10
    assert f"<b>{number(first.top_shift, signed=True)}</b>" in page
    assert page.count('<figure class="panel">') == 3
    assert str(given["evidence"]["sentence"]) in page
    assert page.count('<th scope="row" class="word">') == 8
    assert "What inhibition prevents" in page or not given["evidence"]["vetoes"]
    assert "Are these inputs enough?" not in circuit_page(**parts(40))


@needs_browser
def test_the_rows_come_in_another_order_in_a_browser(tmp_path):
    given = measured(parts(24, side=24))
    found = browse(
        circuit_page(**given),
        """
        const button = (key) => document.querySelector(`[data-key="${key}"]`);
        const rows = () => [...document.querySelectorAll(".rows > li")].map((one) => one.id);
        const found = { shown: !document.querySelector(".order").hidden };
        for (const key of ["top_shift", "ablation", "mean", "l2", "rank"]) {
          button(key).click();
          found[key] = rows();
        }
        found.pressed = [...document.querySelectorAll('[aria-pressed="true"]')].length;
        return found;
        """,
        tmp_path,
    )
    rows = list(enumerate(given["rows"], 1))
    for key in ("top_shift", "ablation", "mean", "l2"):
        expected = sorted(rows, key=lambda pair: -abs(getattr(pair[1], key)))
        assert found[key] == [f"input-{place}" for place, _ in expected]
    assert found["rank"] == [f"input-{place}" for place, _ in rows]
    assert found["shown"] and found["pressed"] == 1


@needs_browser
@pytest.mark.parametrize("measure", [dict, measured])
def test_nothing_runs_over_the_edge_of_a_narrow_page(tmp_path, measure):
    given = measure(parts(24, side=24))
    given["facts"]["weights"] = "sha256:" + "4f5d7e2a" * 8
    unit = replace(given["rows"][0].unit, name="conv4_block23_concat:1023")
    given["rows"][0] = replace(given["rows"][0], unit=unit)
    given["table"][0]["name"] = unit.name
    widths = (390, 820, 1280)
    assert overflow(circuit_page(**given), widths, tmp_path) == fits(widths)
