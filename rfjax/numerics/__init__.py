"""Numbers done right once: Gaussian distribution functions, Hermite functions, safe roots and angles, full-precision
products, and 2×2 covariances that keep their digits at coincident points."""

from rfjax.numerics.cosine import cosine
from rfjax.numerics.covariance import Covariance
from rfjax.numerics.factors import shifted_cholesky, solve_factored, solve_lower, whitened
from rfjax.numerics.gaussian import (
    bivariate_normal_cdf,
    normal_cdf,
    normal_pdf,
    owens_t,
    relu_mean,
    relu_pair_moment,
)
from rfjax.numerics.hermite import gaussian_quadrature, hermite, hermite_functions
from rfjax.numerics.host import in_float64
from rfjax.numerics.products import (
    adjoint_matmul,
    anywhere,
    finer,
    from_stripes,
    gram,
    gram_stripes,
    half_squared_distance,
    less_multiple,
    matmul,
    normal_matrix,
    settled,
)
from rfjax.numerics.safe import angle, arctan2, fusible, norm, safe_divide, safe_sqrt, sin_minus_theta_cos

__all__ = [
    "Covariance",
    "adjoint_matmul",
    "angle",
    "anywhere",
    "arctan2",
    "bivariate_normal_cdf",
    "cosine",
    "finer",
    "from_stripes",
    "fusible",
    "gaussian_quadrature",
    "gram",
    "gram_stripes",
    "half_squared_distance",
    "hermite",
    "hermite_functions",
    "in_float64",
    "less_multiple",
    "matmul",
    "norm",
    "normal_cdf",
    "normal_matrix",
    "normal_pdf",
    "owens_t",
    "relu_mean",
    "relu_pair_moment",
    "safe_divide",
    "safe_sqrt",
    "settled",
    "shifted_cholesky",
    "sin_minus_theta_cos",
    "solve_factored",
    "solve_lower",
    "whitened",
]
