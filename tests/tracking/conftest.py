"""Trackers that are opened as a job opens them, and pictures for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.settings import FilesTracker, TrackerSettings
from convscope.tracking.tracker import track

FILES = FilesTracker("files")


@pytest.fixture(scope="session")
def opened() -> Callable[..., Any]:
    """Give a tracker of a folder, of files alone where nothing else is asked for."""

    def made(folder: Path, settings: TrackerSettings = FILES, **changed: Any) -> Any:
        given: dict[str, Any] = {
            "config": {"layer": "block4_conv3", "stage": {"inputs": 10}},
            "stage": "circuit",
            "name": "circuit block4_conv3:17",
            "group": "sweep-1",
            "tags": ["vgg16"],
        }
        return track(folder, settings, **(given | changed))

    return made


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """Give a picture of noise."""

    def made(seed: int, height: int = 5, width: int = 7) -> np.ndarray:
        draws = np.random.default_rng(seed)
        return draws.integers(0, 256, (height, width, 3), dtype=np.uint8)

    return made


@pytest.fixture(scope="session")
def ascent(picture: Callable[..., np.ndarray]) -> Callable[[int], np.ndarray]:
    """Give frames that go from grey to a picture."""

    def made(count: int) -> np.ndarray:
        last = picture(1, 3, 4).repeat(8, axis=0).repeat(8, axis=1)
        parts = np.linspace(0, 1, count)[:, None, None, None]
        return np.rint(128 + (last - 128.0) * parts).astype(np.uint8)

    return made


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
