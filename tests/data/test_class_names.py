"""The names of classes: every form of a file gives the same, and a bad one says what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convscope.data.labels import ACCEPTED_NAMES, numbered, read
from convscope.data.wordnet import taxonomy

NAMES = ("tench", "great white shark", "café")


def written(tmp_path: Path, text: str, suffix: str = ".txt") -> Path:
    """A file of names with this content."""
    path = tmp_path / f"names{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".txt", "tench\n great white shark\r\ncafé\n\n"),
        ("", "\ufefftench\ngreat white shark\ncafé"),
        (".json", json.dumps(NAMES)),
        (".json", '{"1": "great white shark", "0": "tench", "2": "café"}'),
        (".json", '{"0": ["tench", "x"], "1": ["great white shark", "x"], "2": ["café", "y"]}'),
        (".csv", "index,name\n2,café\n0,tench\n1,great white shark\n"),
        (".CSV", 'Name;more;Index\n"tench";a;0\ncafé;b;2\n\ngreat white shark;c;1\n'),
    ],
)
def test_every_form_of_a_file_gives_the_names_in_the_order_of_the_logits(tmp_path, suffix, text):
    assert read(written(tmp_path, text, suffix)) == NAMES


def test_imagenet_is_a_word_for_its_thousand_synsets(tmp_path):
    assert read("imagenet") == taxonomy().classes
    index = {str(place): [wnid, "a word"] for place, wnid in enumerate(taxonomy().classes)}
    assert read(written(tmp_path, json.dumps(index), ".json")) == taxonomy().classes


def test_classes_that_nobody_named_are_numbered():
    assert numbered(3) == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("suffix", "text", "problem"),
    [
        (".txt", " \n\n", "is empty"),
        (".txt", "a\nb\na\n", "calls both class 0 and class 2 'a'"),
        (".txt", "a\n\nb\n", "has no name for class 1"),
        (".txt", "caf\udce9\n", "is not UTF-8: byte 3 cannot be read"),
        (".json", "{", "is no JSON: Expecting property name"),
        (".json", "[" * 100_000, "is no JSON: "),
        (".json", "7", "holds '7', no list and no object"),
        (".json", "[]", "holds no names"),
        (".json", '["a", 7]', "holds '7' where a name should be"),
        (".json", '{"0": ["a", "b", "c"]}', "holds \"['a', 'b', 'c']\" where a name should be"),
        (".json", '{"0": "a", "2": "b"}', "has no class 1, but 2; classes count from 0"),
        (".json", '{"cat": "0"}', "has the number 'cat'; classes count from 0"),
        (".json", '{"0": "a", "00": "b"}', "has class 0 twice"),
        (".csv", "name,number\na,0\n", "has no column index, only 'name, number'"),
        (".csv", "index,name\n0\n", "has the row '0', which is too short"),
        (".csv", "index,name\n-1,a\n", "has the number '-1'; classes count from 0"),
        (".csv", "index,name\n", "holds no names"),
        (".csv", 'index,name\n0,"a\n', "is no CSV: unexpected end of data"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, suffix, text, problem):
    path = written(tmp_path, text, suffix)
    with pytest.raises(ValueError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"model.classes={path} {problem}")
    assert message.endswith(f". {ACCEPTED_NAMES}.") and "\n" not in message


def test_a_missing_file_and_a_folder_say_why(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.txt cannot be read: no such file"):
        read(tmp_path / "nowhere.txt")
    with pytest.raises(ValueError, match="cannot be read: is a directory"):
        read(tmp_path)


def test_reading_names_waits_for_no_tensorflow():
    code = "import convscope.data.class_names, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
