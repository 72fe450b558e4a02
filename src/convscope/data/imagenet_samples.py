"""The public set of 1000 ImageNet photographs, fetched by git once and kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# One photograph of each class of ILSVRC-2012, collected by Eli Schwartz.
URL = "https://github.com/EliSchwartz/imagenet-sample-images"
# A connection that stalls for so many seconds has failed.
PATIENCE = 60
# Fetches that were killed leave their folder behind; after a day none can still be at work.
STALE = 24 * 60 * 60
# What git would take for its repository where it is started from a hook.
ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"}


def home() -> Path:
    """Return the folder in the user's cache that the set is kept in, fetched or not."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A relative path is to be ignored (XDG Base Directory Specification).
    cache = given if given.is_absolute() else Path.home() / ".cache"
    return cache / "convscope" / "imagenet-sample-images"


def imagenet_samples() -> Path:
    """Return the folder of the set; where it is not there yet, it is fetched first.

    It is cloned beside its place and then moved there, so that what stands in its place is
    complete, whatever happens and however many fetch at once.

    Raises:
        ValueError: it cannot be fetched or kept; the message says why and what else to do.
    """
    place = home()
    if place.is_dir():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _clear(place)
        part = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        try:
            _clone(part / "set")
            try:
                (part / "set").rename(place)
            except OSError:
                if not place.is_dir():  # else another fetch was faster, and its set is as good
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise ValueError(_failed(f"{place.parent}: {error.strerror or error}")) from error
    return place


def commit(folder: Path) -> str | None:
    """Return the commit that a set was fetched at; None where git does not know it."""
    # By its own .git alone, or a set inside another repository would pass for that one. It may
    # belong to another user, whose copy is only asked for its commit.
    command = ["git", "-c", "safe.directory=*", "--git-dir", str(folder / ".git")]
    try:
        ended = subprocess.run(
            [*command, "rev-parse", "--verify", "HEAD"],
            env=_environment(),
            capture_output=True,
            text=True,
        )
    except OSError:
        return None
    return ended.stdout.strip() or None


def _clone(folder: Path) -> None:
    """Clone the set into a folder, with git's progress on the terminal.

    Raises:
        ValueError: there is no git, or it failed.
    """
    print(f"Fetching 1000 photographs from {URL} to {home()}, once.", file=sys.stderr, flush=True)
    options = ["-c", "http.lowSpeedLimit=1", "-c", f"http.lowSpeedTime={PATIENCE}"]
    progress = ["--progress"] if sys.stderr.isatty() else ["--quiet"]
    command = ["git", *options, "clone", "--depth", "1", *progress, "--", URL, str(folder)]
    try:
        git = subprocess.Popen(command, env=_environment(), stderr=subprocess.PIPE)
    except OSError as error:
        reason = "git is not installed" if isinstance(error, FileNotFoundError) else str(error)
        raise ValueError(_failed(reason)) from error
    said = b""
    try:
        while git.stderr and (some := os.read(git.stderr.fileno(), 4096)):
            said = (said + some)[-4096:]
            sys.stderr.write(some.decode(errors="replace"))
            sys.stderr.flush()
        status = git.wait()
    finally:  # also when interrupted: nothing may write into a folder that is being removed
        git.kill()
        git.wait()
        if git.stderr:
            git.stderr.close()
    if status:
        lines = said.decode(errors="replace").replace("\r", "\n").splitlines()
        fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
        last = [line for line in lines if line.strip()][-1:]
        reason = (fatal or last or [f"git ended with status {status}"])[0]
        raise ValueError(_failed(reason.removeprefix("fatal: ").strip().rstrip(".")))


def _environment() -> dict[str, str]:
    """Return what git may see: no question to nobody, no repository it was started in, English."""
    kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return kept | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _clear(place: Path) -> None:
    """Remove what killed fetches left beside the place."""
    for part in place.parent.glob(f".{place.name}-*"):
        if time.time() - part.stat().st_mtime > STALE:
            shutil.rmtree(part, ignore_errors=True)


def _failed(reason: str) -> str:
    """Return the line for a fetch that did not succeed."""
    return (
        f"images=imagenet_samples could not be fetched from {URL}: {reason}. With a copy of it, or"
        " photographs of your own, use images=folder images.root=PATH."
    )
