"""Rotoscope cuts objects out of video: masks of one frame in, masks of every frame out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rotoscope.errors import CheckpointError, InputError, RotoscopeError, SessionError

if TYPE_CHECKING:
    from rotoscope.batches.run import batch
    from rotoscope.evaluation import Evaluation, evaluate
    from rotoscope.limits import set_limits
    from rotoscope.masks import read_masks
    from rotoscope.masks.points import Points
    from rotoscope.methods.base import Method, Session
    from rotoscope.methods.prediction import Prediction
    from rotoscope.reports.player import Player
    from rotoscope.runs.segment import segment
    from rotoscope.video import Frame, open_video
    from rotoscope.weights import load, load_prompter

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "Evaluation",
    "Frame",
    "InputError",
    "Method",
    "Player",
    "Points",
    "Prediction",
    "RotoscopeError",
    "Session",
    "SessionError",
    "batch",
    "evaluate",
    "load",
    "load_prompter",
    "open_video",
    "read_masks",
    "segment",
    "set_limits",
]

_HOMES = {
    "Evaluation": "rotoscope.evaluation",
    "batch": "rotoscope.batches.run",
    "evaluate": "rotoscope.evaluation",
    "Frame": "rotoscope.video",
    "Method": "rotoscope.methods.base",
    "Player": "rotoscope.reports.player",
    "Points": "rotoscope.masks.points",
    "Prediction": "rotoscope.methods.base",
    "Session": "rotoscope.methods.base",
    "load": "rotoscope.weights",
    "load_prompter": "rotoscope.weights",
    "open_video": "rotoscope.video",
    "read_masks": "rotoscope.masks",
    "segment": "rotoscope.runs.segment",
    "set_limits": "rotoscope.limits",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that the command line starts without PyTorch."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rotoscope' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names, imported or not yet, and what every module has; not what this file itself imports."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
