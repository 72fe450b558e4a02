"""Which number format the processor computes natively."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def native_bfloat16(cpuinfo: str) -> bool:
    """Return whether a processor multiplies matrices in bfloat16 faster than in float32.

    True with AMX tiles (Intel), or with AVX-512 BF16 on AMD, whose units are twice as fast in it.
    Intel's AVX-512 BF16 without AMX is slower than float32, so it does not count: VGG16's
    convolutions were measured at 100 to 150 GFLOP/s there, against 190 to 210 in float32.

    Args:
        cpuinfo: the text of Linux's /proc/cpuinfo; "" elsewhere, which answers no.
    """
    words = set(cpuinfo.split())
    return "amx_bf16" in words or {"avx512_bf16", "AuthenticAMD"} <= words


def resolve(precision: str) -> str:
    """Return `float32` or `bfloat16` for `auto`; anything else stays as it is.

    A GPU counts from compute capability 8.0 on, where its matrix units know bfloat16.
    """
    if precision != "auto":
        return precision
    from convscope.models.backend import tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        native = details.get("compute_capability", (0, 0)) >= (8, 0)
    else:
        native = native_bfloat16(CPUINFO.read_text() if CPUINFO.exists() else "")
    return "bfloat16" if native else "float32"


def device() -> str:
    """Return the name of what computes: the first GPU's, or the processor's."""
    from convscope.models.backend import tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    text = CPUINFO.read_text() if CPUINFO.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"
