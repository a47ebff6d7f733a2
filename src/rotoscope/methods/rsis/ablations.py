"""Tables of the RSIS paper: none yet, as rows begin with small weights that are shipped, and RSIS has none so far."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation

ABLATIONS: dict[str, Ablation] = {}
"""Tables by name."""
