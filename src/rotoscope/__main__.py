"""``python -m rotoscope``."""

from rotoscope.cli import entry

entry()
