"""TensorFlow and Keras as every module here imports them: Keras on TensorFlow, without chatter."""

from __future__ import annotations

import os

from convscope.models.quiet import quietly

# Keras reads its backend once, on import, from here or from a file in the user's home.
os.environ["KERAS_BACKEND"] = "tensorflow"
# TensorFlow says errors only, from the moment on that it has read this.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with quietly():
    import keras
    import tensorflow as tf

if os.environ["TF_CPP_MIN_LOG_LEVEL"] != "0":
    # Every job of a multirun traces graphs of its own; that is no news for a reader.
    tf.get_logger().setLevel("ERROR")

__all__ = ["keras", "tf"]
