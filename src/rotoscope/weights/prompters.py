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
            sha256="c87b49ead83cc87e13970b47fdcd0f81f41d6a4de746691ca122c525b5b3d4a9",
            parameters=4.4,
            summary="the click network, on an EfficientNet-Lite0 trunk; trained by this project",
            limits="thin parts, small objects in clutter; see its model card",
            speed=None,
        ),
    )
}
"""What turns clicks into masks, by the same kind of entry; nothing of it follows a video."""
