"""Files and folders survive any end of their writers whole, or leave no trace."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from indices import begun, filled, tree

from convscope.activations.index import ActivationIndex, find
from convscope.tracking import files


def test_a_sealed_file_comes_back_and_tells_any_change(tmp_path):
    path, content = tmp_path / "record.json", {"b": [1, None, "ü☃"], "a": {"x": 0.5}}
    with pytest.raises(ValueError, match=r"^record\.json is missing$"):
        files.unsealed(path)
    files.save(path, files.sealed(content))
    assert files.unsealed(path) == content
    for damaged in (b"", b"[]", b"{}", b'{"seal": 1', b"\xff", b"7"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^record\.json is damaged$"):
            files.unsealed(path)
    path.write_bytes(files.sealed(content).replace(b"0.5", b"0.6"))
    with pytest.raises(ValueError, match=r"^record\.json is not what was written: its SHA-256 is"):
        files.unsealed(path)


def test_a_file_is_never_written_over(tmp_path):
    files.save(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        files.save(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"


def test_of_two_finished_folders_the_first_stays_in_the_place(tmp_path):
    for name, wins in (("first", True), ("second", False)):
        with files.scratch(tmp_path, "shard") as partial:
            (partial / "who").write_text(name)
            assert files.settle(partial, tmp_path / "shard") is wins
    assert tree(tmp_path) == {"shard/who": b"first"}
    assert [path.name for path in tmp_path.iterdir()] == ["shard"]


def test_what_killed_writers_left_is_cleared_and_what_living_ones_write_is_not(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    index = begun(tmp_path, 20)
    shards = index.path(0).parent
    with files.scratch(tmp_path, "x") as path:
        here = path.name.split(".")[2]
    names = {
        "dead": f".000000.{here}.{gone.pid}.0123abcd",
        "alive": f".000000.{here}.{os.getpid()}.0123abcd",
        "elsewhere": f".000000.x{here}.{gone.pid}.0123abcd",
        "long ago": f".000000.x{here}.{gone.pid}.0123abce",
        "another's": ".nfs0001",
    }
    for name in names.values():
        (shards / name).mkdir()
        (shards / name / "peak.npy").write_bytes(b"x")
    os.utime(shards / names["long ago"], (0, 0))
    (tmp_path / f".tiny-conv-00.{here}.{gone.pid}.0123abcd").mkdir()
    assert begun(tmp_path, 20).missing() == [0, 1]
    left = {path.name for path in shards.iterdir()}
    assert left == {names["alive"], names["elsewhere"], names["another's"]}
    assert [path.name for path in tmp_path.iterdir()] == [index.folder.name]


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from indices import begun, write
index = begun(Path(sys.argv[2]), 16 * 60, filters=200)
print("ready", flush=True)
for number in index.missing():
    if not index.path(number).exists():
        write(index, number)
"""


def writer(home):
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parents[1]), str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def marks(index):
    """Which files stand in the shards, and when they were written."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for number in range(index.shards)
        if index.path(number).exists()
        for path in (index.path(number), *index.path(number).iterdir())
    }


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_an_index_whose_writers_were_killed_is_the_undisturbed_one_bit_for_bit(tmp_path, kills):
    undisturbed = filled(tmp_path / "whole", 16 * 60, filters=200)
    index = begun(tmp_path / "killed", 16 * 60, filters=200)
    moments, seen, within = random.Random(4), {}, 0
    for _ in range(kills):
        process = writer(tmp_path / "killed")
        more = len(index.missing()) - moments.randrange(2)
        while len(index.missing()) > more:
            time.sleep(0.0005)
        time.sleep(moments.uniform(0, 0.015))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        now = marks(index)
        assert now | seen == now  # nothing that was finished is gone or written again
        seen = now
        within += any(path.name.startswith(".") for path in index.path(0).parent.iterdir())
    assert 0 < len(index.missing()) < 60
    assert within > 0 or kills < 20  # some died in the middle of a shard
    process = writer(tmp_path / "killed")
    process.communicate()
    assert process.returncode == 0 and index.missing() == []
    assert marks(index) | seen == marks(index)
    assert tree(index.folder) == tree(undisturbed.folder)


def test_two_writers_at_once_make_the_same_index(tmp_path):
    both = [writer(tmp_path / "both") for _ in range(2)]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    undisturbed = filled(tmp_path / "whole", 16 * 60, filters=200)
    index = find(tmp_path / "both", undisturbed.manifest.request)
    assert isinstance(index, ActivationIndex)
    assert tree(index.folder) == tree(undisturbed.folder)
