"""From the settings of an ascent to the ascent itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from convscope.data import dataset, photograph
from convscope.models.network import Network
from convscope.models.position import receptive_field
from convscope.models.precision import resolve
from convscope.models.receptive_field import canvas
from convscope.optvis import spectrum
from convscope.optvis.ascent import Ascent
from convscope.optvis.memory import MEMINFO, batch
from convscope.optvis.objectives import Objective
from convscope.optvis.optimizers import OPTIMIZERS, SCHEDULES
from convscope.optvis.parameterization import Parameterization, fourier, maco, pixel
from convscope.optvis.penalties import Penalty, blur_decay, l1, l2, total_variation
from convscope.optvis.transforms import Transform, affine, blur, crops, noise
from convscope.settings import AscentSettings

Spectrum = Callable[[int, int], np.ndarray]


def recipe(
    settings: AscentSettings,
    network: Network,
    objective: Callable[[str], Objective],
    size: tuple[int, int],
    *,
    group: int = 1,
    reference: Path | None = None,
    magnitudes: Spectrum = spectrum.natural,
) -> Ascent:
    """Return the ascent that the settings describe.

    Args:
        settings: how to climb.
        network: the network, in float32.
        objective: layer -> what ascends there.
        size: rows and columns of the canvas, as `canvas_size` gives them.
        group: consecutive samples that the objective looks at together.
        reference: a photograph that the objective compares with.
        magnitudes: what `maco` takes for the magnitudes of its images.

    Raises:
        ValueError, OSError: the image to start from or to compare with cannot be read.
    """
    height, width = size
    start: np.ndarray | str | None = None if settings.start == "noise" else "zero"
    if settings.picture:
        start = fitted(Path(settings.picture).expanduser(), size)
    images_from = parameterization(settings, magnitudes)
    return Ascent(
        network=network,
        objective=objective,
        parameterization=images_from,
        optimizer=OPTIMIZERS[settings.optimizer](images_from.share),
        rate=SCHEDULES[settings.schedule](settings.learning_rate),
        transforms=tuple(transforms(settings, size)),
        penalties=tuple(penalties(settings)),
        height=height,
        width=width,
        steps=settings.steps,
        views=max(settings.crops, 1),
        group=group,
        start=start,
        reference=None if reference is None else fitted(reference, size),
        chunk=settings.chunk,
        precision=resolve(settings.precision),
    )


def parameterization(settings: AscentSettings, magnitudes: Spectrum) -> Parameterization:
    """Return how free numbers become images."""
    if settings.parameterization == "pixel":
        return pixel(settings.deviation)
    if settings.parameterization == "maco":
        return maco(magnitudes)
    return fourier(settings.decay, settings.deviation)


def transforms(settings: AscentSettings, size: tuple[int, int]) -> list[Transform]:
    """Return what the image must survive; what is set to zero is not there."""
    found: list[Transform] = []
    if settings.blur:
        found.append(blur(settings.blur))
    if settings.crops:
        found.append(crops(seen(settings, size), settings.crop_largest, settings.crop_smallest))
    if settings.jitter or settings.scale or settings.rotate:
        found.append(affine(settings.jitter, settings.scale, settings.rotate))
    if settings.noise:
        found.append(noise(settings.noise))
    return found


def penalties(settings: AscentSettings) -> list[tuple[float, Penalty]]:
    """Return what is subtracted from the score, with its weights; zero is not there."""
    every = (
        (settings.total_variation, total_variation),
        (settings.l1, l1),
        (settings.l2, l2),
        (settings.blur_decay, blur_decay),
    )
    return [(weight, penalty) for weight, penalty in every if weight]


def canvas_size(settings: AscentSettings, network: Network, layer: str) -> tuple[int, int]:
    """Return rows and columns of the canvas for units of a layer."""
    if settings.size == "auto":
        if demanded := network.demands(layer):
            return demanded
        side = canvas(receptive_field(network, layer))
        return side, side
    if isinstance(settings.size, int):
        return settings.size, settings.size
    return settings.size[0], settings.size[1]


def named(size: tuple[int, int]) -> str:
    """Return a canvas as it stands in tables: its side, or `HEIGHTxWIDTH`."""
    height, width = size
    return str(height) if height == width else f"{height}x{width}"


def seen(settings: AscentSettings, size: tuple[int, int]) -> int:
    """Return the side of the square that the network gets of a crop."""
    return min(size) if settings.view is None else settings.view


def batch_size(
    settings: AscentSettings, network: Network, layers: Sequence[str], size: tuple[int, int]
) -> int:
    """Return how many images ascend together."""
    if settings.batch != "auto":
        return settings.batch
    deepest = max(layers, key=list(network.graph(layers)).index)
    height, width = (seen(settings, size),) * 2 if settings.crops else size
    text = MEMINFO.read_text() if MEMINFO.exists() else ""
    return batch(network, deepest, height, width, max(settings.crops, 1), text)


def fitted(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Return a photograph in [0, 1] that fills a canvas `(height, width, 3)`, its middle kept.

    Raises:
        ValueError, OSError: it cannot be read; the message names the file.
    """
    try:
        picture = photograph.load(path)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}. Give a picture file.") from error
    return dataset.filling(picture, size)
