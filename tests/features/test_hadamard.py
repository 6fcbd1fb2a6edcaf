"""The fast Walsh–Hadamard transform against SciPy's matrices."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from rfjax.features import hadamard
from rfjax.features.hadamard import hadamard_transform


@pytest.mark.parametrize("m", [1, 2, 4, 32, 64])
def test_it_is_a_product_with_a_hadamard_matrix(m, dtype, monkeypatch):
    monkeypatch.setattr(hadamard, "_FACTOR", 4)  # so that there are factors of several sizes
    matrix = np.asarray(hadamard_transform(jnp.eye(m, dtype=dtype)))
    assert matrix.dtype == dtype
    expected = scipy.linalg.hadamard(m) / np.sqrt(m)
    order = np.lexsort(matrix), np.lexsort(expected)  # of its columns, which may stand in any order
    np.testing.assert_allclose(matrix[:, order[0]], expected[:, order[1]], rtol=0, atol=20 * np.finfo(dtype).eps)


def test_other_sizes_raise():
    with pytest.raises(ValueError, match="power of two"):
        hadamard_transform(jnp.ones((2, 12)))
