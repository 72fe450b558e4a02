"""The values a run is given: frozen, typed, and read strictly.

Values and their defaults live in `conf/` only; the types and ranges live here and in the stages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from convscope.text import closest

T = TypeVar("T")
LARGEST_VIEW = 4096  # pixels of a side that a photograph is shown at; 50 million numbers already


@dataclass(frozen=True)
class ModelSettings:
    """Which network is looked at, and where its weights come from.

    Attributes:
        kind: packaged, one of keras.applications, or a file of the user's own.
        name: of the network, as it stands in results; of a file, None takes the file's own.
        weights: a file, or what the kind has a word for; None: the packaged file.
        path: of the user's own network.
        preprocess: what such a network takes.
        labels: where the classes of such a network stand.
        custom: whether code inside of such a file may run.
    """

    kind: Literal["packaged", "application", "file"]
    name: str | None
    weights: str | None
    path: str | None
    preprocess: Literal["none", "unit", "byte", "tf", "torch", "caffe"] | None
    labels: str | None
    custom: bool

    def __post_init__(self) -> None:
        """Raise ValueError for a value that is missing, or without effect on the kind."""
        if self.kind == "file":
            for name, what in (
                ("path", "PATH (your own .keras file)"),
                ("preprocess", "none, byte, tf, torch or caffe (what the network takes; --help)"),
            ):
                if getattr(self, name) is None:
                    raise ValueError(f"{name} is missing. Add model.{name}={what}.")
            if self.weights is not None:
                raise ValueError(
                    f"weights={self.weights!r} has no effect on model=file, whose file holds them."
                    " Leave it out."
                )
            return
        if not self.name:
            raise ValueError("name is missing. Add model.name=..., like model.name=VGG16.")
        for name in ("path", "preprocess", "labels", "custom"):
            if value := getattr(self, name):
                raise ValueError(
                    f"{name}={value} has an effect on model=file alone. Leave it out, or add"
                    " model=file."
                )

    @property
    def called(self) -> str:
        """What the network is called in results, which is known before it is loaded."""
        return self.name or Path(str(self.path)).stem


@dataclass(frozen=True)
class ImageSettings:
    """Which photographs are shown to the network, at which size and how many at a time."""

    name: Literal["samples", "folder", "imagenet_samples"]
    root: str | None
    size: int | Literal["auto"]
    fit: Literal["crop", "squash", "pad", "center"]
    batch: int
    labels: str | None

    def __post_init__(self) -> None:
        """Raise ValueError for a size or batch below 1 and for a root that does not fit."""
        _at_least(1, batch=self.batch)
        if self.size != "auto":
            _at_least(1, size=self.size)
            if self.size > LARGEST_VIEW:
                raise ValueError(f"size={self.size} is too large. At most {LARGEST_VIEW} pixels.")
        if self.name == "folder" and not self.root:
            raise ValueError("root is missing. Add images.root=... (a folder with photographs).")
        if self.name == "samples" and self.root is not None:
            raise ValueError(
                f"root={self.root!r} has no effect on images=samples, which brings its own"
                " photographs. Add images=folder to use yours."
            )
        if self.name == "samples" and self.labels is not None:
            raise ValueError(
                f"labels={self.labels!r} has no effect on images=samples, whose photographs have"
                " no classes. Add images=folder to use yours."
            )

    @property
    def side(self) -> int:
        """The size as a number.

        Raises:
            ValueError: it is still `auto`: only the network knows.
        """
        if self.size == "auto":
            raise ValueError("images.size=auto is a number only beside a network.")
        return self.size


@dataclass(frozen=True)
class AscentSettings:
    """How the image that excites a unit most is searched for."""

    parameterization: Literal["fourier", "pixel", "maco"]
    start: str
    size: int | Literal["auto"] | tuple[int, ...]
    steps: int
    optimizer: Literal["rmsprop", "normalized"]
    schedule: Literal["cosine", "constant"]
    learning_rate: float
    decay: float
    deviation: float
    spectrum: Literal["natural", "photographs"]
    jitter: float
    scale: float
    rotate: float
    blur: float
    noise: float
    crops: int
    crop_largest: float
    crop_smallest: float
    view: int | None
    total_variation: float
    l1: float
    l2: float
    blur_decay: float
    precision: Literal["auto", "float32", "bfloat16"]
    batch: int | Literal["auto"]
    chunk: int
    attempts: int

    def __post_init__(self) -> None:
        """Raise ValueError for a value outside its range."""
        _at_least(1, steps=self.steps, chunk=self.chunk, attempts=self.attempts)
        transforms = ("jitter", "scale", "rotate", "blur", "noise", "crops")
        penalties = ("total_variation", "l1", "l2", "blur_decay")
        for name in ("decay", *transforms, *penalties):
            _at_least(0, **{name: getattr(self, name)})
        _above_zero(learning_rate=self.learning_rate, deviation=self.deviation)
        _above_zero(crop_largest=self.crop_largest, crop_smallest=self.crop_smallest)
        for name in ("size", "view", "batch"):
            value = getattr(self, name)
            sides = value if isinstance(value, tuple) else (value,)
            for side in sides:
                if isinstance(side, int):
                    _at_least(1, **{name: side})
        if isinstance(self.size, tuple) and len(self.size) != 2:
            raise ValueError(
                f"size={list(self.size)} has {len(self.size)} numbers. It is one side, or"
                " [height,width]."
            )
        if self.scale >= 1:
            raise ValueError(f"scale={self.scale} is too large. It is a share below 1, like 0.1.")
        for name in ("crop_largest", "crop_smallest"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name}={getattr(self, name)} is too large. 1 is all of it.")
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
class TrackerSettings:
    """Where results go beside the files: Weights & Biases, offline or online, or nowhere."""

    name: Literal["wandb", "files"]
    project: str
    mode: Literal["offline", "online", "disabled"]
    group: str | None
    tags: tuple[str, ...]


def read(kind: type[T], values: Mapping[str, object], place: str = "") -> T:
    """Return `values` as the dataclass `kind`, exactly: every field, and nothing else.

    Fields may be str, int, float (a whole number is taken too), bool, None, Literal, unions of
    these, `tuple[X, ...]`, `dict[X, Y]` and other dataclasses; the items of a tuple may be
    dataclasses too, told apart by their `type`, a Literal. Where the ranges of a dataclass (its
    `__post_init__`) raise a ValueError that begins with the name of a field, the message is given
    the full name of the setting.

    Args:
        kind: the dataclass to make.
        values: names and plain values, as they come from YAML.
        place: the dotted name of `values` as a user types it, "" at the top.

    Raises:
        ValueError: a setting is unknown, missing, of a wrong type or outside its range.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{place}={_shown(values)} does not fit. It takes {_words(kind)}.")
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    _refuse_unknown(kind, values, place, setting_names(kind, place))
    gaps = [name for name in names if values.get(name) is None and not _takes_null(hints[name])]
    if gaps:
        keys = [_join(place, name) for name in gaps]
        added = " ".join(
            f"{key}=... ({_words(hints[name])})" for key, name in zip(keys, gaps, strict=True)
        )
        verb = "is" if len(keys) == 1 else "are"
        raise ValueError(f"{_listed(keys, 'and')} {verb} missing. Add {added} to the command.")
    made = {name: _value(hints[name], values.get(name), _join(place, name)) for name in names}
    try:
        return kind(**made)
    except ValueError as error:
        first = str(error).partition(" ")[0].partition("=")[0]
        raise ValueError(_join(place if first in names else "", str(error))) from error


def unknown(key: str, known: Sequence[str]) -> str:
    """Return the sentence for a setting that does not exist.

    Args:
        key: the dotted name that was given.
        known: the dotted names there are.
    """
    group = key.rpartition(".")[0]
    beside = _inside(group, known) or _inside("", known)
    has = f"{group} has" if _inside(group, known) and group else "At the top there are"
    near = closest(key, [name for name in known if not key.startswith(f"{name}.")])
    return f"There is no setting '{key}'. {has} {_listed(beside, 'and')}." + (
        f" Did you mean '{near}'?" if near else ""
    )


def setting_names(kind: type, place: str = "") -> list[str]:
    """Return the dotted names of all settings of a dataclass, its groups included."""
    names = []
    for name, hint in get_type_hints(kind).items():
        names.append(_join(place, name))
        if is_dataclass(hint):
            names += setting_names(hint, _join(place, name))  # type: ignore[arg-type]
    return names


def _refuse_unknown(kind: type, values: Mapping[str, object], place: str, known: list[str]) -> None:
    """Look into all groups before anything else: a mistyped name leaves another one missing."""
    hints = get_type_hints(kind)
    for name, value in values.items():
        if name not in hints:
            raise ValueError(unknown(_join(place, name), known))
        if is_dataclass(hints[name]) and isinstance(value, Mapping):
            _refuse_unknown(hints[name], value, _join(place, name), known)


def _value(hint: Any, value: object, place: str) -> object:
    if is_dataclass(hint):
        return read(hint, value, place)  # type: ignore[arg-type]
    if (kinds := _kinds(hint)) and isinstance(value, list | tuple):
        return tuple(_item(kinds, item, f"{place}[{at}]") for at, item in enumerate(value))
    try:
        return _fit(hint, value)
    except (TypeError, OverflowError):
        advice = ""
        if str in (hint, *get_args(hint)):
            advice = f" To give this as text, quote it twice: {place}='\"{_shown(value)}\"'."
        elif isinstance(value, str) and (near := closest(value, _choices(hint))):
            advice = f" Did you mean '{near}'?"
        raise ValueError(
            f"{place}={_shown(value)} does not fit. It takes {_words(hint)}.{advice}"
        ) from None


def _kinds(hint: Any) -> dict[str, Any]:
    """Return the dataclasses that the items of a tuple may be, by their `type`; none: no such."""
    item = get_args(hint)[0] if get_origin(hint) is tuple else None
    options = get_args(item) if get_origin(item) in (Union, UnionType) else (item,)
    if not all(is_dataclass(option) for option in options):
        return {}
    return {get_args(get_type_hints(option)["type"])[0]: option for option in options}


def _item(kinds: Mapping[str, Any], value: object, place: str) -> object:
    """Return one of several dataclasses, the one that the value's `type` names."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{place}={_shown(value)} does not fit. It takes a mapping with a type.")
    given = value.get("type")
    if not isinstance(given, str) or given not in kinds:
        near = closest(given, list(kinds)) if isinstance(given, str) else None
        advice = f" Did you mean '{near}'?" if near else ""
        raise ValueError(
            f"{place}.type={_shown(given)} does not fit. It takes {_listed(list(kinds), 'or')}."
            f"{advice}"
        )
    return read(kinds[given], value, place)


def _fit(hint: Any, value: object) -> object:
    """Return `value` as `hint` wants it, or raise TypeError (bool is never a number)."""
    arguments = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        for option in arguments:
            try:
                return _fit(option, value)
            except TypeError:
                continue
    elif get_origin(hint) is Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
    elif get_origin(hint) is tuple:
        if isinstance(value, list | tuple):
            return tuple(_fit(arguments[0], item) for item in value)
    elif get_origin(hint) is dict:
        if isinstance(value, Mapping):
            keys, values = arguments
            return {_fit(keys, key): _fit(values, item) for key, item in value.items()}
    elif hint is float:
        if type(value) in (int, float) and math.isfinite(value):  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
    elif type(value) is hint:
        return value
    raise TypeError(f"{value!r} is no {hint}")


def _words(hint: Any) -> str:
    """Return what a type accepts, in words for a user."""
    if get_origin(hint) in (Union, UnionType):
        return _listed([_words(option) for option in get_args(hint)], "or")
    if kinds := _kinds(hint):
        return f"a list of mappings, each with the type {_listed(list(kinds), 'or')}"
    if get_origin(hint) is tuple:
        return f"a list of {_words(get_args(hint)[0])}, like [a,b]"
    if get_origin(hint) is Literal:
        return _listed(_choices(hint), "or")
    if get_origin(hint) is dict:
        return f"pairs of {' and '.join(map(_words, get_args(hint)))}, like {{17:0.5,42:-1}}"
    plain = {str: "text", int: "a whole number", float: "a finite number", bool: "true or false"}
    return "null" if hint in (None, NoneType) else plain.get(hint, "one of its options")


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) in (Union, UnionType):
        return [choice for option in get_args(hint) for choice in _choices(option)]
    return (
        [_shown(choice).strip("'") for choice in get_args(hint)]
        if get_origin(hint) is Literal
        else []
    )


def _takes_null(hint: Any) -> bool:
    return hint is NoneType or NoneType in get_args(hint)


def _shown(value: object) -> str:
    """Return a value as YAML and the command line spell it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _listed(words: Sequence[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _inside(group: str, known: Sequence[str]) -> list[str]:
    return [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == group and name]


def _join(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _at_least(least: int, **values: float) -> None:
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name}={value} is too small. It must be at least {least}.")


def _above_zero(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ValueError(f"{name}={value} is too small. It must be above 0.")
