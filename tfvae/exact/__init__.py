"""Models whose evidence and posterior are known: to test estimates against, and to teach with.

Each has the methods of ``tfvae.VAE`` (``posterior``, ``prior``, ``likelihood``, ``log_likelihood``, ``elbo``,
``encode``, ``reconstruct``, ``sample``), with the exact answer instead of an estimate, in float64.
"""

from tfvae.exact._beta_bernoulli import BetaBernoulli
from tfvae.exact._factor_analysis import FactorAnalysis
from tfvae.exact._gamma_poisson import GammaPoisson
from tfvae.exact._gaussian_mixture import GaussianMixture
from tfvae.exact._model import ExactModel
from tfvae.exact._probabilistic_pca import ProbabilisticPCA

__all__ = [
    "BetaBernoulli",
    "ExactModel",
    "FactorAnalysis",
    "GammaPoisson",
    "GaussianMixture",
    "ProbabilisticPCA",
]
