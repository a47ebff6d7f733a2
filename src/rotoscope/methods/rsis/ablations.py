"""Tables of the RSIS paper, by which parts of the decoder are there; its figures are in the method's page."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row

ABLATIONS: dict[str, Ablation] = {
    table.name: table
    for table in (
        Ablation(
            "rsis-skips",
            "how the finer features meet the state from above (RSIS; published on Pascal VOC)",
            "rsis-small",
            (
                Row("concatenation"),
                Row("sum", settings=("config.skip=sum",)),
                Row("multiplication", settings=("config.skip=mult",)),
                Row("none", settings=("config.skip=none",)),
            ),
            recipe="rsis-small",
            task="zero-shot",
        ),
        Ablation(
            "rsis-layers",
            "number of ConvLSTMs (RSIS; published on Pascal VOC)",
            "rsis-small",
            tuple(Row(str(layers), settings=(f"config.layers={layers}",)) for layers in (5, 4, 3, 2, 1)),
            recipe="rsis-small",
            task="zero-shot",
        ),
        Ablation(
            "rsis-linking",
            "ids from frame to frame: by overlap, or the number of the step (not in the paper)",
            "rsis-small",
            (Row("by overlap", {"linking": "overlap"}), Row("number of the step", {"linking": "none"})),
            task="zero-shot",
        ),
    )
}
"""Tables by name."""
