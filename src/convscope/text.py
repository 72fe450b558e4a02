"""Numbers, lists and names in words: one rule for each kind, for pages, pictures and messages.

NumPy is not imported here, since the text of a refusal needs none: its scalars are Python's own
after `item()`.
"""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path


def closest(name: str, known: Sequence[str]) -> str | None:
    """Return the one of `known` that `name` was probably meant to be, or None.

    Names may be dotted; the last part alone counts too, so that `steps` finds `ascent.steps`.
    """
    last = name.rpartition(".")[2]
    lasts = {other.rpartition(".")[2]: other for other in reversed(known)}
    if last in lasts and last != name:
        return lasts[last]
    if name in lasts:
        return lasts[name]
    if near := get_close_matches(name, known, n=1, cutoff=0.7):
        return near[0]
    return lasts[near[0]] if (near := get_close_matches(last, lasts, n=1, cutoff=0.7)) else None


def meant(name: str, known: Sequence[str]) -> str:
    """Return the sentence that suggests the closest of `known`, "" where none is near."""
    near = closest(name, known)
    return f" Did you mean '{near}'?" if near else ""


def listed(words: Sequence[str], last: str = "and") -> str:
    """Return words as a sentence lists them: `a, b and c`."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def some(names: Iterable[str], most: int) -> str:
    """Return the first of these names in a line, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def by(size: Sequence[int]) -> str:
    """Return height and width as sentences say them: `64 x 96`."""
    return f"{size[0]} x {size[1]}"


def sized(size: Sequence[int]) -> str:
    """Return height and width as tables say them: one side, or `64x96`."""
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


def number(value: float | None, *, signed: bool = False, digits: int = 3) -> str:
    """Return `value` in significant digits with a true minus sign; an en dash for None."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    value = value or 0.0  # No minus before zero.
    size = math.floor(math.log10(abs(value))) if value else digits - 1
    form = f".{max(digits - 1 - size, 0)}f" if -4 <= size < 6 else f".{digits - 1}e"
    plus = "+" if signed and value > 0 else ""
    return plus + f"{value:{form}}".replace("-", "\N{MINUS SIGN}")


def fixed(value: float) -> str:
    """Return `value` with its sign and two decimals: for quantities between -1 and 1."""
    return f"{round(value, 2) or 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")


def aligned(values: Sequence[float | None], kind: str = "") -> list[str]:
    """Return the numbers of a column with equally many decimals, so that their points align.

    The largest gets four digits at least, a middling one two.

    Args:
        values: the numbers; None has no value.
        kind: "rank" for whole numbers, "percent" for shares from 0 to 1, "signed" for numbers with
            a plus or minus, otherwise plain numbers.
    """
    if kind == "rank":
        return [str(value) for value in values]
    factor, unit = (100, "\N{NO-BREAK SPACE}%") if kind == "percent" else (1, "")
    sizes = sorted(abs(factor * value) for value in values if value)
    decimals = 2 if kind == "percent" else 0
    if sizes and kind != "percent":
        largest, middling = (math.floor(math.log10(sizes[at])) for at in (-1, len(sizes) // 2))
        decimals = min(max(3 - largest, 1 - middling, 0), 8)
    sign = "+" if kind == "signed" else ""
    return [
        "\N{EN DASH}" if value is None
        else f"{round(factor * value, decimals) or 0.0:{sign}.{decimals}f}{unit}"
        .replace("-", "\N{MINUS SIGN}")
        for value in values
    ]  # fmt: skip


def words(value: object, digits: int | None = None) -> str:
    """Return any value in plain words; numbers as they are or in significant `digits`."""
    if value is None:
        return "\N{EN DASH}"
    if hasattr(value, "item"):  # a scalar of NumPy's
        value = value.item()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, digits=digits) if digits else f"{value:.12g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(words, value)) or "none"
    return str(value)


def spelled(path: Path | str) -> str:
    r"""Return a file's name as text for one line: what cannot be shown there is escaped.

    Undecodable bytes become like \xff, line breaks and other control characters like \n; a
    backslash is doubled, so that two names never look alike.
    """
    text = os.fspath(path).replace("\\", "\\\\")
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
        else letter
        for letter in text
    )


def one_line(error: BaseException) -> str:
    """Return what an error says on one line, or its name where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def share(value: float) -> str:
    """Return a share in whole percent, with one decimal below ten."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    decimals = 0 if abs(value) >= 0.0995 or abs(value) < 0.0005 else 1
    return f"{round(100 * value, decimals) or 0.0:.{decimals}f} %".replace("-", "\N{MINUS SIGN}")


def precise(share: float) -> str:
    """Return a share in percent with two significant digits, however small it is."""
    return f"{number(100 * share, digits=2)}\N{NO-BREAK SPACE}%"


def sortable(value: float | None) -> float | None:
    """Return a number in six digits, for a page's script; None where it is not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def percent(probability: float) -> str:
    """Return a probability in whole percent, its ends only where it lies there."""
    if 0 < probability < 0.01:
        return "< 1 %"
    return "> 99 %" if 0.995 <= probability < 1 else f"{100 * probability:.0f} %"
