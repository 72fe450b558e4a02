"""The pass over the photographs as a run makes it: what is there, what is missing, how far."""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.activations import index as indices
from convscope.activations import manifest
from convscope.activations.index import ActivationIndex, ranges
from convscope.models.zoo import registry
from convscope.settings import ImageSettings, ModelSettings
from convscope.stages import checks
from convscope.tracking.files import relative
from convscope.tracking.tracker import Tracker

if TYPE_CHECKING:
    from convscope.models.network import Network


@dataclass(frozen=True)
class Passage:
    """What passes through which network, and which part of it is this run's.

    Attributes:
        model: the network.
        layer: the layer that is observed.
        images: how the photographs are shown.
        home: where indices lie.
        part: the part of the pass that this run does, and how many there are.
        tracker: who is told.
    """

    model: ModelSettings
    layer: str
    images: ImageSettings
    home: Path
    part: tuple[int, int]
    tracker: Tracker

    def index(self, paths: Sequence[Path]) -> ActivationIndex:
        """Return the index of the layer, what is missing of this run's part computed first.

        Where nothing is, TensorFlow is not loaded.

        Raises:
            ValueError: what lies in the place of the index is damaged, or of no use.
        """
        try:
            return self._index(paths)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ValueError(
                f"stage.index={relative(self.home)} cannot be used: {error}. Remove what is damaged"
                " there, or give another folder"
            ) from error

    def _index(self, paths: Sequence[Path]) -> ActivationIndex:
        files = manifest.listing(paths, checks.root(self.images))
        found = registry.outline(self.model)
        request = manifest.request(
            model=found.name,
            weights=found.weights.sha256,
            preprocess=found.preprocess,
            layer=self.layer,
            size=self.images.side,
            fit=self.images.fit,
            files=files,
        )
        index = indices.find(self.home, request)
        if index:
            self._repair(index)
            if not index.missing():
                index.names()  # raises where the listing is damaged
                self.tracker.say(f"answered from the index {relative(index.folder)}")
                return index
        with self.tracker.timer("load"):
            from convscope.activations.indexing import begin

            network = registry.network(self.model)
            index = begin(self.home, request, files, network)
        self._fill(index, network, paths)
        return index

    def _repair(self, index: ActivationIndex) -> None:
        """Compare all that is there with its checksums, and remove what is damaged."""
        there = index.shards - len(index.missing())
        if not there:
            return
        with self.tracker.progress("checksums", there) as update:
            for done, (number, complaint) in enumerate(index.verify(), 1):
                update(done)
                if complaint and index.discard(number):
                    self.tracker.say(f"shard {number} is damaged ({complaint}): it is made again")

    def _fill(self, index: ActivationIndex, network: Network, paths: Sequence[Path]) -> None:
        """Compute the missing shards of this run's part, and say how fast."""
        from convscope.activations.indexing import survey

        mine, parts = self.part
        missing = [number for number in index.missing() if number % parts == mine]
        if not missing:
            return
        if len(missing) < index.shards:
            self.tracker.say(f"missing of {index.shards} shards, computed now: {ranges(missing)}")
        total = sum(index.layout(number).count for number in missing)
        # From here on an interrupted run has shards to go on from.
        self.tracker.resumes = True
        start = time.perf_counter()
        with self.tracker.progress("photographs", total) as update:
            for step in survey(index, network, paths, self.images.batch, self.part):
                rate = step.done / (time.perf_counter() - start)
                aside = f", {step.skipped} set aside" if step.skipped else ""
                update(step.done, f"{rate:.1f} a second{aside}")

    def conclude(self, index: ActivationIndex) -> dict[str, object]:
        """Say how far all parts together are, and return what the summary of a part says of it."""
        missing, (mine, parts) = index.missing(), self.part
        left = f"; still missing: {ranges(missing)}" if missing else ""
        self.tracker.say(f"{index.shards - len(missing)} of {index.shards} shards are there{left}")
        self.tracker.say(
            f"part {mine} of {parts} is done, for all filters; when all are, the same command"
            " without stage.shard and stage.shards has the answer"
        )
        return {
            "index": {"folder": relative(index.folder)},
            "rank/shard": mine,
            "rank/shards": parts,
            "rank/missing": len(missing),
        }
