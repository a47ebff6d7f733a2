"""Rotoscope inside other programs; each folder or file here is imported by its host only."""
