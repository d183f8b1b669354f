"""Probabilistic principal component analysis."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfvae.distributions import Family, Normal
from tfvae.exact._checks import as_parameter, as_positive, as_training_data
from tfvae.exact._linear_gaussian import LinearGaussian, in_principal_axes


class ProbabilisticPCA(LinearGaussian):
    r"""Probabilistic PCA: ``z ~ N(0, I)``, ``x | z ~ N(W z + mean, scale^2 I)``; a linear VAE, solved.

    With ``A = I + W'W / scale^2``: ``p(z|x) = N(A^-1 W'(x - mean) / scale^2, A^-1)`` and
    ``x ~ N(mean, W W' + scale^2 I)``. Any ``loadings @ R`` with a rotation ``R`` gives the same ``p(x)``. ``fit``
    chooses the principal axes, where ``A`` is diagonal, and so a VAE's diagonal ``q(z|x)`` can be exact; other loadings
    have a gap, of ``1/2 (sum_j ln A_jj - ln |A|)`` nats at the best diagonal ``q``.

    Args:
        loadings: ``W``, ``[D, K]``.
        scale: standard deviation of the noise, a positive number.
        mean: mean of ``x``, ``[D]``; zero if None.

    Raises:
        ValueError: for another shape, values that are not finite, or a ``scale`` that is not positive.

    Source: Tipping & Bishop, "Probabilistic Principal Component Analysis" (1999).

    Example:

    >>> import tfvae
    >>> model = tfvae.exact.ProbabilisticPCA([[1.0, 0.5], [0.0, 1.0], [0.3, -0.2]], 0.5**0.5)
    >>> x = [[1.0, -1.0, 0.5]]
    >>> print(f"{model.log_evidence(x)[0]:.4f}, {model.elbo(x, model.diagonal_posterior(x))[0]:.4f}")
    -3.8108, -3.8460
    """

    def __init__(self, loadings: Any, scale: Any, mean: Any = None) -> None:
        self.scale = float(as_parameter(as_positive(scale, "scale"), "scale"))
        super().__init__(loadings, self.scale, mean)

    @classmethod
    def fit(cls, x: Any, latent_size: int) -> ProbabilisticPCA:
        r"""Return the model that makes ``x`` most likely, in closed form.

        With the eigenvalues ``l_1 >= l_2 >= ...`` and eigenvectors ``U`` of the covariance (divided by ``N``):
        ``scale^2`` is the mean of the ``D - K`` smallest, ``W = U_K (L_K - scale^2 I)^(1/2)``, and the mean of ``x``
        its own. The mean log-likelihood is ``-1/2 (D ln 2 pi + sum_{i<=K} ln l_i + (D - K) ln scale^2 + D)``.

        Args:
            x: data ``[N, D]``, at least two examples.
            latent_size: number of latent dimensions ``K``, below ``D``.

        Raises:
            ValueError: for other shapes or sizes, or data without variance beyond ``K`` dimensions.

        Source: Tipping & Bishop (1999), equations 7 and 8.

        Example:

        >>> import tfvae
        >>> x = [[2.0, 0.1], [-2.0, 0.1], [2.0, -0.1], [-2.0, -0.1]]
        >>> model = tfvae.exact.ProbabilisticPCA.fit(x, latent_size=1)
        >>> print(f"{model.scale:.3f}", model.loadings.round(3).tolist())
        0.100 [[1.997], [0.0]]
        """
        rows, size = as_training_data(x, latent_size)
        mean = rows.mean(axis=0)
        values, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        variance = float(values[:-size].mean())
        if variance <= 1e-14 * values[-1] or values[-1] <= 0:
            raise ValueError(
                f"The data have no variance beyond {size} dimensions, so the noise would be zero and the likelihood "
                "without bound. Take a smaller latent_size, or more data."
            )
        loadings = vectors[:, -size:] * np.sqrt(np.maximum(values[-size:] - variance, 0.0))
        scale = variance**0.5
        return cls(in_principal_axes(loadings, np.full(len(loadings), scale)), scale, mean)

    def _decoder(self) -> tuple[Family, np.ndarray, np.ndarray]:
        return Normal(len(self.mean), scale=self.scale), self.loadings.T, self.mean
