"""SciPy's special functions, imported when they are first called: at once they would take a quarter of `import rfjax`."""

from typing import Any

import numpy as np
from jaxtyping import Float


def ndtr(x: Any) -> Float[np.ndarray, "..."]:
    """Φ(x), the distribution function of a standard Gaussian: `scipy.special.ndtr`."""
    from scipy import special

    return special.ndtr(x)


def gammaln(x: Any) -> Float[np.ndarray, "..."]:
    """ln |Γ(x)|: `scipy.special.gammaln`."""
    from scipy import special

    return special.gammaln(x)
