"""TensorFlow and Keras as every module here imports them: Keras on TensorFlow, without chatter."""

from __future__ import annotations

import faulthandler
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# Keras reads its backend once, on import, from here or from a file in the user's home.
os.environ["KERAS_BACKEND"] = "tensorflow"
# TensorFlow says errors only, from the moment on that it has read this.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _flush() -> None:
    """Send on what Python still holds back for stderr, so that it keeps its place."""
    if sys.stderr:
        sys.stderr.flush()


# What TensorFlow says before it has read TF_CPP_MIN_LOG_LEVEL: absl's INFO lines, like "I0000
# 00:00:1795391665.972762   22832 port.cc:153] oneDNN custom operations are on.", and the line that
# absl puts above them.
CHATTER = re.compile(rb"I\d{4} \d\d:\d\d:\S+ +\d+ |WARNING: All log messages before absl::Init")


@contextmanager
def quietly() -> Iterator[None]:
    """Keep TensorFlow's INFO lines off stderr while it is imported; all else is shown afterwards.

    Its native code writes to the file descriptor, so that is what leads into a file meanwhile. An
    import that fails shows everything that was caught, and so does TF_CPP_MIN_LOG_LEVEL=0.
    """
    with ExitStack() as stack:
        try:
            shown = stack.enter_context(os.fdopen(os.dup(2), "wb", buffering=0))
            caught = stack.enter_context(tempfile.TemporaryFile())
        except OSError:  # stderr is closed, or there is no place to keep its lines meanwhile
            yield
            return
        everything = os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0"
        # A crash would take its last words along; so at least its place is shown.
        watched = faulthandler.is_enabled()
        if not watched:
            faulthandler.enable(shown)
        _flush()
        os.dup2(caught.fileno(), 2)
        try:
            yield
        except Exception:
            everything = True
            raise
        finally:
            _flush()
            os.dup2(shown.fileno(), 2)
            if not watched:
                faulthandler.disable()
            caught.seek(0)
            shown.writelines(line for line in caught if everything or not CHATTER.match(line))


with quietly():
    import keras
    import tensorflow as tf

# On GPUs TensorFlow rounds the factors of float32 products to ten bits unless it is told not to: a
# network of 13 convolutions was 2.6e-3 from itself with its BatchNorms folded in, 6e-6 without.
tf.config.experimental.enable_tensor_float_32_execution(False)

if os.environ["TF_CPP_MIN_LOG_LEVEL"] != "0":
    # Every job of a multirun traces graphs of its own; that is no news for a reader.
    tf.get_logger().setLevel("ERROR")

__all__ = ["keras", "reason", "tf"]


def reason(error: BaseException) -> str:
    """Return what an error of Keras says first, in one line without a full stop."""
    # Keras wraps an error in others, which repeat all that was to be built.
    text = str(error).rpartition("Exception encountered: ")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else type(error).__name__
    return (said if len(said) <= 300 else f"{said[:300]}...").rstrip(".")
