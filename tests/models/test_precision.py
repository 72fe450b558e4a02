"""Which number format is chosen, from what the processor says of itself."""

import pytest

from convscope.models import precision
from convscope.models.backend import tf
from convscope.models.precision import device, native_bfloat16, resolve

INTEL_AMX = "vendor_id : GenuineIntel\nmodel name : Xeon 8481C\nflags : fpu avx512_bf16 amx_bf16\n"
INTEL_AVX = "vendor_id : GenuineIntel\nmodel name : Core i5\nflags : fpu avx512f avx512_bf16 fma\n"
AMD_ZEN4 = "vendor_id\t: AuthenticAMD\nmodel name\t: EPYC 9B14\nflags\t\t: fpu avx512_bf16 fma\n"
AMD_ZEN2 = "vendor_id : AuthenticAMD\nmodel name : EPYC 7B12\nflags : fpu avx2 fma\n"
TRAP = "vendor_id : GenuineIntel\nmodel name : X\nflags : fpu no_amx_bf16x avx512_bf16_amx\n"


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine that computes on its processor."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])


def processor(monkeypatch, tmp_path, text):
    """Let the processor describe itself as `text`; None is a system without /proc."""
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "cpuinfo")


def gpu(monkeypatch, **details):
    """A machine with one graphics processor."""
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: ["gpu 0"] if kind == "GPU" else []
    )
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda one: details)


@pytest.mark.parametrize(
    ("text", "native"),
    [
        (INTEL_AMX, True),
        (AMD_ZEN4, True),
        (INTEL_AVX, False),  # known there, but slower than float32
        (AMD_ZEN2, False),
        (TRAP, False),
        ("", False),
    ],
)
def test_bfloat16_is_native_where_the_processor_is_faster_in_it(text, native):
    assert native_bfloat16(text) is native


@pytest.mark.parametrize(
    ("text", "expected"), [(INTEL_AMX, "bfloat16"), (INTEL_AVX, "float32"), (None, "float32")]
)
def test_auto_takes_what_the_processor_knows(monkeypatch, tmp_path, no_gpu, text, expected):
    processor(monkeypatch, tmp_path, text)
    assert resolve("auto") == expected


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_a_format_that_is_asked_for_is_taken(monkeypatch, tmp_path, no_gpu, asked):
    for text in (INTEL_AMX, INTEL_AVX):
        processor(monkeypatch, tmp_path, text)
        assert resolve(asked) == asked


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16"), (None, "float32")],
)
def test_auto_takes_what_the_gpu_knows_whatever_the_processor(
    monkeypatch, tmp_path, capability, expected
):
    processor(monkeypatch, tmp_path, INTEL_AMX if expected == "float32" else INTEL_AVX)
    gpu(monkeypatch, **({"compute_capability": capability} if capability else {}))
    assert resolve("auto") == expected


def test_the_device_is_the_processor_by_name_with_its_cores(monkeypatch, tmp_path, no_gpu):
    processor(monkeypatch, tmp_path, 3 * AMD_ZEN4)
    monkeypatch.setattr(precision.os, "cpu_count", lambda: 3)
    assert device() == "EPYC 9B14, 3 cores"


def test_the_device_has_a_name_even_where_the_system_tells_little(monkeypatch, tmp_path, no_gpu):
    processor(monkeypatch, tmp_path, None)
    monkeypatch.setattr(precision.os, "cpu_count", lambda: 5)
    monkeypatch.setattr(precision.platform, "processor", lambda: "")
    monkeypatch.setattr(precision.platform, "machine", lambda: "arm64")
    assert device() == "arm64, 5 cores"


def test_the_device_is_the_gpu_where_there_is_one(monkeypatch):
    gpu(monkeypatch, device_name="NVIDIA H200")
    assert device() == "NVIDIA H200"
    gpu(monkeypatch)
    assert device() == "GPU"


def test_float32_is_float32_on_a_gpu_too():
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
