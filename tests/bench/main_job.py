"""Seconds and memory of the README's first command, as a whole process, several times.

    python tests/bench/main_job.py [--runs 3] [settings ...]

Prints, for each run, wall seconds, how they divide into load, index, ascend, report and the rest
(start-up, checks, W&B), and the largest resident memory of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUEST = ("stage=circuit", "layer=block4_conv3", "filter=17")
PARTS = ("load", "index", "ascend", "report")


def main() -> None:
    """Run the command and print a row each time."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("settings", nargs="*")
    given = arguments.parse_args()
    print(" ".join(f"{word:>8}" for word in ("wall s", *PARTS, "rest", "GB")))
    for _ in range(given.runs):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            command = [sys.executable, str(ROOT / "run.py"), *REQUEST, *given.settings]
            process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            if status:
                sys.exit(f"the command ended with status {os.waitstatus_to_exitcode(status)}")
            (summary,) = Path(folder).glob("outputs/circuit/*/*/*/summary.json")
            seconds = json.loads(summary.read_text())["seconds"]
        parts = [seconds[part] for part in PARTS]
        row = (wall, *parts, wall - sum(parts), usage.ru_maxrss / 2**20)
        print(" ".join(f"{value:8.2f}" for value in row), flush=True)


if __name__ == "__main__":
    main()
