"""A multirun is read from its folder, whoever wrote it and however it ended."""

import json
from pathlib import Path

import pytest
from multiruns import FIXED, finished, multirun

from convscope.tracking.multirun import (
    Job,
    Sweep,
    activation,
    grid,
    note,
    outcome,
    read,
    rows,
    spelled,
    summary,
)

RATES = {"ascent.learning_rate": [0.01, 0.05, 0.1], "ascent.total_variation": [0, 1e-3]}
NOT_DONE = {
    1: ("failed", "the score was no number"),
    2: ("refused", "size=3 is too small"),
    4: ("interrupted", ""),
}


# Reading


def test_each_job_is_read_with_what_it_was_asked_and_what_it_reached(tmp_path: Path) -> None:
    sweep = read(multirun(tmp_path / "s", RATES, bad=NOT_DONE))
    assert sweep.keys == tuple(RATES)
    assert sweep.fixed == FIXED
    assert sweep.asked[-1] == "ascent.total_variation=0,0.001"
    assert sweep.jobs[3] == Job(
        number=3,
        swept={"ascent.learning_rate": 0.05, "ascent.total_variation": 1e-3},
        status="done",
        activation=13.0,
        seconds=4.5,
        folder="3",
        picture="3/images/optimum.png",
        report="3/report.html",
    )
    assert sweep.counts == {"done": 3, "failed": 1, "refused": 1, "interrupted": 1}


def test_a_failed_job_keeps_its_reason_and_a_refused_one_has_no_folder(tmp_path: Path) -> None:
    _, failed, refused, _, interrupted, _ = read(multirun(tmp_path / "s", RATES, bad=NOT_DONE)).jobs
    assert (failed.status, failed.why, failed.folder) == ("failed", "the score was no number", "1")
    assert (refused.status, refused.folder, refused.seconds) == ("refused", None, None)
    assert (interrupted.status, interrupted.seconds) == ("interrupted", 0.5)
    assert {job.activation for job in (failed, refused, interrupted)} == {None}


def test_a_job_whose_process_was_killed_counts_as_interrupted(tmp_path: Path) -> None:
    folder = multirun(tmp_path / "s", {"seed": [0]})
    note(folder, job=1, folder="1", swept={"seed": 1})
    (folder / "1").mkdir()
    with (folder / "jobs.jsonl").open("a") as lines:
        lines.write('{"job": 1, "status": "do')
    assert [job.status for job in read(folder).jobs] == ["done", "interrupted"]


def test_a_job_that_failed_after_it_had_measured_has_no_activation(tmp_path: Path) -> None:
    folder = multirun(tmp_path / "s", {"seed": [0]})
    note(folder, job=1, folder="1", swept={"seed": 1})
    finished(folder / "1", status="failed")
    assert read(folder).jobs[1].activation is None
    assert read(folder).jobs[1].picture is None


def test_jobs_that_ran_in_other_processes_are_ordered_by_their_number(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        note(tmp_path, job=number, folder=str(number), swept={"seed": number})
    for number in (1, 2, 0):
        note(tmp_path, job=number, status="refused", why=f"no {number}")
    assert [(job.number, job.why) for job in read(tmp_path).jobs] == [
        (number, f"no {number}") for number in range(3)
    ]


def test_a_picture_outside_the_folder_of_its_job_is_not_shown(tmp_path: Path) -> None:
    folder = multirun(tmp_path / "s", {"seed": [0]})
    finished(folder / "1", **{"maximize/picture": "../0/images/optimum.png"})
    note(folder, job=1, folder="1", swept={"seed": 1})
    assert [job.picture for job in read(folder).jobs] == ["0/images/optimum.png", None]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"stage": "rank"}', '{"stage": 3}'])
def test_a_run_without_a_readable_activation_has_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(text)
    assert activation(tmp_path) is None


@pytest.mark.parametrize(("value", "found"), [(3, 3.0), (-2.5, -2.5), (True, None), ("3", None)])
def test_the_activation_is_that_of_the_stage_of_the_run(
    value: object, found: float | None, tmp_path: Path
) -> None:
    content = {"stage": "circuit", "circuit/activation": value, "maximize/activation": 7.0}
    (tmp_path / "summary.json").write_text(json.dumps(content))
    assert activation(tmp_path) == found


def test_a_folder_without_notes_is_a_multirun_without_jobs(tmp_path: Path) -> None:
    assert read(tmp_path).jobs == ()
    assert read(tmp_path).best is None
    assert read(tmp_path).fixed == {}


# Notes


def test_a_multirun_that_has_its_summary_takes_no_more_notes(tmp_path: Path) -> None:
    note(tmp_path, job=0, folder="0", swept={})
    (tmp_path / "summary.json").write_text("{}")
    note(tmp_path, job=0, status="refused")
    assert [job.status for job in read(tmp_path).jobs] == ["interrupted"]


def test_a_note_that_cannot_be_written_stops_no_job(tmp_path: Path) -> None:
    note(tmp_path / "missing", job=0)
    assert list(tmp_path.iterdir()) == []


# The table


def test_the_table_has_a_row_for_each_job_and_a_column_for_each_swept_setting(
    tmp_path: Path,
) -> None:
    columns, lines = rows(read(multirun(tmp_path / "s", RATES, bad=NOT_DONE)))
    assert columns == ["job", *RATES, "status", "activation", "seconds", "folder"]
    assert lines[1] == [1, 0.01, 1e-3, "failed", None, 0.5, "1"]
    assert lines[2] == [2, 0.05, 0, "refused", None, None, None]
    assert lines[3] == [3, 0.05, 1e-3, "done", 13.0, 4.5, "3"]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ([1, 2.5], [1, 2.5]),
        ([True, False], [True, False]),
        ([64, "auto"], ["64", "auto"]),
        ([True, 1], ["true", "1"]),
        ([None, 3], [None, 3]),
        ([None, "x"], [None, "x"]),
        ([[1, 2], [3]], ["[1,2]", "[3]"]),
    ],
)
def test_a_column_holds_values_of_one_kind(
    given: list[object], written: list[object], tmp_path: Path
) -> None:
    _, lines = rows(read(multirun(tmp_path / "s", {"key": given})))
    assert [line[1] for line in lines] == written
    assert [type(line[1]) for line in lines] == [type(value) for value in written]


def test_the_summary_names_the_best_job_and_its_values(tmp_path: Path) -> None:
    activations = [1.0, 2.0, 3.0, 9.0, 5.0, 6.0]
    found = summary(read(multirun(tmp_path / "s", RATES, bad=NOT_DONE, activations=activations)))
    assert (found["sweep/jobs"], found["sweep/done"], found["sweep/failed"]) == (6, 3, 1)
    assert (found["sweep/best"], found["sweep/activation"]) == (3, 9.0)
    assert found["best/ascent.learning_rate"] == 0.05
    assert found["swept"] == {key: list(values) for key, values in RATES.items()}


def test_without_a_finished_job_there_is_no_best_one(tmp_path: Path) -> None:
    sweep = read(multirun(tmp_path / "s", {"seed": [0]}, bad={0: ("failed", "why")}))
    assert sweep.best is None
    assert "sweep/best" not in summary(sweep)


def test_jobs_are_ranked_by_activation_and_those_without_come_last(tmp_path: Path) -> None:
    activations = [-4.0, 0.0, 0.0, -1.0, 0.0, 3.0]
    sweep = read(multirun(tmp_path / "s", RATES, bad=NOT_DONE, activations=activations))
    assert [job.number for job in sweep.ranked] == [5, 3, 0, 1, 2, 4]


# The grid


def numbers(sweep: Sweep) -> list[list[list[int | None]]]:
    return [
        [[job.number if job else None for job in line] for line in block.jobs]
        for block in grid(sweep).blocks
    ]


def test_one_setting_goes_across_in_one_row(tmp_path: Path) -> None:
    sweep = read(multirun(tmp_path / "s", {"filter": [3, 1, 2]}))
    layout = grid(sweep)
    assert (layout.down, layout.across, layout.listed) == ("", "filter", False)
    assert layout.blocks[0].columns == ("3", "1", "2")
    assert numbers(sweep) == [[[0, 1, 2]]]


def test_many_values_of_one_setting_go_on_in_further_rows(tmp_path: Path) -> None:
    sweep = read(multirun(tmp_path / "s", {"filter": list(range(13))}))
    assert numbers(sweep) == [[list(range(10))], [[10, 11, 12]]]
    assert grid(sweep).blocks[1].columns == ("10", "11", "12")


def test_two_settings_go_down_and_across(tmp_path: Path) -> None:
    sweep = read(multirun(tmp_path / "s", RATES))
    layout = grid(sweep)
    assert (layout.down, layout.across) == tuple(RATES)
    assert (layout.blocks[0].rows, layout.blocks[0].columns) == (
        ("0.01", "0.05", "0.1"),
        ("0", "0.001"),
    )
    assert numbers(sweep) == [[[0, 1], [2, 3], [4, 5]]]


def test_further_settings_make_a_block_for_each_combination(tmp_path: Path) -> None:
    values = {"ascent": ["fourier", "maco"], "sign": [1, -1], "seed": [0, 1, 2], "filter": [7, 8]}
    sweep = read(multirun(tmp_path / "s", values))
    layout = grid(sweep)
    assert (layout.down, layout.across) == ("seed", "filter")
    assert [block.titles for block in layout.blocks] == [
        (f"ascent = {ascent}", f"sign = {sign}")
        for ascent in ("fourier", "maco")
        for sign in (1, -1)
    ]
    assert numbers(sweep)[1] == [[6, 7], [8, 9], [10, 11]]


def test_an_interrupted_multirun_leaves_cells_empty(tmp_path: Path) -> None:
    assert numbers(read(multirun(tmp_path / "s", RATES, upto=3))) == [[[0, 1], [2, None]]]


def test_values_that_are_equal_only_to_python_get_cells_of_their_own(tmp_path: Path) -> None:
    sweep = read(multirun(tmp_path / "s", {"key": [1, True, "1", 1.0]}))
    assert numbers(sweep) == [[[0, 1, 2, 3]]]
    assert grid(sweep).blocks[0].columns == ("1", "true", "1", "1")


def test_values_that_a_search_has_drawn_are_listed_job_by_job(tmp_path: Path) -> None:
    note(tmp_path, asked=["stage=maximize"], fixed={})
    for number in range(12):
        note(tmp_path, job=number, swept={"a": 0.1 * number, "b": 1.5**number})
    layout = grid(read(tmp_path))
    assert layout.listed
    assert [len(block.columns) for block in layout.blocks] == [10, 2]
    assert layout.blocks[1].columns == ("job 10", "job 11")


def test_jobs_with_the_same_values_are_listed(tmp_path: Path) -> None:
    for number in range(3):
        note(tmp_path, job=number, swept={"a": number // 2})
    assert grid(read(tmp_path)).listed


def test_a_single_job_without_swept_settings_is_listed(tmp_path: Path) -> None:
    sweep = read(multirun(tmp_path / "s", {}))
    assert sweep.keys == ()
    assert grid(sweep).listed
    assert numbers(sweep) == [[[0]]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1e-3, "0.001"),
        (0.6485260972106633, "0.6485"),
        (1e-7, "1e-07"),
        (2.0, "2"),
        (123456.0, "123456.0"),
        (17, "17"),
        ([1, 0.5, None], "[1,0.5,null]"),
        ("block1_conv2", "block1_conv2"),
    ],
)
def test_a_value_is_spelled_as_on_the_command_line(value: object, text: str) -> None:
    assert spelled(value) == text


def test_a_run_that_was_killed_has_no_outcome(tmp_path: Path) -> None:
    assert outcome(tmp_path) == {}
    (tmp_path / "summary.json").write_text(json.dumps({"status": "failed"}))
    assert outcome(tmp_path) == {"status": "failed"}
    (tmp_path / "summary.json").write_text("{")
    assert outcome(tmp_path) == {}
