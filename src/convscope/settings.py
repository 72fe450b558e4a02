"""The values a run is given: frozen, typed, and read strictly.

Values and their defaults live in `conf/` only; the types and ranges live here and in the stages.

pydantic would read them too, but to import it takes 0.15 s and each dataclass of it another 8 ms:
a third of what a refusal takes. Its messages would have to be said anew anyway.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from convscope.text import listed, meant

T = TypeVar("T")
LARGEST_VIEW = 4096  # pixels of a side that a photograph is shown at; 50 million numbers already
PLAIN = {
    str: "text", int: "a whole number", float: "a finite number", bool: "true or false",
    NoneType: "null",
}  # fmt: skip
COMPARISONS = {
    "ge": (operator.ge, "small", "At least"),
    "gt": (operator.gt, "small", "Above"),
    "le": (operator.le, "large", "At most"),
    "lt": (operator.lt, "large", "Below"),
}


class Range:
    """The numbers that a setting takes, as in `Annotated[int, Range(ge=1, le=100)]`."""

    def __init__(self, **bounds: float) -> None:
        """Take the bounds by the names of comparisons: ge, gt, le and lt."""
        self.bounds = bounds

    def check(self, place: str, value: float) -> None:
        """Raise ValueError for a number outside."""
        for name, bound in self.bounds.items():
            holds, size, words = COMPARISONS[name]
            if not holds(value, bound):
                raise ValueError(f"{place}={value} is too {size}. {words} {bound}.")


class Spelled:
    """Of text: a whole number counts as its digits, like the layer `17`."""

    def check(self, place: str, value: str) -> None:
        """Take any text."""


LayerName = Annotated[str, Spelled()]
Count = Annotated[int, Range(ge=1)]
NotNegative = Annotated[float, Range(ge=0)]
Positive = Annotated[float, Range(gt=0)]
Share = Annotated[float, Range(ge=0, le=1)]
ViewSide = Annotated[int, Range(ge=1, le=LARGEST_VIEW)]


def located(setting: str, given: str) -> Path:
    """Return the path that a setting gives, with the home of a user in the place of `~`.

    Raises:
        ValueError: there is no such user.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError:
        who = given.partition("/")[0].removeprefix("~")
        why = f"there is no user {who!r}" if who else "the home of the user is not known"
        raise ValueError(f"{setting}={given} cannot be found: {why}. Give the full path.") from None


def sides(size: int | tuple[int, ...]) -> tuple[int, int]:
    """Return a size, one side or [height,width], as height and width."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def size_of(sides: tuple[int, int]) -> int | tuple[int, int]:
    """Return height and width as a setting gives them: one side of a square."""
    return sides[0] if sides[0] == sides[1] else sides


def _check_sides(name: str, size: object) -> None:
    """Raise ValueError for a size of three sides."""
    if isinstance(size, tuple) and len(size) != 2:
        raise ValueError(
            f"{name}={list(size)} has {len(size)} numbers. It is one side, or [height,width]."
        )


@dataclass(frozen=True)
class Model:
    """What is said of any network.

    Attributes:
        kind: the kind of place it comes from.
        name: its name in results.
        check: whether it is compared with the model as Keras runs it.
    """

    kind: str
    name: str | None
    check: bool

    @property
    def called(self) -> str:
        """What the network is called in results, which is known before it is loaded."""
        return str(self.name)


@dataclass(frozen=True)
class PackagedModel(Model):
    """A network that a package brings along; `weights` is a copy of its file, if there is one."""

    kind: Literal["packaged"]
    name: str
    weights: str | None


@dataclass(frozen=True)
class ApplicationModel(Model):
    """A network of keras.applications; `weights` are imagenet (None too), random, or a file."""

    kind: Literal["application"]
    name: str
    weights: str | None


@dataclass(frozen=True)
class FileModel(Model):
    """A network of the user's own.

    Attributes:
        name: None takes the name of the file.
        path: of the file.
        preprocess: what the network takes.
        output: which of several outputs is asked; None takes the only one that classifies.
        labels: where its classes stand.
        custom: whether code inside of the file may run.
    """

    kind: Literal["file"]
    path: str
    preprocess: Literal["none", "unit", "byte", "tf", "torch", "caffe"]
    output: str | None
    labels: str | None
    custom: bool

    @property
    def called(self) -> str:
        """What the network is called in results, which is known before it is loaded."""
        return self.name or Path(self.path).stem


ModelSettings = PackagedModel | ApplicationModel | FileModel


@dataclass(frozen=True)
class Images:
    """At which size photographs are shown to the network, and how many at a time."""

    name: str
    size: ViewSide | Literal["auto"] | tuple[ViewSide, ...]
    fit: Literal["crop", "squash", "pad", "center"]
    batch: Count

    def __post_init__(self) -> None:
        """Raise ValueError for a view of three sides."""
        _check_sides("size", self.size)

    @property
    def sides(self) -> tuple[int, int]:
        """The size as height and width.

        Raises:
            ValueError: it is still `auto`: only the network knows.
        """
        if self.size == "auto":
            raise ValueError("images.size=auto is a number only beside a network.")
        return sides(self.size)


@dataclass(frozen=True)
class SampleImages(Images):
    """The photographs that ship with scikit-image."""

    name: Literal["samples"]
    root: ClassVar[None] = None  # they lie in no folder of the user's
    labels: ClassVar[None] = None  # and have no classes


@dataclass(frozen=True)
class FolderImages(Images):
    """A folder of photographs, or a single one, and the table of their classes, if there is one."""

    name: Literal["folder"]
    root: str
    labels: str | None


@dataclass(frozen=True)
class ImagenetImages(Images):
    """One photograph of each class of ImageNet, from a copy in `root` or else fetched."""

    name: Literal["imagenet_samples"]
    root: str | None
    labels: str | None


ImageSettings = SampleImages | FolderImages | ImagenetImages


@dataclass(frozen=True)
class Ascent:
    """How the image that excites a unit most is searched for."""

    parameterization: str
    start: str
    size: Count | Literal["auto"] | tuple[Count, ...]
    steps: Count
    optimizer: Literal["rmsprop", "normalized"]
    schedule: Literal["cosine", "constant"]
    learning_rate: Positive
    jitter: NotNegative
    scale: Annotated[float, Range(ge=0, lt=1)]
    rotate: NotNegative
    blur: NotNegative
    noise: NotNegative
    crops: Annotated[int, Range(ge=0)]
    crop_largest: Annotated[float, Range(gt=0, le=1)]
    crop_smallest: Annotated[float, Range(gt=0, le=1)]
    view: Count | tuple[Count, ...] | None
    total_variation: NotNegative
    l1: NotNegative
    l2: NotNegative
    blur_decay: NotNegative
    precision: Literal["auto", "float32", "bfloat16"]
    batch: Count | Literal["auto"]
    chunk: Count
    attempts: Count

    def __post_init__(self) -> None:
        """Raise ValueError for a canvas of three sides, and steps that do not fit the image."""
        _check_sides("size", self.size)
        _check_sides("view", self.view)
        if self.optimizer == "normalized" and self.parameterization != "pixel":
            raise ValueError(
                "optimizer=normalized moves all free numbers alike, which only"
                " ascent=pixel can bear. Leave it out, or add ascent=pixel."
            )

    @property
    def picture(self) -> str | None:
        """The path of the image to start from; None where it starts from noise or zeros."""
        return None if self.start in ("noise", "zero") else self.start


@dataclass(frozen=True)
class FourierAscent(Ascent):
    """The free numbers are the image's Fourier coefficients, high frequencies damped."""

    parameterization: Literal["fourier"]
    decay: NotNegative
    deviation: Positive


@dataclass(frozen=True)
class PixelAscent(Ascent):
    """The free numbers are the pixels themselves."""

    parameterization: Literal["pixel"]
    deviation: Positive


@dataclass(frozen=True)
class MacoAscent(Ascent):
    """The free numbers are phases; the magnitudes are those of photographs."""

    parameterization: Literal["maco"]
    spectrum: Literal["natural", "photographs"]


AscentSettings = FourierAscent | PixelAscent | MacoAscent


@dataclass(frozen=True)
class InputSettings:
    """How the inputs of a unit are measured and which are shown.

    Attributes:
        by: the ranking that the inputs shown are the first of.
        inputs: how many are shown.
        positions: of each photograph at which contributions are kept.
        mixed: |sign index| below this is neither excitatory nor inhibitory.
        negligible: L2 below this share of the largest is negligible.
        depth: 1 for inputs alone; 2 or 3 follow paths back so far.
        branches: paths that are kept into each filter.
    """

    by: Literal["l2", "top_shift", "covariance", "ablation", "greedy"]
    inputs: Count
    positions: Count
    mixed: Share
    negligible: Share
    depth: Annotated[int, Range(ge=1, le=3)]
    branches: Count


@dataclass(frozen=True)
class FilesTracker:
    """Results are files alone."""

    name: Literal["files"]


@dataclass(frozen=True)
class WandbTracker:
    """Results are files, and shown to Weights & Biases: offline, online, or not at all."""

    name: Literal["wandb"]
    project: str
    mode: Literal["offline", "online", "disabled"]
    group: str | None
    tags: tuple[str, ...]


TrackerSettings = FilesTracker | WandbTracker


def read(kind: type[T], values: object, place: str = "") -> T:
    """Return `values` as the dataclass `kind`, exactly: every field, and nothing else.

    Fields may be str, int, float (a whole number is taken too), bool, None, Literal, unions of
    these, `tuple[X, ...]`, `dict[X, Y]`, and other dataclasses. Those in a union are told apart by
    their first field, a Literal. A number may be `Annotated` with its `Range`, a text as `Spelled`.
    Where the
    `__post_init__` of a dataclass raises a ValueError that begins with the name of a field, the
    message is given the full name of the setting.

    Args:
        kind: the dataclass to make.
        values: names and plain values, as they come from YAML.
        place: the dotted name of `values` as a user types it, "" at the top.

    Raises:
        ValueError: a setting is unknown, missing, of a wrong type or outside its range.
    """
    _refuse_unknown(kind, values, place, list(setting_names(kind, values, place)))
    made: T = _read(kind, values, place)
    return made


def unknown(key: str, known: Sequence[str]) -> str:
    """Return the sentence for a setting that does not exist.

    Args:
        key: the dotted name that was given.
        known: the dotted names there are.
    """
    group = key.rpartition(".")[0]
    inside = [name for name in known if name.rpartition(".")[0] == group]
    has = f"{group} has" if inside and group else "At the top there are"
    beside = inside or [name for name in known if "." not in name]
    names = listed([name.rpartition(".")[2] for name in beside])
    others = [name for name in known if not key.startswith(f"{name}.")]
    return f"There is no setting '{key}'. {has} {names}.{meant(key, others)}"


def setting_names(hint: Any, values: Any, place: str = "") -> Iterator[str]:
    """Yield the dotted names of all settings of a dataclass, with the groups that values choose."""
    for name, inner in _hints(hint, values).items():
        yield (key := _join(place, name))
        yield from setting_names(inner, values.get(name), key)


def _refuse_unknown(hint: Any, values: Any, place: str, known: Sequence[str]) -> None:
    """Look into all groups before anything else: a mistyped name leaves another one missing."""
    hints = _hints(hint, values)
    for name in values if hints else ():
        if name not in hints:
            raise ValueError(unknown(_join(place, name), known))
        _refuse_unknown(hints[name], values[name], _join(place, name), known)


def _read(hint: Any, value: Any, place: str) -> Any:
    """Return a value as its type wants it."""
    if hints := _hints(hint, value):
        return _made(hint, hints, value, place)
    if (kinds := _kinds(hint)) and isinstance(value, Mapping):
        tag = fields(next(iter(kinds.values())))[0].name
        return _read(Literal[tuple(kinds)], value.get(tag), f"{place}.{tag}")
    if _kinds(_item(hint)) and isinstance(value, list | tuple):
        return tuple(read(_item(hint), one, f"{place}[{at}]") for at, one in enumerate(value))
    try:
        return _fit(hint, value, place)
    except (TypeError, OverflowError):
        advice = ""
        if str in (hint, *get_args(hint)):
            advice = f" To give this as text, quote it twice: {place}='\"{_shown(value)}\"'."
        elif isinstance(value, str):
            advice = meant(value, _choices(hint))
        raise ValueError(
            f"{place}={_shown(value)} does not fit. It takes {_words(hint)}.{advice}"
        ) from None


def _made(hint: Any, hints: Mapping[str, Any], values: Mapping[str, Any], place: str) -> Any:
    """Return the dataclass that values choose, made of them."""
    gaps = {
        _join(place, name): _words(inner)
        for name, inner in hints.items()
        if values.get(name) is None and NoneType not in get_args(inner)
    }
    if gaps:
        added = " ".join(f"{key}=... ({words})" for key, words in gaps.items())
        verb = "is" if len(gaps) == 1 else "are"
        raise ValueError(f"{listed(list(gaps))} {verb} missing. Add {added} to the command.")
    made = {name: _read(hints[name], values.get(name), _join(place, name)) for name in hints}
    try:
        return _chosen(hint, values)(**made)
    except ValueError as error:
        first = str(error).partition(" ")[0].partition("=")[0]
        raise ValueError(_join(place if first in hints else "", str(error))) from error


@cache
def _kinds(hint: Any) -> dict[Any, Any]:
    """Return the dataclasses that a type may be, by the one value of their first field.

    A dataclass whose first field may have several values stands under None.
    """
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if not all(map(is_dataclass, options)):
        return {}
    firsts = [get_args(get_type_hints(one)[fields(one)[0].name]) for one in options]
    tags = [values[0] if len(values) == 1 else None for values in firsts]
    return dict(zip(tags, options, strict=True))


def _chosen(hint: Any, values: object) -> Any:
    """Return the dataclass that values choose; None where they choose none."""
    kinds = _kinds(hint)
    if not kinds or not isinstance(values, Mapping):
        return None
    tag = values.get(fields(next(iter(kinds.values())))[0].name)
    return kinds.get(None, kinds.get(tag) if isinstance(tag, str) else None)


def _hints(hint: Any, values: object) -> dict[str, Any]:
    """Return the types of the fields of the dataclass that values choose."""
    kind = _chosen(hint, values)
    hints = get_type_hints(kind, include_extras=True) if kind else {}
    return {field.name: hints[field.name] for field in fields(kind)} if kind else {}


def _item(hint: Any) -> Any:
    """Return the type of the items of a tuple; None for other types."""
    return get_args(hint)[0] if get_origin(hint) is tuple else None


def _fit(hint: Any, value: Any, place: str) -> Any:
    """Return a single value as its type wants it, or raise TypeError (bool is never a number)."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        if isinstance(arguments[1], Spelled) and type(value) is int:
            value = str(value)
        made = _fit(arguments[0], value, place)
        arguments[1].check(place, made)
        return made
    if origin in (Union, UnionType):
        for option in arguments:
            with suppress(TypeError):
                return _fit(option, value, place)
    elif origin is tuple and isinstance(value, list | tuple):
        return tuple(_fit(arguments[0], item, place) for item in value)
    elif origin is dict and isinstance(value, Mapping):
        keys, items = arguments
        return {_fit(keys, key, place): _fit(items, item, place) for key, item in value.items()}
    elif hint is float:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
    elif type(value) is hint or (type(value), value) in [(type(one), one) for one in arguments]:
        return value
    raise TypeError(f"{value!r} is no {hint}")


def _words(hint: Any) -> str:
    """Return what a type accepts, in words for a user."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _words(arguments[0])
    if kinds := _kinds(hint):
        return "one of its options" if None in kinds else "a mapping with a type"
    if kinds := _kinds(_item(hint)):
        return f"a list of mappings, each with the type {listed(list(kinds), 'or')}"
    if origin in (Union, UnionType):
        return listed([_words(option) for option in arguments], "or")
    if origin is tuple:
        return f"a list of {_words(arguments[0])}, like [a,b]"
    if origin is Literal:
        return listed(_choices(hint), "or")
    if origin is dict:
        return f"pairs of {' and '.join(map(_words, arguments))}, like {{17:0.5,42:-1}}"
    return PLAIN[hint]


def _choices(hint: Any) -> list[str]:
    """Return the words of all literals in a type."""
    if get_origin(hint) is Literal:
        return [_shown(choice).strip("'") for choice in get_args(hint)]
    return [choice for option in get_args(hint) for choice in _choices(option)]


def _shown(value: object) -> str:
    """Return a value as YAML and the command line spell it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _join(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)
