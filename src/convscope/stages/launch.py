"""What a multirun leaves beside the folders of its jobs: a note on each, and a summary of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.data import dataset
from convscope.data.dataset import record
from convscope.models.precision import device, resolve
from convscope.settings import FilesTracker, ImageSettings, TrackerSettings
from convscope.tracking import multirun
from convscope.tracking.multirun import Sweep

if TYPE_CHECKING:
    from convscope.models.network import Network


def summarize(sweep: Sweep, settings: TrackerSettings) -> str:
    """Write table, picture and page of a multirun, and show them to W&B as one run of its group.

    Returns:
        Why W&B has none of it, "" unless it was asked for and is out of reach.

    Raises:
        FileExistsError: the folder holds the summary of another multirun.
    """
    # Here, because numpy, Pillow and jinja2 are not needed before the last job has ended.
    from convscope.report import sweep as sweeps
    from convscope.tracking.tracker import track

    pictures, why = sweeps.pictures(sweep), ""
    for chosen in (settings, FilesTracker("files")):
        try:
            with track(
                sweep.folder,
                chosen,
                config={"overrides": list(sweep.asked), "sweep": sweep.values},
                stage="sweep",
                name=" ".join(["sweep", *sweep.keys]),
                group=sweep.folder.name,
                tags=[sweep.fixed[key] for key in ("stage", "layer") if key in sweep.fixed],
                flat=True,
            ) as tracker:
                tracker.summarize(multirun.summary(sweep))
                columns, rows = multirun.rows(sweep)
                tracker.table("sweep", columns, rows, {"picture": sweeps.tiles(sweep, pictures)})
                tracker.image("sweep", sweeps.sheet(sweep, pictures))
                tracker.page("sweep", sweeps.page(sweep, pictures))
            return why
        except ConnectionError as error:
            why = " ".join(str(error).split())
    return why


def provenance(
    network: Network,
    settings: ImageSettings,
    paths: Sequence[Path],
    skipped: int,
    precision: str,
) -> dict[str, object]:
    """Return where the results of a run come from, for its summary."""
    return {
        "model": network.name,
        "weights": asdict(network.weights),
        "images": record(settings, len(paths), dataset.fingerprint(paths), skipped),
        "device": device(),
        "precision": resolve(precision),
    }
