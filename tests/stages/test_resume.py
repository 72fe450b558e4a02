import json

import pytest

from convscope.stages.resume import JOURNAL, differences, read, unfinished

REQUEST = {"layer": "a", "ascent": {"steps": 96, "size": "auto"}}


def run(parent, name, count, status=None, request=REQUEST):
    folder = parent / name
    folder.mkdir(parents=True)
    lines = [request, *({"file": f"images/{number}.png"} for number in range(count))]
    (folder / JOURNAL).write_text("".join(json.dumps(line) + "\n" for line in lines))
    if status:
        (folder / "summary.json").write_text(json.dumps({"status": status}))
    return folder


def test_a_journal_gives_back_the_request_and_the_optima(tmp_path):
    request, optima = read(run(tmp_path, "1", 2))
    assert request == REQUEST
    assert [values["file"] for values in optima] == ["images/0.png", "images/1.png"]


def test_a_last_line_cut_short_counts_as_not_written(tmp_path):
    folder = run(tmp_path, "1", 2)
    for cut in (1, 5, 20):
        text = (folder / JOURNAL).read_bytes()
        (folder / JOURNAL).write_bytes(text[:-cut])
        assert len(read(folder)[1]) == 1
        (folder / JOURNAL).write_bytes(text)


def test_a_damaged_journal_is_refused(tmp_path):
    folder = run(tmp_path, "1", 0)
    (folder / JOURNAL).write_text('{"a": \n{}\n')
    with pytest.raises(ValueError, match=r"optima.jsonl is damaged .*Start anew"):
        read(folder)
    (folder / JOURNAL).write_text("")
    with pytest.raises(ValueError, match="damaged"):
        read(folder)
    with pytest.raises(ValueError, match=r"holds no optima.jsonl: no run of stage=maximize"):
        read(tmp_path)


def test_the_interrupted_run_that_has_most_is_taken_up(tmp_path):
    run(tmp_path, "2026-01-01", 7)
    run(tmp_path, "2026-01-02", 3, "done")
    most = run(tmp_path, "2026-01-03", 5, "interrupted")
    run(tmp_path, "2026-01-04", 2)
    mine = run(tmp_path, "2026-01-05", 0)
    assert unfinished(REQUEST, mine) == (most, "")


def test_after_a_run_that_ended_well_nothing_is_taken_up(tmp_path):
    run(tmp_path, "1", 4)
    run(tmp_path, "2", 4, "done")
    assert unfinished(REQUEST, tmp_path / "3") == (None, "")


def test_an_interrupted_run_of_another_request_is_left_and_the_difference_said(tmp_path):
    run(tmp_path, "1", 4, request={"layer": "a", "ascent": {"steps": 48, "size": "auto"}})
    found, why = unfinished(REQUEST, tmp_path / "3")
    assert found is None
    assert why == ("1 was interrupted but is not taken up: ascent.steps is 48 there and 96 here.")


def test_a_damaged_neighbour_is_passed_over(tmp_path):
    good = run(tmp_path, "1", 4)
    (run(tmp_path, "2", 4) / JOURNAL).write_text("x\n")
    assert unfinished(REQUEST, tmp_path / "3") == (good, "")


def test_differences_are_named_by_the_settings_they_are_of():
    then = {"a": 1, "b": {"c": [1, 2], "d": None}, "gone": True}
    now = {"a": 1, "b": {"c": [1, 3], "d": "x"}}
    assert differences(then, now) == [
        "b.c is [1, 2] there and [1, 3] here",
        'b.d is null there and "x" here',
        "gone is true there and null here",
    ]
