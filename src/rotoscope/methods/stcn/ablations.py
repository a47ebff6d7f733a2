"""The thesis's tables. Its own behaviour: no frame kept beside the policy's, the first frame not protected."""

from __future__ import annotations

from typing import Any

from rotoscope.methods.ablation import Ablation, Row


def _thesis(memory: str, **more: Any) -> dict[str, Any]:
    return {"memory": memory, "mem_every": 5, "include_last": False, "protect_first": False, **more}


OURS = Row("our default: lfu:4, last frame kept, given objects protected")


def _of_capacity(frames: int) -> Row:
    """A row of the curve, of which the text gives two points."""
    name = f"lfu:{frames}"
    return Row(name, _thesis(name), published=(name,) if frames in (2, 4) else ())


ABLATIONS: dict[str, Ablation] = {
    table.name: table
    for table in (
        Ablation(
            "policies",
            "memory policies (thesis, tables 1 to 3)",
            "stcn-small",
            (
                Row("every:5", _thesis("every:5"), published=("Every 5", "every 5")),
                Row("first-latest", _thesis("first-latest"), published=("first-and-latest", "First-and-latest")),
                Row("lfu:1", _thesis("lfu:1")),
                Row("lfu:2", _thesis("lfu:2"), published=("Ours",)),
                Row("lfu:4", _thesis("lfu:4")),
                Row("lfu:4, given objects protected", _thesis("lfu:4", protect_first=True)),
                OURS,
            ),
            published=("thesis:1", "thesis:2", "thesis:3"),
        ),
        Ablation(
            "usage",
            "what counts as use of a feature (thesis, table 4)",
            "stcn-small",
            (
                Row("top-k count", _thesis("lfu:2"), published=("Top-k storing",)),
                Row("softmax weight", _thesis("lfu:2", usage="softmax"), published=("Softmax storing",)),
            ),
            published=("thesis:4",),
        ),
        Ablation(
            "capacity",
            "capacity in frames' worth of features (thesis, figure 11)",
            "stcn-small",
            tuple(_of_capacity(frames) for frames in range(1, 9)),
            published=("thesis:figure 11",),
        ),
        Ablation(
            "outlook",
            "what the thesis leaves to others (section 3.5.5 and chapter 5)",
            "stcn-small",
            (
                Row("as it is"),
                Row("two scales", {"scales": 2}),
                Row("three scales", {"scales": 3}),
                Row("counters by object", {"counters": "object"}),
                Row("two scales, counters by object", {"scales": 2, "counters": "object"}),
                Row("nothing protected", {"protect_first": False}),
                Row("nothing protected, counters by object", {"protect_first": False, "counters": "object"}),
            ),
        ),
        Ablation(
            "regularisers",
            "regularisers of the affinity, in training (thesis, tables 5 and 6)",
            "stcn-small",
            (
                Row("none", settings=("loss.dropout=0",), published=("STCN", "every 5")),
                Row("dropout, q = 0.5", settings=("loss.dropout=0.5",), published=("STCN + dropout",)),
                Row(
                    "support-feature reallocation",
                    settings=("loss.reallocation=1",),
                    published=("STCN + reallocation",),
                ),
            ),
            recipe="stcn-small",
            published=("thesis:5", "thesis:6"),
        ),
        Ablation(
            "small-choices",
            "choices of the small network, each trained alike",
            "stcn-small",
            (
                Row("stcn-small"),
                Row(
                    "ResNet-18 that stcn-small-resnet18 has learnt, for a trunk",
                    settings=(
                        "config.trunk=resnet18",
                        "trunk=stcn-small-resnet18",
                        "frozen=key_encoder.conv1.,key_encoder.bn1.",
                    ),
                ),
                Row("trunk frozen", settings=("trunk_rate=0",)),
                Row("trunk as fast as the rest", settings=("trunk_rate=1",)),
                Row(
                    "values by the ResNet-18 that stcn-small-resnet18 has learnt",
                    settings=(
                        "config.value_encoder=resnet18",
                        "config.value_width=32",
                        "mask_trunk=stcn-small-resnet18",
                    ),
                ),
                Row("the frame before not kept in memory", {"include_last": False}),
                Row("kept in memory, but the decoder not told of it", settings=("config.previous=none",)),
                Row("neither", {"include_last": False}, settings=("config.previous=none",)),
                Row("decoder told of its masks only", settings=("config.previous=mask",)),
                Row("masks of the frame before never spoilt", settings=("loss.corruption=0",)),
                Row("one logit for each cell at stride 4", settings=("config.subpixel=1",)),
                Row("short side 384 in place of 320", {"max_short_side": 384}),
            ),
            recipe="stcn-small",
        ),
    )
}
"""Tables by name."""
