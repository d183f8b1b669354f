"""Pictures of a training run and of a model, from plain arrays. Every function returns a Matplotlib ``Figure``.

No figure is registered with ``pyplot`` and no global setting is changed, so this works without a display and from any
thread: ``figure.savefig("picture.png")``.
"""

from tfvae.plots._evidence import evidence, evidence_history
from tfvae.plots._history import training_curves
from tfvae.plots._items import reconstructions, samples
from tfvae.plots._latent import kl_per_dimension, latent_space

__all__ = [
    "evidence",
    "evidence_history",
    "kl_per_dimension",
    "latent_space",
    "reconstructions",
    "samples",
    "training_curves",
]
