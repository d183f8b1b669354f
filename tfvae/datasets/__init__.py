"""Data sets to train on: bundled ones, files, folders of images and ``keras.datasets``, all checked on the way in."""

from tfvae.datasets._dataset import Dataset, Kind
from tfvae.datasets._load import load, load_examples

__all__ = ["Dataset", "Kind", "load", "load_examples"]
