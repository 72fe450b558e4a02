"""The picture and the page of a multirun."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browse, decoded, fits, needs_browser, overflow, tags
from multiruns import drawing, multirun
from PIL import Image

from convscope.report import sweep as sweeps
from convscope.tracking.multirun import Sweep, read

RATES = {"ascent.learning_rate": [0.01, 0.05, 0.1], "ascent.total_variation": [0, 1e-3]}
ACTIVATIONS = [1.0, 5.0, 3.0, 4.0, 6.0, 2.0]
NOT_DONE = {3: ("failed", "the <score> was no number"), 5: ("refused", "size=3 is too small")}
LONG = {"ascent.parameterization": ["fourier", "maco"], "model.weights": [None, "/a/path/to"]}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return read(multirun(tmp_path / "sweep", RATES, bad=NOT_DONE, activations=ACTIVATIONS))


def page_of(sweep: Sweep) -> str:
    return sweeps.page(sweep, sweeps.pictures(sweep))


def colour(name: str) -> list[int]:
    return [int(name[at : at + 2], 16) for at in (1, 3, 5)]


# Pictures


def test_each_finished_job_brings_its_picture(sweep: Sweep) -> None:
    found = sweeps.pictures(sweep)
    assert sorted(found) == [0, 1, 2, 4]
    assert all(np.array_equal(image, drawing(number)) for number, image in found.items())


def test_a_large_picture_is_made_smaller_and_a_damaged_one_left_out(sweep: Sweep) -> None:
    Image.fromarray(drawing(9, 500, 900)).save(sweep.folder / "0" / "images" / "optimum.png")
    (sweep.folder / "1" / "images" / "optimum.png").write_bytes(b"no image")
    found = sweeps.pictures(sweep)
    assert sorted(found) == [0, 2, 4]
    assert found[0].shape == (196, 352, 3)


def test_tiles_are_squares_that_say_what_is_missing(sweep: Sweep) -> None:
    tiles = sweeps.tiles(sweep, sweeps.pictures(sweep))
    assert {tile.shape for tile in tiles} == {(128, 128, 3)}
    assert len(tiles) == len(sweep.jobs)
    assert (tiles[3][:8] == colour(sweeps.VOID)).all()
    assert (tiles[3] != tiles[5]).any()  # failed, refused


# The sheet


def frames(sheet: np.ndarray) -> tuple[int, int]:
    """Return where the frame of the best job begins: row and column of its first pixel."""
    row, column = np.argwhere((sheet == colour(sweeps.BEST)).all(-1))[0]
    return int(row), int(column)


def test_the_sheet_shows_each_picture_in_the_cell_of_its_values(sweep: Sweep) -> None:
    pictures = {number: np.full((44, 44, 3), 20 * number, np.uint8) for number in (0, 1, 2, 4)}
    sheet = sweeps.sheet(sweep, pictures)
    assert sheet.dtype == np.uint8
    side, step_down, step_across = 2 * 176, 2 * (176 + 24 + 14), 2 * (176 + 14)
    top, left = 2 * (92 + 44), 2 * (24 + 128)
    for number, job in enumerate(sweep.jobs):
        row, column = divmod(number, 2)
        middle = (
            slice(top + row * step_down + 20, top + row * step_down + side // 3),
            slice(left + column * step_across + 20, left + column * step_across + side - 20),
        )
        wanted = colour(sweeps.VOID) if number in NOT_DONE else [20 * number] * 3
        assert (sheet[middle] == wanted).all(), job
    best = frames(sheet)
    assert best == (top + 2 * step_down - 8, left - 8)


def test_a_sheet_of_one_row_needs_no_column_for_labels(tmp_path: Path) -> None:
    one = read(multirun(tmp_path / "s", {"seed": [0, 1, 2, 3]}))
    sheet = sweeps.sheet(one, sweeps.pictures(one))
    assert sheet.shape == (2 * (92 + 44 + 176 + 24 + 14 + 12), 2 * (24 + 4 * 190 - 14 + 24), 3)


def test_blocks_stand_beside_each_other_while_there_is_room(tmp_path: Path) -> None:
    values = {"sign": [1, -1], "seed": [0, 1], "filter": [7, 8, 9]}
    two = read(multirun(tmp_path / "s", values))
    sheet = sweeps.sheet(two, sweeps.pictures(two))
    assert sheet.shape[1] == 2 * (24 + 2 * (128 + 3 * 190 - 14 + 24))
    assert sheet.shape[0] == 2 * (92 + 22 + 44 + 2 * 214 + 12)


def test_a_sheet_of_many_jobs_has_small_pictures(tmp_path: Path) -> None:
    many = read(multirun(tmp_path / "s", {"seed": list(range(8)), "filter": list(range(8))}))
    sheet = sweeps.sheet(many, sweeps.pictures(many))
    assert sheet.shape == (92 + 44 + 8 * (104 + 38) + 12, 24 + 128 + 8 * 118 - 14 + 24, 3)


@pytest.mark.parametrize("values", [{}, {"seed": [0]}, LONG])
def test_every_multirun_has_a_sheet_and_a_page(values: dict[str, Any], tmp_path: Path) -> None:
    one = read(multirun(tmp_path / "s", values, bad={0: ("failed", "why")}))
    assert sweeps.sheet(one, {}).shape[1] >= 2 * 520
    assert page_of(one).startswith("<!DOCTYPE html>")


# The page


def test_the_page_asks_for_nothing_and_links_to_the_reports_of_the_jobs(sweep: Sweep) -> None:
    page = page_of(sweep)
    assert not re.search(r"https?:|@import|fetch\(|XMLHttp|<iframe|<object", page)
    found = tags(page)
    sources = [given["src"] for tag, given in found if tag == "img"]
    assert len(sources) == 5  # four jobs, and the best once more
    assert all(source.startswith("data:") for source in sources)
    links = {given["href"] for tag, given in found if tag == "a"}
    assert links == {f"{number}/report.html" for number in (0, 1, 2, 4)}
    assert all((sweep.folder / link).is_file() for link in links)


def test_the_best_job_comes_first_everywhere(sweep: Sweep) -> None:
    page = page_of(sweep)
    assert re.findall(r'<figure class="job[^>]*data-job="(\d)"', page) == list("412035")
    rows = re.findall(r'<tr data-job="(\d)"( class="top")?', page)
    assert [number for number, _ in rows] == list("412035")
    assert [number for number, top in rows if top] == ["4"]
    first = next(given["src"] for tag, given in tags(page) if tag == "img")
    assert decoded(first).shape == drawing(4).shape
    assert "Highest activation: <b>6.000</b> in job 4" in page


def test_reasons_and_values_are_escaped(sweep: Sweep) -> None:
    page = page_of(sweep)
    assert "the &lt;score&gt; was no number" in page
    assert "<score>" not in page


def test_the_page_says_how_to_repeat_the_multirun(sweep: Sweep) -> None:
    assert (
        "python run.py -m stage=maximize layer=block4_conv3 filter=17"
        " ascent.learning_rate=0.01,0.05,0.1 ascent.total_variation=0,0.001"
    ) in page_of(sweep)


def test_units_that_differ_are_not_compared_without_a_warning(tmp_path: Path) -> None:
    filters = read(multirun(tmp_path / "f", {"filter": [0, 1]}))
    assert "The jobs differ in filter: their activations" in page_of(filters)
    seeds = read(multirun(tmp_path / "s", {"seed": [0, 1]}))
    assert "The jobs differ" not in page_of(seeds)


def test_a_line_for_each_job_ends_where_the_job_did(sweep: Sweep) -> None:
    found = [given for tag, given in tags(page_of(sweep)) if "data-at" in given]
    ends = {int(given["data-job"]): given["data-at"] for given in found}
    assert len(found) == 2 * len(ends) == 12  # upright and level
    assert ends[4].split(",")[0] == "1.0"
    assert re.fullmatch(r"0\.4+,1\.0,[\d.]+,", ends[3])  # failed after some seconds
    assert ends[5] == "1.0,1.0,,"  # refused


def test_words_stand_on_their_axis_in_the_order_they_were_given(tmp_path: Path) -> None:
    values = {"ascent": ["pixel", "fourier", "maco"]}
    ranked = read(multirun(tmp_path / "s", values, activations=[2.0, 1.0, 3.0]))
    found = [given for tag, given in tags(page_of(ranked)) if "data-at" in given]
    assert {(given["data-job"], given["data-at"].split(",")[0]) for given in found} == {
        ("0", "0.0"),
        ("1", "0.5"),
        ("2", "1.0"),
    }


@needs_browser
def test_pointing_at_a_job_shows_it_everywhere(sweep: Sweep, tmp_path: Path) -> None:
    script = """
    const marked = () => [...document.querySelectorAll(".on")].map((one) => [one.tagName, one.dataset.job]);
    const one = document.getElementById("one");
    const before = one.innerText;
    document.querySelector('tr[data-job="1"]').dispatchEvent(new PointerEvent("pointerenter"));
    const during = [marked(), one.innerText, one.querySelector("img").src === document.querySelector('.job[data-job="1"] img').src];
    document.querySelector('tr[data-job="1"]').dispatchEvent(new PointerEvent("pointerleave"));
    document.querySelector('.reach[data-job="3"]').dispatchEvent(new PointerEvent("pointerenter"));
    return { before, during, failed: one.innerText, hovering: document.querySelectorAll(".hovering").length };
    """  # noqa: E501
    found = browse(page_of(sweep), script, tmp_path)
    assert "6.000" in found["before"]
    marked, words, same = found["during"]
    assert sorted(tag for tag, _ in marked) == ["FIGURE", "TR", "path", "path", "path", "path"]
    assert {job for _, job in marked} == {"1"}
    assert "5.000" in words
    assert same
    assert "failed" in found["failed"]
    assert "the <score> was no number" in found["failed"]
    assert found["hovering"] == 2


@needs_browser
def test_dragging_along_an_axis_keeps_only_the_jobs_inside(sweep: Sweep, tmp_path: Path) -> None:
    script = """
    const grips = [...document.querySelectorAll(".upright .grip")];
    const drag = (grip, from, to) => {
      const box = grip.getBoundingClientRect();
      const at = (type, share) => grip.dispatchEvent(new PointerEvent(type, {
        pointerId: 1, clientX: box.x + box.width / 2, clientY: box.bottom - share * box.height }));
      grip.setPointerCapture = () => {};
      at("pointerdown", from); at("pointermove", to); at("pointerup", to);
    };
    const kept = () => [...document.querySelectorAll("tr[data-job]:not(.off)")].map((row) => row.dataset.job).sort();
    const steps = [kept()];
    drag(grips[3], 0.35, 1);           // activation from about 3
    steps.push(kept());
    drag(grips[1], 0, 0.3);            // and no total variation
    steps.push(kept(), document.getElementById("shown").textContent);
    drag(grips[3], 0.5, 0.5);          // a click: any activation again
    steps.push(kept());
    document.getElementById("all").click();
    steps.push(kept(), document.getElementById("all").disabled);
    return steps;
    """  # noqa: E501
    every, high, both, told, low, again, disabled = browse(page_of(sweep), script, tmp_path)
    assert every == again == list("012345")
    assert high == list("124")
    assert both == list("24")
    assert told == "2 of 6 jobs inside"
    assert low == list("024")
    assert disabled is True


@needs_browser
def test_the_table_sorts_by_numbers_and_leaves_empty_cells_last(
    sweep: Sweep, tmp_path: Path
) -> None:
    script = """
    const order = () => [...document.querySelectorAll("#jobs tbody tr")].map((row) => row.dataset.job).join("");
    const heads = [...document.querySelectorAll("#jobs thead button")];
    const click = (name) => { heads.find((head) => head.textContent === name).click(); return order(); };
    return [order(), click("activation"), click("ascent.learning_rate"), click("ascent.learning_rate"), click("seconds"), click("status")];
    """  # noqa: E501
    assert browse(page_of(sweep), script, tmp_path) == [
        *("412035", "021435"),  # activation: highest first, as it was; then lowest first
        *("102345", "452310"),  # where values are the same, the higher activation first
        *("301245", "412035"),
    ]


@needs_browser
def test_pictures_move_to_the_cells_of_their_values(sweep: Sweep, tmp_path: Path) -> None:
    script = """
    const box = (job) => document.querySelector(`.job[data-job="${job}"]`).getBoundingClientRect();
    document.getElementById("grid").click();
    const heading = (words) => [...document.querySelectorAll(".heading")].find((one) => one.textContent.endsWith(words)).getBoundingClientRect();
    return [box(0).x === box(2).x, box(0).y === box(1).y, box(0).x < box(1).x, box(0).y < box(2).y,
      heading("0.001").y < box(1).y, heading("0.05").x < box(2).x];
    """  # noqa: E501
    assert browse(page_of(sweep), script, tmp_path) == [True] * 6


@needs_browser
@pytest.mark.parametrize(
    "values",
    [
        RATES,
        *(
            pytest.param(values, marks=pytest.mark.exhaustive)
            for values in (LONG, {"filter": list(range(13))})
        ),
    ],
)
def test_nothing_runs_over_the_edge_of_a_wide_or_a_narrow_window(
    values: dict[str, Any], tmp_path: Path
) -> None:
    widths = [390, 700, 1024, 1440]
    page = page_of(read(multirun(tmp_path / "s", values, bad={1: ("failed", "why " * 30)})))
    for shown in (page, page.replace(' id="grid"', ' id="grid" checked')):
        assert overflow(shown, widths, tmp_path) == fits(widths)
