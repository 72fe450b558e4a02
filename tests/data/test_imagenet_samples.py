"""The set that git fetches: once, whole or not at all, and in one line why not."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data import imagenet_samples

# The start of an interpreter that fetches from another place.
FETCH = (
    "import sys; from convscope.data import imagenet_samples as fetch; fetch.URL = sys.argv[1]; "
)


def git(folder: Path, *words: str) -> str:
    """Run git in a folder, whatever the user has set up."""
    who = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"]
    ended = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return ended.stdout.strip()


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A repository with two photographs in two commits, that the set is fetched from."""
    home = tmp_path / "source"
    home.mkdir()
    git(home, "init", "--quiet")
    for name in ("n01440764_tench", "n02130308_cheetah"):
        Image.fromarray(np.full((7, 9, 3), 99, np.uint8)).save(home / f"{name}.JPEG")
        git(home, "add", ".")
        git(home, "commit", "--quiet", "-m", name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(imagenet_samples, "URL", f"file://{home}")
    return home


def test_the_set_is_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert imagenet_samples.home() == tmp_path / "convscope" / "imagenet-sample-images"
    for nothing in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", nothing)
        monkeypatch.setenv("HOME", str(tmp_path / "me"))
        assert imagenet_samples.home() == tmp_path / "me/.cache/convscope/imagenet-sample-images"


def test_the_set_is_fetched_once_and_knows_its_commit(source, capfd):
    found = imagenet_samples.imagenet_samples()
    assert found == imagenet_samples.home()
    assert sorted(path.name for path in found.glob("*.JPEG")) == [
        "n01440764_tench.JPEG", "n02130308_cheetah.JPEG",
    ]  # fmt: skip
    assert capfd.readouterr().err.startswith("Fetching 1000 photographs from file://")
    assert imagenet_samples.commit(found) == git(source, "rev-parse", "HEAD")
    assert git(found, "rev-list", "--count", "HEAD") == "1"  # of two
    assert list(found.parent.iterdir()) == [found]
    shutil.rmtree(source)
    assert imagenet_samples.imagenet_samples() == found
    assert capfd.readouterr().err == ""


def test_the_commit_of_a_copy_without_one_is_unknown(source, tmp_path, monkeypatch):
    inside = source / "copy"  # lies in a repository, and is none
    inside.mkdir()
    assert imagenet_samples.commit(inside) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert imagenet_samples.commit(source) is None


def test_a_repository_around_does_not_matter(source, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    found = imagenet_samples.imagenet_samples()
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    assert imagenet_samples.commit(found) == git(source, "rev-parse", "HEAD")


def test_what_cannot_be_fetched_says_why_and_what_else_to_do(source, monkeypatch, tmp_path, capfd):
    nowhere = tmp_path / "nowhere"
    monkeypatch.setattr(imagenet_samples, "URL", f"file://{nowhere}")
    with pytest.raises(ValueError) as caught:
        imagenet_samples.imagenet_samples()
    text = str(caught.value)
    assert re.fullmatch(
        rf"images=imagenet_samples could not be fetched from file://{nowhere}: .*nowhere.*\. With a"
        r" copy of it, or photographs of your own, use images=folder images\.root=PATH\.",
        text,
    )
    assert "fatal:" in capfd.readouterr().err  # git's own words are shown as well
    assert list(imagenet_samples.home().parent.iterdir()) == []


def test_an_address_without_a_server_is_no_endless_wait(source, monkeypatch):
    monkeypatch.setattr(imagenet_samples, "URL", "http://127.0.0.1:9/nothing")
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"from http://127\.0\.0\.1:9/nothing: .*127\.0\.0\.1"):
        imagenet_samples.imagenet_samples()
    assert time.monotonic() - start < 30


def test_without_git_it_says_so(source, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(
        ValueError, match=r"imagenet-sample-images: git is not installed\. With a c"
    ):
        monkeypatch.setattr(imagenet_samples, "URL", "https://x/imagenet-sample-images")
        imagenet_samples.imagenet_samples()
    assert list(imagenet_samples.home().parent.iterdir()) == []


def test_a_cache_that_cannot_be_written_says_so(source, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"file/convscope: Not a directory\. With a copy"):
        imagenet_samples.imagenet_samples()


def stalling(tmp_path: Path) -> dict[str, str]:
    """An environment whose git writes half of a set, says so, and never ends."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "git"
    script.write_text(
        "#!/bin/bash\n"
        'mkdir -p "${@: -1}/.git"\n'
        'touch "${@: -1}/n01440764_tench.JPEG"\n'
        "echo half >&2\n"
        "exec sleep 600\n"
    )
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_fetch_that_is_killed_leaves_nothing_that_passes_for_the_set(source, tmp_path, how):
    code = f"{FETCH}fetch.imagenet_samples()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, imagenet_samples.URL],
        env=stalling(tmp_path),
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Where the tests run in the background, Ctrl-C is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    said = b""
    while b"half" not in said:
        said += (more := os.read(process.stderr.fileno(), 1000))
        assert more, said
    if how == signal.SIGKILL:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    process.communicate(timeout=60)
    left = list(imagenet_samples.home().parent.iterdir())
    assert len(left) == (how == signal.SIGKILL) and imagenet_samples.home() not in left
    assert imagenet_samples.commit(imagenet_samples.imagenet_samples()) == git(
        source, "rev-parse", "HEAD"
    )
    # What was left is removed once it can be nobody's any more.
    for part in left:
        os.utime(part, (0, 0))
    shutil.rmtree(imagenet_samples.home())
    assert [*imagenet_samples.imagenet_samples().parent.iterdir()] == [imagenet_samples.home()]


def test_two_that_fetch_at_once_both_get_the_whole_set(source):
    code = f"{FETCH}print(fetch.commit(fetch.imagenet_samples()))"
    ones = [
        subprocess.Popen(
            [sys.executable, "-c", code, imagenet_samples.URL],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(4)
    ]
    told = {one.communicate(timeout=60)[0].strip() for one in ones}
    assert told == {git(source, "rev-parse", "HEAD")}
    assert list(imagenet_samples.home().parent.iterdir()) == [imagenet_samples.home()]


def test_the_faster_of_two_fetches_wins(source, monkeypatch):
    clone = imagenet_samples._clone

    def late(folder):
        clone(folder)
        imagenet_samples.home().mkdir()
        (imagenet_samples.home() / "first").touch()

    monkeypatch.setattr(imagenet_samples, "_clone", late)
    assert [path.name for path in imagenet_samples.imagenet_samples().iterdir()] == ["first"]
