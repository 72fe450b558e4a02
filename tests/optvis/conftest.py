"""What tests of images share: how exactly a sample keeps to itself on this processor."""

from collections.abc import Callable

import numpy as np
import pytest

from convscope.models.backend import tf


@pytest.fixture(scope="session")
def assert_same() -> Callable[[object, object], None]:
    """Compare to the last bit; to the last but one where products of matrices do not allow it.

    Without AVX-512, TensorFlow multiplies matrices in an order that depends on how many there are.
    """
    random = np.random.default_rng(0)
    left = tf.constant(random.normal(size=(16, 3, 70)).astype(np.float32))
    right = tf.constant(random.normal(size=(3, 3)).astype(np.float32))
    every, alone = (
        tf.matmul(part, right, transpose_a=True).numpy()[-1] for part in (left, left[-1:])
    )
    if np.array_equal(every, alone):
        return np.testing.assert_array_equal
    return lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
