"""What turns clicks into masks and can be loaded by name."""

from __future__ import annotations

from rotoscope.weights.catalogue import Entry

PROMPTERS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="prompts-small",
            method="prompts",
            task="clicks and boxes to masks",
            file="prompts-small.safetensors",
            sha256="f1dc68a71580d9c361656e5f0e4882f48a33c46f747f8a5737b7baa271380b88",
            parameters=4.4,
            summary="the click network, on an EfficientNet-Lite0 trunk; trained by this project",
            limits="thin parts, small objects in clutter; see its model card",
            speed=None,
        ),
    )
}
"""What turns clicks into masks, by the same kind of entry; nothing of it follows a video."""
