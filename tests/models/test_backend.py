"""TensorFlow is loaded without its chatter, and nothing else is kept from the reader."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "run.py"

CHATTER = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795391571.072381   22836 port.cc:153] oneDNN custom operations are on.",
)
# Nothing is said there by TensorFlow itself, whose lines depend on the machine: it isn't loaded.
INSIDE = """
import os, sys
from unittest.mock import MagicMock
sys.modules |= dict.fromkeys(("keras", "tensorflow"), MagicMock(__spec__=None))
from convscope.models.backend import quietly
with quietly():
    os.write(2, {first!r})
    {then}
"""


def stderr(code: str, expected: int = 0, **environment: str) -> list[str]:
    """Return the lines that a new interpreter writes to stderr."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=outside | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == expected, ended.stderr
    return ended.stderr.splitlines()


def inside(*lines: str, then: str = "pass") -> str:
    """Return code that writes lines to the file descriptor while it is kept quiet."""
    return INSIDE.format(first="".join(f"{line}\n" for line in lines).encode(), then=then)


@pytest.mark.exhaustive
@pytest.mark.parametrize("level", [{}, {"TF_CPP_MIN_LOG_LEVEL": "2"}], ids=str)
def test_importing_the_network_prints_nothing(level):
    assert stderr("import convscope.models.network", **level) == []


def test_tracing_many_graphs_prints_nothing_either():
    code = """
from convscope.models.backend import tf
for number in range(9):
    tf.function(lambda x: x)(tf.constant(number))
step = tf.function(lambda x: x + 1)
[step(tf.zeros(size)) for size in range(9)]
"""
    assert stderr(code) == []


def test_a_reader_who_asks_for_everything_gets_it():
    assert stderr(inside(*CHATTER), TF_CPP_MIN_LOG_LEVEL="0") == list(CHATTER)


@pytest.mark.exhaustive
def test_a_reader_who_asks_for_everything_gets_what_tensorflow_says():
    lines = stderr("import convscope.models.network", TF_CPP_MIN_LOG_LEVEL="0")
    assert any(
        re.match(r"I\d{4} ", line) for line in lines
    )  # which of them depends on the processor


def test_only_the_chatter_is_dropped_and_the_rest_keeps_its_order():
    told = ["E0000 00:00:1795391571.1   22836 cuda.cc:1] no device", "I0000 of mine"]
    code = inside(*CHATTER, *told, then="print('from Python', file=sys.stderr)")
    assert stderr(code) == [*told, "from Python"]


def test_what_comes_after_the_import_is_shown_at_once():
    assert stderr(inside() + "os.write(2, b'later')") == ["later"]


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError"])
def test_a_failed_import_shows_all_that_was_said(error):
    lines = stderr(inside(*CHATTER, "why", then=f"raise {error}('no library')"), expected=1)
    assert lines[:3] == [*CHATTER, "why"]
    assert lines[-1] == f"{error}: no library"


def test_the_error_of_a_missing_tensorflow_is_not_swallowed():
    code = "import sys; sys.modules['tensorflow'] = None; import convscope.models.network"
    assert "tensorflow" in stderr(code, expected=1)[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="signals end a process elsewhere only")
def test_a_crash_inside_the_import_shows_its_place():
    lines = stderr(inside(then="os.abort()"), expected=-6)
    assert lines[0] == "Fatal Python error: Aborted"


@pytest.mark.exhaustive
def test_a_whole_run_says_nothing_on_stderr(tmp_path):
    words = ["stage=circuit", "layer=block1_conv2", "filter=3", "stage.inputs=2", "ascent.steps=2"]
    where = [f"outputs={tmp_path}", "tracker.mode=offline"]
    code = f"import runpy, sys; sys.argv[1:] = {words + where}; runpy.run_path({str(RUN)!r}, "
    assert stderr(code + "run_name='__main__')") == []
    assert list(tmp_path.rglob("report.html"))


def test_without_a_folder_for_temporary_files_all_is_shown():
    code = "import tempfile; tempfile.TemporaryFile = lambda: open('/')\n" + inside(*CHATTER)
    assert stderr(code) == list(CHATTER)


def test_a_closed_stderr_is_no_obstacle():
    code = "import os; os.close(2)\n" + inside(*CHATTER).replace("os.write", "(lambda *_: 0)")
    assert stderr(code) == []
