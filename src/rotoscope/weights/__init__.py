"""Weights: what can be loaded by name, and files of ours and of the methods' authors."""

from rotoscope.weights.catalogue import CATALOGUE, Entry, find
from rotoscope.weights.files import save_method
from rotoscope.weights.load import load, load_prompter
from rotoscope.weights.prompters import PROMPTERS

__all__ = ["CATALOGUE", "PROMPTERS", "Entry", "find", "load", "load_prompter", "save_method"]
