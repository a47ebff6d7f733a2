"""The ablation tables of the COSNet paper."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row

REFERENCES = (0, 1, 2, 5, 7)
"""Numbers of reference frames that the paper compares."""

ABLATIONS: dict[str, Ablation] = {
    table.name: table
    for table in (
        Ablation(
            "cosnet-attention",
            "how frames look at each other (COSNet)",
            "cosnet-small",
            (
                Row("none", settings=("config.attention=none",), published=("w/o co-attention",)),
                Row("vanilla", settings=("config.attention=vanilla",), published=("Vanilla co-attention",)),
                Row("symmetric", settings=("config.attention=symmetric",), published=("Symmetric co-attention",)),
                Row("channel-wise", settings=("config.attention=channel",), published=("Channel-wise co-attention",)),
            ),
            recipe="cosnet-small",
            task="unsupervised",
            published=("cosnet:1",),
        ),
        Ablation(
            "cosnet-fusion",
            "how several references become one mask (COSNet)",
            "cosnet-small",
            (
                Row("prediction", {"fusion": "prediction"}, published=("Prediction segmentation fusion",)),
                Row("attention summary", {"fusion": "summary"}, published=("Attention summary fusion",)),
                Row("group, not in the paper", {"fusion": "group"}, published=("group co-attention",)),
            ),
            task="unsupervised",
            published=("cosnet:1", "cosnet:later"),
        ),
        Ablation(
            "cosnet-sampling",
            "which frames are references (COSNet)",
            "cosnet-small",
            (
                Row("global uniform", {"sampling": "uniform"}, published=("Global uniform sampling",)),
                Row("global random", {"sampling": "random"}, published=("Global random sampling",)),
                Row("local consecutive", {"sampling": "consecutive"}, published=("Local consecutive sampling",)),
            ),
            task="unsupervised",
            published=("cosnet:1",),
        ),
        Ablation(
            "cosnet-references",
            "number of reference frames (COSNet)",
            "cosnet-small",
            tuple(Row(str(count), {"references": count}, published=(f"{count} references",)) for count in REFERENCES),
            task="unsupervised",
            published=("cosnet:2",),
        ),
    )
}
"""Tables by name."""
