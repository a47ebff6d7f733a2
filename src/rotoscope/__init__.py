"""Rotoscope cuts objects out of video."""
