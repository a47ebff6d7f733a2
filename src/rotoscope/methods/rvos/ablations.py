"""Tables of the RVOS paper."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation

ABLATIONS: dict[str, Ablation] = {}
"""None yet: they need trained weights of the small networks."""
