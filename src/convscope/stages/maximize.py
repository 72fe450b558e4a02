"""Which image excites this filter most?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convscope import images, journal, subject, weights
from convscope.folder import relative
from convscope.settings import AscentSettings, ImageSettings, ModelSettings
from convscope.sweep import JOBS
from convscope.tracker import Tracker
from convscope.unit import WHOLE, Choice, Unit, filters

if TYPE_CHECKING:
    from convscope.ascent import Ascent, Goal, Optimum, Step
    from convscope.card import Card
    from convscope.network import Network

WHOLE_LAYER = ("layer", "caricature")  # objectives that look at all filters of a layer together
FRAMES = 24  # of an animation
FEW = 16  # images that W&B shows one by one; more of them only in a table
MILLISECONDS = 80  # between the frames of an animation


@dataclass(frozen=True)
class MaximizeSettings:
    """What ascends, and how many images of it are made."""

    name: str
    objective: Literal["channel", "neuron", "direction", "layer", "logit", "caricature"]
    sign: Literal[1, -1, "both"]
    samples: int
    diversity: float
    position: tuple[int, ...] | None
    direction: dict[int, float]
    power: float
    image: str | None
    animation: bool
    resume: str

    def __post_init__(self) -> None:
        """Raise ValueError for a value outside its range, or without effect."""
        for name, least in (("samples", 1), ("diversity", 0), ("power", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)} is too small. At least {least}.")
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

    layer: str
    filter: Choice
    seed: int
    stage: MaximizeSettings
    model: ModelSettings
    images: ImageSettings
    ascent: AscentSettings

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units whose images are made, in the order asked for."""
        count = weights.PACKAGED[self.model.name].layers.get(self.layer, 0)
        return tuple(Unit(self.layer, number) for number in filters(self.filter, count))

    @property
    def request(self) -> dict[str, Any]:
        """What a run must share with another to take up its images."""
        every = asdict(self)
        stage = {key: value for key, value in every["stage"].items() if key != "resume"}
        ascent = {key: value for key, value in every["ascent"].items() if key != "chunk"}
        natural = self.ascent.spectrum == "natural"
        given = [self.stage.image, self.ascent.picture]
        pictures = [Path(name).expanduser() for name in given if name]
        asked = {
            "model": self.model.name,
            "weights": weights.PACKAGED[self.model.name].sha256,
            "layer": self.layer,
            "filter": self.filter,
            "seed": self.seed,
            "stage": stage,
            "ascent": ascent,
            "images": None if natural else every["images"],
            "pictures": images.fingerprint(pictures) if pictures else None,
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
    stage = settings.stage
    whole = stage.objective in WHOLE_LAYER
    if whole and settings.filter is not None:
        raise ValueError(
            f"filter={settings.filter} has no effect on stage.objective={stage.objective}, which"
            " looks at all filters of the layer together. Leave filter out."
        )
    if not whole and settings.filter is None:
        raise ValueError("filter is missing. Add filter=17, a list, a range like 0-31, or all.")
    subject.check_units(settings.model, [Unit(settings.layer, 0)])  # before its filters are counted
    subject.check_units(settings.model, [] if whole else settings.units)
    if stage.objective == "logit":
        raise ValueError(
            f"stage.objective=logit needs a network with a classifier; {settings.model.name} with"
            " these weights ends in its last convolution. Take stage.objective=channel."
        )
    subject.check_canvas(settings.ascent, settings.model, settings.layer)
    subject.check_photographs(settings.images, settings.model, settings.layer)
    subject.check_picture("ascent.start", settings.ascent.picture)
    subject.check_picture("stage.image", stage.image)
    if stage.resume not in ("auto", "never"):
        then, _ = journal.read(Path(stage.resume).expanduser())
        if other := journal.differences(then, settings.request):
            raise ValueError(
                f"stage.resume={stage.resume} cannot be taken up: {'; '.join(other)}. Give the"
                " same settings, or start anew with stage.resume=never."
            )


def run(settings: Settings, tracker: Tracker) -> None:
    """Make the images, measure what they truly do, and show them."""
    with tracker.timer("load"):
        from convscope import catalogue
        from convscope.gallery import maximize_page
        from convscope.network import LOADERS
        from convscope.sheet import optima_sheet

        network = LOADERS[settings.model.name](subject.weight_file(settings.model))
    tracker.append(journal.JOURNAL, settings.request)
    cards = {card.file: card for card in taken_up(settings, network, tracker)}
    with tracker.timer("ascend"):
        cards |= {card.file: card for card in made(settings, network, set(cards), tracker)}
    ordered = [cards[file(goal)] for goal in goals_of(settings)]
    with tracker.timer("evidence"):
        ordered, positions, album = judged(settings, network, ordered, tracker)
    with tracker.timer("report"):
        tracker.summarize(summary(settings, network, ordered, album))
        record(settings, network, ordered, tracker)
        tracker.image("optima", optima_sheet(ordered))
        facts = catalogue.facts(ordered, network, settings.stage.objective, len(album[0]))
        notes = catalogue.notes(ordered, network, len(album[0]))
        page = maximize_page(ordered, facts, asdict(settings), notes, positions or None)
        tracker.page("report", page)
    if astray := [card for card in ordered if card.stopped]:
        first, ascent = astray[0], settings.ascent
        more = f" and of {len(astray) - 1} more images" if len(astray) > 1 else ""
        raise FloatingPointError(
            f"the score of {first.name}{more} was no number from step {first.stopped} on, with"
            f" ascent.learning_rate={ascent.learning_rate} and ascent.precision={ascent.precision};"
            " the last good image is kept. Try a smaller learning rate, or float32"
        )


def goals_of(settings: Settings) -> tuple[Goal, ...]:
    """Return the images to be made, in the order they are shown."""
    from convscope.plan import goals

    return goals(settings.units, settings.stage.signs, settings.stage.samples)


def file(goal: Goal) -> str:
    """Return where the picture of a goal lies in the run's folder."""
    return f"images/{goal.slug}.png"


def climb_of(settings: Settings, network: Network) -> tuple[Ascent, int]:
    """Return the ascent, and how many images climb together."""
    from convscope import images, plan, recipes, spectrum

    stage, size = settings.stage, recipes.canvas_size(settings.ascent, network, settings.layer)
    magnitudes: Callable[[int, int], np.ndarray] = spectrum.natural
    if settings.ascent.spectrum == "photographs":
        paths, shown = subject.photographs(settings.images), settings.images
        batches = images.batches(paths, shown.size, shown.batch)
        magnitudes = spectrum.of_photographs(batch.pixels for batch in batches if batch.paths)
    aim = plan.aim(
        stage.objective,
        position=(stage.position[0], stage.position[1]) if stage.position else None,
        others=stage.direction,
        power=stage.power,
        samples=stage.samples,
        diversity=stage.diversity,
    )
    ascent = recipes.recipe(
        settings.ascent,
        network,
        aim,
        size,
        group=stage.samples if stage.diversity else 1,
        reference=Path(stage.image).expanduser() if stage.image else None,
        magnitudes=magnitudes,
    )
    if stage.animation:
        ascent = replace(ascent, chunk=max(1, settings.ascent.steps // FRAMES))
    return ascent, recipes.batch_size(settings.ascent, network, [settings.layer], size)


def made(settings: Settings, network: Network, have: set[str], tracker: Tracker) -> Iterator[Card]:
    """Make the images that are not there yet, batch by batch, and yield each when it is saved."""
    from convscope import plan

    ascent, together = climb_of(settings, network)
    batches = plan.batches(goals_of(settings), together, settings.stage.samples)
    # A batch is made again as a whole, so that its images are those of an undisturbed run.
    todo = [batch for batch in batches if not {file(goal) for goal in batch} <= have]
    if not todo:
        return
    left = sum(map(len, todo))
    what = f"{left} image{'s' * (left != 1)} of {ascent.width} x {ascent.height}"
    with tracker.progress(what, len(todo) * settings.ascent.steps) as update:
        for index, batch in enumerate(todo):
            whole = plan.filled(batch, len(batches[0]))

            def show(step: Step, before: int = index * settings.ascent.steps) -> None:
                again = f", attempt {step.attempt}" if step.attempt > 1 else ""
                update(before + step.number, f"score {np.nanmean(step.curve[-1]):.1f}{again}")
                watch(step, left, before, tracker)

            start = time.perf_counter()
            found = climbed(ascent, whole, settings, show)
            seconds = (time.perf_counter() - start) / len(batch)
            for goal in dict.fromkeys(batch):
                yield saved(settings, network, *found[goal], seconds, tracker)


def climbed(
    ascent: Ascent, goals: Sequence[Goal], settings: Settings, show: Callable[[Step], None]
) -> dict[Goal, tuple[Optimum, np.ndarray, list[np.ndarray]]]:
    """Return the optimum, the curve and, for an animation, the frames of each goal."""
    from convscope.ascent import ascend

    curves: dict[Goal, list[float]] = {}
    frames: dict[Goal, list[np.ndarray]] = {}
    attempts, stage = settings.ascent.attempts, settings.stage
    for step in ascend(ascent, goals, settings.seed, attempts, stage.animation):
        show(step)
        for at, goal in enumerate(step.goals):
            if step.number == len(step.curve):  # another attempt begins
                curves[goal], frames[goal] = [], []
            if len(curves[goal]) < step.number:  # not yet taken from a copy of the goal
                curves[goal] += step.curve[:, at].tolist()
                if step.images is not None:
                    frames[goal].append(step.images[at])
    return {
        best.goal: (best, np.array(curves[best.goal]), frames[best.goal]) for best in step.finished
    }


def watch(step: Step, images: int, before: int, tracker: Tracker) -> None:
    """Record how the scores rise: each image's, or of many images the mean."""
    first = step.total - len(step.curve) + 1
    for number, scores in enumerate(step.curve, first):
        if images <= FEW:
            names = [f"ascent/{goal.slug}" for goal in step.goals]
            tracker.log(dict(zip(names, scores, strict=True)), before + number)
    if images > FEW:
        tracker.log({"ascent/mean": float(np.nanmean(step.curve[-1]))}, before + step.total)


def saved(
    settings: Settings,
    network: Network,
    optimum: Optimum,
    curve: np.ndarray,
    frames: Sequence[np.ndarray],
    seconds: float,
    tracker: Tracker,
) -> Card:
    """Save an image, say in the journal what it does, and return it as it is shown."""
    from convscope.card import Card

    goal = optimum.goal
    moving = None
    if frames:
        moving = str(tracker.animation(goal.slug, np.stack(frames), MILLISECONDS).name)
    card = Card(
        name=str(goal.unit),
        layer=goal.unit.layer,
        filter=goal.unit.filter,
        sample=goal.sample,
        sign=goal.sign,
        image=optimum.image,
        activation=optimum.activation,
        activation_mean=optimum.activation_mean,
        activation_start=optimum.activation_start,
        score=optimum.score,
        quantile=None,
        alive=optimum.alive,
        attempt=optimum.attempt,
        seconds=round(seconds, 2),
        curve=curve,
        stopped=optimum.stopped,
        file=file(goal),
        animation=moving and f"images/{moving}",
    )
    keep(settings, network, card, tracker)
    return card


def keep(settings: Settings, network: Network, card: Card, tracker: Tracker) -> None:
    """Write the picture of a card, with its provenance inside, and its line in the journal."""
    text = {
        "Title": f"{card.name}, image {card.sample}" + ", negative" * (card.sign < 0),
        "Software": f"Convscope {version('convscope')}",
        "convscope:unit": card.name,
        "convscope:activation": repr(card.activation),
        "convscope:objective": settings.stage.objective,
        "convscope:seed": str(settings.seed),
        "convscope:weights": f"{network.weights.source}, SHA-256 {network.weights.sha256}",
        "convscope:settings": json.dumps(settings.request),
    }
    few = len(goals_of(settings)) <= FEW
    tracker.image(Path(card.file).stem, card.image, text=text, shown=few)
    values = {name: value for name, value in vars(card).items() if name != "image"}
    tracker.append(journal.JOURNAL, values)


def taken_up(settings: Settings, network: Network, tracker: Tracker) -> Iterator[Card]:
    """Yield the images that an interrupted run of the same request has finished, kept here too."""
    from convscope.card import Card

    if settings.stage.resume == "never":
        return
    if settings.stage.resume == "auto":
        home = tracker.directory.parent
        # The jobs of a multirun lie side by side too, but none is an earlier one of another.
        others = [] if (home / JOBS).exists() else journal.siblings(home, tracker.directory)
        folder, why = journal.unfinished(settings.request, others)
        if why:
            tracker.say(why)
    else:
        folder = Path(settings.stage.resume).expanduser()
    if folder is None:
        return
    _, optima = journal.read(folder)
    count = 0
    for values in {values["file"]: values for values in optima}.values():
        path = folder / values["file"]
        if not path.is_file():
            continue
        image = np.asarray(images.load(path))
        curve = np.array([np.nan if score is None else score for score in values["curve"]])
        card = Card(**{**values, "image": image, "curve": curve})
        if card.animation:
            frames = folder / card.animation
            card = replace(card, animation=card.animation if frames.is_file() else None)
            if frames.is_file():
                tracker.copy(str(card.animation), frames)
        keep(settings, network, card, tracker)
        count += 1
        yield card
    total = len(goals_of(settings))
    tracker.say(f"{count} of {total} images are taken over from {relative(folder)}")


def judged(
    settings: Settings, network: Network, cards: Sequence[Card], tracker: Tracker
) -> tuple[list[Card], int, tuple[list[Path], int]]:
    """Return the cards with the share of positions on photographs that lie below each.

    Returns:
        The cards, how many positions there are, and (photographs, how many were unreadable).
    """
    from convscope.activations import counter

    paths, shown = subject.photographs(settings.images), settings.images
    own = [card.filter for card in cards]
    seen: list[Path] = []
    skipped = 0
    if WHOLE in own:
        return list(cards), 0, ([], 0)
    count = counter(network, settings.layer, own)
    activations = np.array([card.activation for card in cards], np.float32)
    below, positions = np.zeros(len(cards), np.int64), 0
    with tracker.progress("photographs", len(paths)) as update:
        for batch in images.batches(paths, shown.size, shown.batch):
            seen += batch.paths
            skipped += len(batch.skipped)
            if batch.paths:
                more, many = count(batch.pixels, activations)
                below, positions = below + more, positions + many
            update(len(seen) + skipped)
    shares = below / positions
    judged = [
        replace(card, quantile=float(share)) for card, share in zip(cards, shares, strict=True)
    ]
    return judged, positions, (seen, skipped)


def record(settings: Settings, network: Network, cards: Sequence[Card], tracker: Tracker) -> None:
    """Write the table of all images."""
    from convscope import catalogue
    from convscope.recipes import canvas_size

    size = canvas_size(settings.ascent, network, settings.layer)
    rows = catalogue.rows(cards, settings.stage.objective, size, settings.ascent.steps)
    pictures = {"image": [card.image for card in cards]}
    tracker.table("optima", list(rows[0]), [list(row.values()) for row in rows], pictures)


def summary(
    settings: Settings, network: Network, cards: Sequence[Card], album: tuple[list[Path], int]
) -> dict[str, object]:
    """Return every scalar result and the provenance of all of them."""
    seen, skipped = album
    choice = settings.filter
    best = [card for card in cards if card.sign == cards[0].sign]
    shares = [card.quantile for card in cards if card.quantile is not None]
    return {
        "stage": "maximize",
        "layer": settings.layer,
        "filter": list(choice) if isinstance(choice, tuple) else choice,
        "seed": settings.seed,
        **subject.provenance(network, settings.images, seen, skipped, settings.ascent.precision),
        "maximize/images": len(cards),
        "maximize/alive": sum(card.alive for card in cards),
        "maximize/weak": sum(card.weak for card in cards),
        "maximize/activation": float(np.mean([card.activation for card in best])),
        "maximize/activation_mean": float(np.mean([card.activation_mean for card in best])),
        "maximize/quantile": float(np.mean(shares)) if shares else None,
        "maximize/seconds_per_image": float(np.mean([card.seconds for card in cards])),
        "maximize/picture": cards[0].file,
    }
