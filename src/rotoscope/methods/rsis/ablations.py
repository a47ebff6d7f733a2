"""Tables of the RSIS paper, by which parts of the decoder are there."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row

AP = "AP .5"
"""Average precision at an IoU of one half on Pascal VOC, which the tables are published in."""

ABLATIONS: dict[str, Ablation] = {
    table.name: table
    for table in (
        Ablation(
            "rsis-skips",
            "how the finer features meet the state from above (RSIS; published on Pascal VOC)",
            "rsis-small",
            (
                Row("concatenation", published={AP: 57.6}),
                Row("sum", settings=("config.skip=sum",), published={AP: 56.7}),
                Row("multiplication", settings=("config.skip=mult",), published={AP: 56.1}),
                Row("none", settings=("config.skip=none",), published={AP: 53.8}),
            ),
            recipe="rsis-small",
            task="zero-shot",
        ),
        Ablation(
            "rsis-layers",
            "number of ConvLSTMs (RSIS; published on Pascal VOC)",
            "rsis-small",
            tuple(
                Row(str(layers), settings=(f"config.layers={layers}",), published={AP: score})
                for layers, score in ((5, 57.6), (4, 56.0), (3, 56.1), (2, 54.5), (1, 53.3))
            ),
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
