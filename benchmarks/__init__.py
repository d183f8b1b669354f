"""Benchmarks, one file per op and named like it: ``python -m benchmarks.reparameterize_kl --help``."""
