"""The questions as a notebook asks them: functions that return what the packages have.

Every setting of a command is taken by its name, and has the value of `conf/` where none is given.
Nothing is written, and each result shows itself in a cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from convscope.data import dataset
from convscope.settings import AscentSettings, ImageSettings, InputSettings, ModelSettings, read
from convscope.unit import Unit, check

if TYPE_CHECKING:
    from convscope.activations.recorder import Crop
    from convscope.models.network import Network
    from convscope.optvis.ascent import Optimum
    from convscope.report.circuit import NotebookCircuit

MISSING = "???"  # in conf/, what only the user can say
FILES = (".keras", ".h5", ".hdf5")
SHOWN = 128  # pixels of the longer side of an example in a cell


@dataclass(frozen=True)
class Examples:
    """What excites a unit most on photographs: a sequence of crops, strongest first.

    Attributes:
        unit: the unit.
        crops: one of each photograph: its path, box, activation and pixels.
    """

    unit: Unit
    crops: tuple[Crop, ...]

    def __iter__(self) -> Iterator[Crop]:
        """Go through the crops, strongest first."""
        return iter(self.crops)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.crops)

    def __getitem__(self, place: int) -> Crop:
        """Return the crop at a place, from 0 for the strongest."""
        return self.crops[place]

    def _repr_html_(self) -> str:
        from convscope.report.html import render

        return render("notebook_examples.html", examples=self, side=SHOWN)


def load(name: str, **settings: object) -> Network:
    """Return a trained network.

    >>> network = convscope.load("vgg16")
    >>> network.name
    'vgg16'

    Args:
        name: a packaged network, such as `vgg16`; one of keras.applications, such as `ResNet50`; or
            the path of a `.keras` or `.h5` file.
        **settings: of the model, as in `conf/model/`: `weights="random"`, `preprocess="tf"`.

    Raises:
        ValueError, FileNotFoundError: there is no such network, or its weights are damaged.
    """
    from convscope.models.zoo import registry

    if Path(name).suffix in FILES:
        values = _defaults("model", "file") | {"path": name}
    elif (_conf() / "model" / f"{name}.yaml").is_file():
        values = _defaults("model", name)
    else:
        values = _defaults("model", "application") | {"name": name}
    chosen: Any = ModelSettings
    return registry.network(_read(chosen, values | settings, "model"))


def optimum(
    network: Network, layer: str, filter: int, *, seed: int = 0, **settings: object
) -> Optimum:
    """Return the image that excites a filter most, found by gradient ascent.

    >>> best = convscope.optimum(network, "block3_conv2", 100, steps=8)
    >>> best.alive, best.image.dtype.name
    (True, 'uint8')

    Args:
        network: the network.
        layer: the name of the filter's layer.
        filter: its number, from 0.
        seed: same seed, same machine: the same image.
        **settings: of the ascent, as in `conf/ascent/fourier.yaml`: `steps=48`, `size=96`.

    Raises:
        ValueError: the network has no such filter, or a setting does not fit.
    """
    from convscope.optvis.ascent import Goal, ascend
    from convscope.optvis.recipe import aim, canvas_size, recipe

    chosen: Any = AscentSettings
    how: AscentSettings = _read(chosen, _defaults("ascent", "fourier") | settings, "ascent")
    goal = Goal(_unit(network, layer, filter))
    climb = recipe(how, network, aim("channel"), canvas_size(how, network, layer))
    *_, last = ascend(climb, [goal], seed, how.attempts)
    return last.finished[0]


def rank(
    network: Network,
    layer: str,
    filter: int,
    photographs: str | Path | None = None,
    *,
    count: int = 12,
    **settings: object,
) -> Examples:
    """Return what excites a filter most on photographs, strongest first, one of each photograph.

    >>> found = convscope.rank(network, "block3_conv2", 100, count=3)
    >>> len(found), found[0].activation >= found[1].activation
    (3, True)

    Args:
        network: the network.
        layer: the name of the filter's layer.
        filter: its number, from 0.
        photographs: a folder of them, or a single one; None: those that a package brings.
        count: examples at most.
        **settings: of the photographs, as in `conf/images/`: `fit="pad"`, `size=299`.

    Raises:
        ValueError, FileNotFoundError: the network has no such filter, or there is no photograph.
    """
    from convscope.activations.recorder import fill

    unit, shown = _unit(network, layer, filter), _images(network, photographs, settings)
    paths = dataset.photographs(shown)
    *_, seen = fill(network, [layer], paths, shown.sides, shown.batch, shown.fit)
    return Examples(unit, seen.crops(unit, count))


def circuit(
    network: Network,
    layer: str,
    filter: int,
    photographs: str | Path | None = None,
    *,
    seed: int = 0,
    **settings: object,
) -> NotebookCircuit:
    """Return which inputs excite or inhibit a filter, and how much of it the strongest explain.

    >>> found = convscope.circuit(network, "block3_conv2", 100, inputs=5, size=96)
    >>> [edge.label for edge in found.circuit.edges]  # doctest: +ELLIPSIS
    ['...', '...', '...', '...', '...']
    >>> found.sentence
    'The five kernels with the largest L2 recover ...'

    Args:
        network: the network.
        layer: the name of the filter's layer.
        filter: its number, from 0.
        photographs: a folder of them, or a single one; None: those that a package brings.
        seed: of the positions and the draws.
        **settings: of the circuit, as in `conf/stage/circuit.yaml`: `by="greedy"`, `inputs=20` (how
            many are shown; all are measured), and of the photographs, as in `conf/images/`.

    Raises:
        ValueError, FileNotFoundError: the network has no such filter, it is no weighted sum of its
            inputs, a setting does not fit, or there is no photograph.
    """
    from convscope.circuits import attribution, edges
    from convscope.report.circuit import NotebookCircuit

    if "depth" in settings:
        raise ValueError("Paths are followed by the command alone: stage=circuit stage.depth=2.")
    known = _defaults("stage", "circuit")
    chosen = {one.name: settings.pop(one.name, known[one.name]) for one in fields(InputSettings)}
    how: InputSettings = _read(InputSettings, chosen, "stage")
    unit, shown = _unit(network, layer, filter), _images(network, photographs, settings)
    read, paths = attribution.read_by(network, unit), dataset.photographs(shown)
    recording, sample = attribution.observe(network, read, paths, shown, how.positions, seed)
    return NotebookCircuit(**vars(edges.analyze(read, recording, sample, how, seed)))


def _unit(network: Network, layer: str, filter: int) -> Unit:
    """Return a unit that the network has."""
    from convscope.models.network import layers

    check(unit := Unit(layer, filter), layers(network), network.name)
    return unit


def _images(
    network: Network, photographs: str | Path | None, settings: dict[str, object]
) -> ImageSettings:
    """Return how photographs are shown to a network, with a number for their size."""
    from convscope.stages.checks import USUAL

    chosen: Any = ImageSettings
    values = _defaults("images", "samples" if photographs is None else "folder")
    given = {} if photographs is None else {"root": str(photographs)}
    shown: ImageSettings = _read(chosen, values | given | settings, "images")
    return replace(shown, size=network.size or USUAL) if shown.size == "auto" else shown


def _read(kind: Any, values: dict[str, object], group: str) -> Any:
    """Return settings; what only the user can say and has not is missing."""
    return read(kind, {k: v for k, v in values.items() if v != MISSING}, group)


def _defaults(group: str, option: str) -> dict[str, object]:
    """Return the values of an option of `conf/`."""
    text = (_conf() / group / f"{option}.yaml").read_text("utf-8")
    values: dict[str, object] = yaml.safe_load(text)
    return values


def _conf() -> Any:
    """Return `conf/`: inside the installed package, or at the top of a clone."""
    inside = files("convscope") / "conf"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "conf"
