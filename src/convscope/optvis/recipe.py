"""From the settings of an ascent to the ascent itself."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from convscope.data import dataset, photograph
from convscope.models.graph import POINTWISE, before, sizes
from convscope.models.network import Network
from convscope.models.position import receptive_field
from convscope.models.precision import resolve
from convscope.models.receptive_field import LARGEST, SMALLEST, ReceptiveField
from convscope.optvis import objectives, parameterization
from convscope.optvis.ascent import Ascent, Goal
from convscope.optvis.objectives import Objective
from convscope.optvis.optimizers import OPTIMIZERS, SCHEDULES
from convscope.optvis.penalties import Penalty, blur_decay, l1, l2, total_variation
from convscope.optvis.transforms import Transform, affine, blur, crops, noise
from convscope.settings import AscentSettings, MacoAscent, PixelAscent, located, sides
from convscope.unit import Unit


def recipe(
    settings: AscentSettings,
    network: Network,
    objective: Callable[[str], Objective],
    size: tuple[int, int],
    *,
    group: int = 1,
    reference: Path | None = None,
    magnitudes: parameterization.Spectrum = parameterization.natural,
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
    start = None if settings.start == "noise" else np.full((*size, 3), 0.5)
    if settings.picture:
        start = fitted(located("ascent.start", settings.picture), size)
    if isinstance(settings, PixelAscent):
        images_from = parameterization.pixel(settings.deviation)
    elif isinstance(settings, MacoAscent):
        images_from = parameterization.maco(magnitudes)
    else:
        images_from = parameterization.fourier(settings.decay, settings.deviation)
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
    every = (total_variation, l1, l2, blur_decay)
    weighted = [(getattr(settings, penalty.__name__), penalty) for penalty in every]
    return [(weight, penalty) for weight, penalty in weighted if weight]


def canvas_size(settings: AscentSettings, network: Network, layer: str) -> tuple[int, int]:
    """Return rows and columns of the canvas for units of a layer."""
    if settings.size == "auto":
        return network.demands(layer) or sides(canvas(receptive_field(network, layer)))
    return sides(settings.size)


def seen(settings: AscentSettings, size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns that the network gets of a crop of the canvas."""
    return size if settings.view is None else sides(settings.view)


def batch_size(
    settings: AscentSettings, network: Network, layers: Sequence[str], size: tuple[int, int]
) -> int:
    """Return how many images ascend together: `WORTH` of them, fewer where memory is short."""
    if settings.batch != "auto":
        return settings.batch
    deepest = max(layers, key=list(network.graph(layers)).index)
    height, width = seen(settings, size) if settings.crops else size
    free = re.search(r"MemAvailable: +(\d+)", MEMINFO.read_text() if MEMINFO.exists() else "")
    # Each of the views at a step counts like a sample.
    each = COPIES * 4 * max(settings.crops, 1) * numbers(network, deepest, height, width)
    return max(1, min(WORTH, int(SHARE * 1024 * int(free[1])) // each)) if free else WORTH


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


def goals(units: Sequence[Unit], signs: Sequence[int], samples: int) -> tuple[Goal, ...]:
    """Return the images to be made, in the order they are shown."""
    return tuple(
        Goal(unit, sample, sign) for unit in units for sign in signs for sample in range(samples)
    )


def aim(
    name: str,
    *,
    position: tuple[int, int] | None = None,
    others: Mapping[int, float] | None = None,
    power: float = 2.0,
    samples: int = 1,
    diversity: float = 0.0,
    logits: str | None = None,
) -> Callable[[str], Objective]:
    """Return what ascends in a layer.

    Args:
        name: channel, neuron, direction, layer, logit or caricature.
        position: for `neuron`: (row, column) in the map; None is its middle.
        others: for `direction`: weights of further filters.
        power: for `direction` and `caricature`: of the cosine.
        samples: images of each filter that follow one another.
        diversity: share of the score that these lose by being alike.
        logits: for `logit`: what gives a number for each class; None: the layer itself.
    """
    main: dict[str, Callable[[str], Objective]] = {
        "channel": objectives.channel,
        "neuron": lambda layer: objectives.neuron(layer, position),
        "direction": lambda layer: objectives.direction(layer, others or {}, power),
        "layer": objectives.deepdream,
        "logit": lambda layer: objectives.logit(logits or layer),
        "caricature": lambda layer: objectives.caricature(layer, power),
    }

    def make(layer: str) -> Objective:
        found = objectives.signed(main[name](layer))
        if samples > 1 and diversity:
            alike = objectives.diversity(layer, samples)
            found = objectives.relative(found, alike, diversity)
        return found

    return make


def batches(every: Sequence[Goal], together: int, group: int) -> list[tuple[Goal, ...]]:
    """Return the goals in batches as even as can be, each a whole number of groups.

    Args:
        every: the goals; each `group` of them that follow one another belong together.
        together: how many may climb at a time; a group is never divided.
        group: goals in a group.
    """
    groups = len(every) // group
    count = -(-groups // max(1, together // group))
    length = group * -(-groups // count)
    return [tuple(every[start : start + length]) for start in range(0, len(every), length)]


def filled(batch: Sequence[Goal], length: int) -> tuple[Goal, ...]:
    """Return a batch with its goals repeated until it is `length` long.

    Another number of samples would be traced and compiled anew.
    """
    return tuple(batch[index % len(batch)] for index in range(length))


MEMINFO = Path("/proc/meminfo")  # of Linux; elsewhere nothing is limited

# More gain nothing: on two cores of an AMD EPYC with AVX-512 BF16, VGG16 forward and back to the
# image at 96 x 96 pixels took 29.9 ms a sample alone, 23.8 in fours, 22.2 in eights, 20.9 in
# sixteens; in float32 the curve is flatter still.
WORTH = 16
SHARE = 0.25  # of the free memory, for what a batch keeps on the way back
COPIES = 3  # of every activation: itself, its gradient, and what a kernel rearranges


def numbers(network: Network, layer: str, height: int, width: int) -> int:
    """Return how many activations an image makes on its way to a layer.

    What an activation function makes of a map counts with the map.
    """
    graph, total = network.until(layer), 0
    for name, (rows, columns) in sizes(graph, (height, width)).items():
        if before(graph[name]) and type(graph[name]) in POINTWISE:
            continue
        shape = graph[name].output.shape
        total += rows * columns * (shape[-1] if len(shape) in (2, 4) else math.prod(shape[1:]))
    return total


def canvas(field: ReceptiveField | None) -> int:
    """Return the side in pixels of a square canvas for the optimum of a layer with this field.

    It is the receptive field rounded up to whole strides, so that every position that the network
    computes is fed by image; no smaller than a texture needs and no larger than the published
    recipes', since the fields of deep layers reach far beyond what their units use. None is a layer
    that sees all of the image, whatever its size.
    """
    if field is None:
        return LARGEST
    sides = [-(-axis.size // axis.stride) * axis.stride for axis in (field.rows, field.columns)]
    return min(max(SMALLEST, *map(math.ceil, sides)), LARGEST)
