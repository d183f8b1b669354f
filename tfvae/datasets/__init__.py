"""Data sets to train on: bundled ones, files, folders of images and ``keras.datasets``, all checked on the way in."""

from tfvae.datasets._dataset import Dataset, Kind, binarise
from tfvae.datasets._load import NAMES, load, load_examples

__all__ = ["NAMES", "Dataset", "Kind", "binarise", "load", "load_examples"]
