"""The optima that a run has finished, one line each, so that an interrupted run can go on.

The first line says what was asked for. A line is written after its picture, so that what stands
here is there; a last line that the end of the run cut short counts as not written.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convscope.models.zoo import registry
from convscope.settings import ModelSettings, located
from convscope.tracking.multirun import outcome
from convscope.unit import Unit

JOURNAL = "optima.jsonl"


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what a run was asked for and the optima it has finished, in order.

    Raises:
        ValueError: the folder holds no journal, or a line in its middle is damaged.
    """
    path = folder / JOURNAL
    if not path.is_file():
        raise ValueError(f"{folder} holds no {JOURNAL}: no run of stage=maximize has begun there.")
    lines = path.read_bytes().split(b"\n")
    lines.pop()  # nothing, or a line that was cut short
    try:
        request, *optima = [json.loads(line) for line in lines]
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}). Start anew.") from error
    return request, optima


def unfinished(request: Mapping[str, Any], own: Path) -> tuple[Path | None, str]:
    """Return the run to go on with, or None and why a run that was interrupted is not taken up.

    Of the runs beside it with the same request, since the last one that ended well, it is the one
    that has finished most.

    Args:
        request: what is asked for now.
        own: the folder of the run that asks. Runs of the same filters lie side by side.
    """
    best, most, why = None, -1, ""
    for path in sorted(own.parent.glob(f"*/{JOURNAL}"), reverse=True):
        if (folder := path.parent) == own:
            continue
        try:
            then, optima = read(folder)
        except ValueError:
            continue
        ended = outcome(folder).get("status") == "done"
        if other := differences(then, request):
            if not ended and not why:
                why = f"{folder.name} was interrupted but is not taken up: {'; '.join(other)}."
        elif ended:
            break
        elif len(optima) > most:
            best, most = folder, len(optima)
    return best, "" if best else why


def differences(then: Mapping[str, Any], now: Mapping[str, Any], place: str = "") -> list[str]:
    """Return in words where two requests differ: `ascent.steps is 96 there and 128 here`."""
    found = []
    for name in dict.fromkeys([*then, *now]):
        key = f"{place}{name}"
        old, new = then.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{key}.")
        elif old != new:
            found.append(f"{key} is {json.dumps(old)} there and {json.dumps(new)} here")
    return found


def optimum(given: float | str | None, model: ModelSettings, unit: Unit) -> float | None:
    """Return the activation of a unit's optimum, as it is given or as a run has found it.

    Args:
        given: the activation, or the folder of a run of stage=maximize; None: none.
        model: the network.
        unit: the unit.

    Raises:
        ValueError: the folder holds no such run, or one of other weights or another filter.
    """
    if given is None or isinstance(given, float):
        return given
    folder = located("stage.optimum", given)
    try:
        summary = json.loads((folder / "summary.json").read_text("utf-8"))
        with (folder / "tables" / "optima.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        made = str(summary["weights"]["sha256"])
        found = [
            float(row["activation"])
            for row in rows
            if (row["layer"], row["filter"], row["alive"]) == (unit.layer, str(unit.filter), "true")
        ]
        if summary["status"] != "done" or not all(map(math.isfinite, found)):
            raise ValueError("it is not finished")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(
            f"stage.optimum={given} holds no finished run of stage=maximize. Give the folder of"
            " one, or an activation."
        ) from error
    if made != registry.outline(model).weights.sha256:
        raise ValueError(f"stage.optimum={given} is of other weights than {model.called}'s.")
    if not found:
        raise ValueError(f"stage.optimum={given} has no optimum of {unit} that is alive.")
    return max(found)
