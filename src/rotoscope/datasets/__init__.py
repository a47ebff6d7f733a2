"""Data sets: what there is to train on and to measure with."""
