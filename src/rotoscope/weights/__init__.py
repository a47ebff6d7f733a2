"""Weights: what can be loaded by name, and files of ours and of the methods' authors."""

from rotoscope.weights.catalogue import CATALOGUE, Entry, find
from rotoscope.weights.files import save_method
from rotoscope.weights.load import load

__all__ = ["CATALOGUE", "Entry", "find", "load", "save_method"]
