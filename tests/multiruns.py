"""Folders of multiruns as their jobs leave them, written without running any."""

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convscope.tracking.multirun import note

FIXED = {"stage": "maximize", "layer": "block4_conv3", "filter": "17"}


def drawing(seed: int, height: int = 50, width: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def finished(folder: Path, activation: float | None = 2.5, **more: Any) -> None:
    """Write what a job of stage=maximize leaves when it is done."""
    (folder / "images").mkdir(parents=True)
    Image.fromarray(drawing(int(folder.name))).save(folder / "images" / "optimum.png")
    (folder / "report.html").write_text("<p>report</p>")
    summary = {
        "status": "done",
        "stage": "maximize",
        "maximize/activation": activation,
        "maximize/picture": "images/optimum.png",
        "seconds": {"total": 1.5 + int(folder.name), "load": 1.0},
    }
    (folder / "summary.json").write_text(json.dumps(summary | more))


def multirun(
    folder: Path,
    values: Mapping[str, Sequence[object]],
    *,
    bad: Mapping[int, tuple[str, str]] | None = None,
    activations: Sequence[float] | None = None,
    upto: int | None = None,
) -> Path:
    """Write a multirun over the values, with an activation that grows from job to job.

    Args:
        folder: where it is written.
        values: of each swept setting.
        bad: status and reason of jobs that are not done, by number.
        activations: one for each job.
        upto: as if it had ended before this job.
    """
    folder.mkdir(parents=True)
    asked = [f"{key}={value}" for key, value in FIXED.items()]
    asked += [f"{key}={','.join(map(str, swept))}" for key, swept in values.items()]
    note(folder, asked=asked, fixed=FIXED)
    for number, combination in enumerate(list(product(*values.values()))[:upto]):
        swept = dict(zip(values, combination, strict=True))
        note(folder, job=number, folder=str(number), swept=swept)
        status, why = (bad or {}).get(number, ("done", ""))
        if status == "done":
            finished(folder / str(number), activations[number] if activations else 10.0 + number)
        elif status != "refused":
            (folder / str(number)).mkdir()
            summary = {"status": status, "seconds": {"total": 0.5}}
            (folder / str(number) / "summary.json").write_text(json.dumps(summary))
        note(folder, job=number, status=status, **({"why": why} if why else {}))
    return folder
