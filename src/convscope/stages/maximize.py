"""Which image excites this filter most?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convscope.data import dataset
from convscope.models.zoo import registry
from convscope.settings import (
    AscentSettings,
    Count,
    ImageSettings,
    LayerName,
    MacoAscent,
    ModelSettings,
    NotNegative,
    located,
    sides,
)
from convscope.stages import checks, resume
from convscope.text import by
from convscope.tracking.files import relative
from convscope.tracking.multirun import JOBS
from convscope.tracking.tracker import Tracker
from convscope.unit import WHOLE, Choice, Unit

if TYPE_CHECKING:
    from convscope.models.network import Network
    from convscope.optvis.ascent import Ascent, Goal
    from convscope.report.maximize import OptimumSummary


WHOLE_LAYER = ("layer", "caricature")  # objectives that look at all filters of a layer together
FRAMES = 24  # of an animation
FEW = 16  # images that W&B shows one by one; more of them only in a table


@dataclass(frozen=True)
class MaximizeSettings:
    """What ascends, and how many images of it are made."""

    name: str
    objective: Literal["channel", "neuron", "direction", "layer", "logit", "caricature"]
    sign: Literal[1, -1, "both"]
    samples: Count
    diversity: NotNegative
    position: tuple[int, ...] | None
    direction: dict[int, float] | None
    power: NotNegative
    image: str | None
    animation: bool
    resume: str

    def __post_init__(self) -> None:
        """Raise ValueError for a value that is missing, or without effect or meaning."""
        for name, objective in (
            ("position", "neuron"),
            ("direction", "direction"),
            ("image", "caricature"),
        ):
            if getattr(self, name) and self.objective != objective:
                raise ValueError(
                    f"{name} has no effect on objective={self.objective}. Add"
                    f" stage.objective={objective}, or leave it out."
                )
        if self.objective == "caricature" and not self.image:
            raise ValueError("image is missing. Add stage.image=PATH: what is exaggerated.")
        if self.position is not None and (len(self.position) != 2 or min(self.position) < 0):
            raise ValueError(
                f"position={list(self.position)} is no position. It takes [row,column], from 0."
            )

    @property
    def signs(self) -> tuple[int, ...]:
        """The signs of the images of each filter."""
        return (1, -1) if self.sign == "both" else (self.sign,)


@dataclass(frozen=True)
class Settings:
    """Everything a maximize run is given."""

    layer: LayerName
    filter: Choice
    seed: int
    stage: MaximizeSettings
    model: ModelSettings
    images: ImageSettings
    ascent: AscentSettings

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units whose images are made, in the order asked for."""
        return checks.choose(self.model, self.layer, self.filter)

    @property
    def measured(self) -> bool:
        """Whether the magnitudes of the images are measured on the photographs."""
        return isinstance(self.ascent, MacoAscent) and self.ascent.spectrum == "photographs"

    @property
    def request(self) -> dict[str, Any]:
        """What a run must share with another to take up its images."""
        every = asdict(self)
        stage = {key: value for key, value in every["stage"].items() if key != "resume"}
        ascent = {key: value for key, value in every["ascent"].items() if key != "chunk"}
        given = {"stage.image": self.stage.image, "ascent.start": self.ascent.picture}
        pictures = [located(setting, path) for setting, path in given.items() if path]
        asked = {
            "model": self.model.called,
            "weights": registry.outline(self.model).weights.sha256,
            "preprocess": registry.outline(self.model).preprocess,
            "layer": self.layer,
            "filter": self.filter,
            "seed": self.seed,
            "stage": stage,
            "ascent": ascent,
            "images": every["images"] if self.measured else None,
            "pictures": dataset.fingerprint(pictures) if pictures else None,
        }
        plain: dict[str, Any] = json.loads(json.dumps(asked))
        return plain


def check(settings: Settings) -> None:
    """Raise for a request that cannot be answered, before TensorFlow is loaded.

    Raises:
        ValueError, FileNotFoundError: unknown layer or filter, an objective that does not fit,
            missing or damaged weights, no photographs, an unreadable image, a canvas too small,
            a run to go on with that was asked for something else.
    """
    settings = checks.settled(settings)
    stage = settings.stage
    whole = stage.objective in WHOLE_LAYER
    if whole and settings.filter is not None:
        raise ValueError(
            f"filter={settings.filter} has no effect on stage.objective={stage.objective}, which"
            " looks at all filters of the layer together. Leave filter out."
        )
    if not whole and settings.filter is None:
        raise ValueError("filter is missing. Add filter=17, a list, a range like 0-31, or all.")
    # Filter 0 first: of a layer that is not there no other can be counted.
    units = [Unit(settings.layer, 0), *(() if whole else settings.units)]
    registry.check_units(settings.model, units)
    if stage.objective == "logit" and settings.layer != (
        last := registry.outline(settings.model).classifier
    ):
        if last:
            raise ValueError(
                f"stage.objective=logit is about the layer that classifies. Ask for layer={last}."
            )
        raise ValueError(
            f"stage.objective=logit needs a network with a classifier; {settings.model.called} with"
            " these weights has none. Take stage.objective=channel, or model=efficientnet_lite0"
            " layer=predictions."
        )
    registry.check_canvas(settings.ascent, settings.model, settings.layer)
    if stage.position and settings.ascent.size != "auto":
        size = sides(settings.ascent.size)
        rows, columns = registry.outline(settings.model).positions(settings.layer, size)
        if stage.position[0] >= rows or stage.position[1] >= columns:
            raise ValueError(
                f"stage.position={list(stage.position)} lies outside the map of {settings.layer},"
                f" which has {rows} rows and {columns} columns on {by(size)} pixels."
            )
    checks.check_photographs(settings.images, settings.model, settings.layer)
    dataset.check_picture("ascent.start", settings.ascent.picture)
    dataset.check_picture("stage.image", stage.image)
    if stage.resume not in ("auto", "never"):
        then, _ = resume.read(located("stage.resume", stage.resume))
        if other := resume.differences(then, settings.request):
            raise ValueError(
                f"stage.resume={stage.resume} cannot be taken up: {'; '.join(other)}. Give the"
                " same settings, or start anew with stage.resume=never."
            )


def run(settings: Settings, tracker: Tracker) -> None:
    """Make the images, measure what they truly do, and show them."""
    settings = checks.settled(settings)
    with tracker.timer("load"):
        from convscope.optvis.recipe import canvas_size, goals
        from convscope.report import maximize
        from convscope.stages import optima

        network = registry.network(settings.model)
    tracker.append(resume.JOURNAL, settings.request)
    tracker.resumes = True
    objective, shown = settings.stage.objective, settings.images
    every = goals(settings.units, settings.stage.signs, settings.stage.samples)
    with tracker.timer("ascend"):
        made = make(settings, network, every, tracker)
    positions, seen, skipped = 0, list[Path](), 0
    with tracker.timer("evidence"):
        if made[0].filter != WHOLE:
            paths = dataset.photographs(shown)
            with tracker.progress("photographs", len(paths)) as update:
                batches = dataset.batches(paths, shown.sides, shown.batch, shown.fit)
                made, positions, seen, skipped = optima.compare(network, made, batches, update)
    with tracker.timer("report"):
        tracker.summarize(
            {
                "stage": "maximize",
                "layer": settings.layer,
                "filter": settings.filter,
                "seed": settings.seed,
            }
            | checks.provenance(network, shown, seen, skipped, settings.ascent.precision)
            | {f"maximize/{name}": value for name, value in summary(made).items()}
        )
        size = canvas_size(settings.ascent, network, settings.layer)
        rows = maximize.rows(made, objective, size, settings.ascent.steps)
        tracker.records("optima", rows, {"image": [optimum.image for optimum in made]})
        tracker.image("optima", maximize.optima_sheet(made))
        facts = maximize.facts(made, network, objective, len(seen))
        notes = maximize.notes(made, network, len(seen))
        page = maximize.maximize_page(made, facts, asdict(settings), notes, positions or None)
        tracker.page("report", page)
    if astray := [optimum for optimum in made if optimum.stopped]:
        first, ascent = astray[0], settings.ascent
        more = f" and of {len(astray) - 1} more images" if len(astray) > 1 else ""
        raise FloatingPointError(
            f"the score of {first.name}{more} was no number from step {first.stopped} on, with"
            f" ascent.learning_rate={ascent.learning_rate} and ascent.precision={ascent.precision};"
            " the last good image is kept. Try a smaller learning rate, or float32"
        )


def make(
    settings: Settings, network: Network, every: Sequence[Goal], tracker: Tracker
) -> list[OptimumSummary]:
    """Return the images of all goals: those an earlier run has finished, and the others made."""
    from convscope.optvis.recipe import batches, filled
    from convscope.stages.optima import Optimization, OptimumFiles

    text = {
        "Software": f"Convscope {version('convscope')}",
        "convscope:objective": settings.stage.objective,
        "convscope:seed": str(settings.seed),
        "convscope:weights": f"{network.weights.source}, SHA-256 {network.weights.sha256}",
        "convscope:settings": json.dumps(settings.request),
    }
    few = len(every) <= FEW
    files = OptimumFiles(tracker, text, shown=few)
    made = {}
    if folder := earlier(settings, tracker):
        made = {optimum.file: optimum for optimum in files.copy(folder)}
        total = f"{len(made)} of {len(every)} images"
        tracker.say(f"{total} are taken over from {relative(folder)}")
    ascent, together = climb(settings, network)
    parts = batches(every, together, settings.stage.samples)
    # A batch is made again as a whole, so that its images are those of an undisturbed run.
    todo = [part for part in parts if not {goal.file for goal in part} <= made.keys()]
    if todo:
        attempts, animation = settings.ascent.attempts, settings.stage.animation
        curve = (lambda goal: goal.slug) if few else None
        optimization = Optimization(tracker, settings.seed, attempts, curve, watched=animation)
        # A short last batch would be traced and compiled anew.
        full = [filled(part, len(parts[0])) for part in todo]
        found = map(files.write, optimization.optima(ascent, full))
        made |= {optimum.file: optimum for optimum in found}
    return [made[goal.file] for goal in every]


def earlier(settings: Settings, tracker: Tracker) -> Path | None:
    """Return the run whose images are taken over, and say why another is not."""
    if settings.stage.resume == "never":
        return None
    if settings.stage.resume != "auto":
        return located("stage.resume", settings.stage.resume)
    # The jobs of a multirun lie side by side too, but none is an earlier one of another.
    if (tracker.directory.parent / JOBS).exists():
        return None
    folder, why = resume.unfinished(settings.request, tracker.directory)
    if why:
        tracker.say(why)
    return folder


def climb(settings: Settings, network: Network) -> tuple[Ascent, int]:
    """Return the ascent, and how many images climb together."""
    from convscope.models.network import head
    from convscope.optvis import parameterization, recipe

    stage, size = settings.stage, recipe.canvas_size(settings.ascent, network, settings.layer)
    magnitudes: Callable[[int, int], np.ndarray] = parameterization.natural
    if settings.measured:
        pixels = dataset.pixels_of(dataset.photographs(settings.images), settings.images)
        magnitudes = parameterization.of_photographs(pixels)
    aim = recipe.aim(
        stage.objective,
        position=(stage.position[0], stage.position[1]) if stage.position else None,
        others=stage.direction,
        power=stage.power,
        samples=stage.samples,
        diversity=stage.diversity,
        logits=last.logits if stage.objective == "logit" and (last := head(network)) else None,
    )
    ascent = recipe.recipe(
        settings.ascent,
        network,
        aim,
        size,
        group=stage.samples if stage.diversity else 1,
        reference=located("stage.image", stage.image) if stage.image else None,
        magnitudes=magnitudes,
    )
    if stage.animation:
        ascent = replace(ascent, chunk=max(1, settings.ascent.steps // FRAMES))
    return ascent, recipe.batch_size(settings.ascent, network, [settings.layer], size)


def summary(optima: Sequence[OptimumSummary]) -> dict[str, object]:
    """Return every scalar result."""
    best = [optimum for optimum in optima if optimum.sign == optima[0].sign]
    shares = [optimum.quantile for optimum in optima if optimum.quantile is not None]
    return {
        "images": len(optima),
        "alive": sum(optimum.alive for optimum in optima),
        "weak": sum(optimum.weak for optimum in optima),
        "activation": float(np.mean([optimum.activation for optimum in best])),
        "activation_mean": float(np.mean([optimum.activation_mean for optimum in best])),
        "quantile": float(np.mean(shares)) if shares else None,
        "seconds_per_image": float(np.mean([optimum.seconds for optimum in optima])),
        "picture": optima[0].file,
    }
