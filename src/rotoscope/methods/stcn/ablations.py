"""The thesis's tables. Its own behaviour: no frame kept beside the policy's, the first frame not protected."""

from __future__ import annotations

from typing import Any

from rotoscope.methods.ablation import Ablation, Row


def _thesis(memory: str, **more: Any) -> dict[str, Any]:
    return {"memory": memory, "mem_every": 5, "include_last": False, "protect_first": False, **more}


OURS = Row("our default: lfu:4, last frame kept, given objects protected")

ABLATIONS: dict[str, Ablation] = {
    table.name: table
    for table in (
        Ablation(
            "policies",
            "memory policies (thesis, tables 1 and 2; frames per second of table 3, GTX 1070, DAVIS-17)",
            "stcn-small",
            (
                Row("every:5", _thesis("every:5"), published={"fps": 6.3}),
                Row("first-latest", _thesis("first-latest"), published={"fps": 8.4}),
                Row("lfu:1", _thesis("lfu:1")),
                Row("lfu:2", _thesis("lfu:2"), published={"fps": 11.4}),
                Row("lfu:4", _thesis("lfu:4")),
                Row("lfu:4, given objects protected", _thesis("lfu:4", protect_first=True)),
                OURS,
            ),
        ),
        Ablation(
            "usage",
            "what counts as use of a feature (thesis, table 4)",
            "stcn-small",
            (
                Row("top-k count", _thesis("lfu:2")),
                Row("softmax weight", _thesis("lfu:2", usage="softmax"), published={"J&F": 83.0}),
            ),
        ),
        Ablation(
            "capacity",
            "capacity in frames' worth of features (thesis, figure 11)",
            "stcn-small",
            tuple(Row(f"lfu:{frames}", _thesis(f"lfu:{frames}")) for frames in range(1, 9)),
        ),
        Ablation(
            "regularisers",
            "regularisers of the affinity, in training (thesis, tables 5 and 6)",
            "stcn-small",
            (
                Row("none", settings=("loss.dropout=0",)),
                Row("dropout, q = 0.5", settings=("loss.dropout=0.5",), published={"J&F": 81.6}),
                Row("support-feature reallocation", settings=("loss.reallocation=1",)),
            ),
            recipe="stcn-small",
        ),
    )
}
"""Tables by name. Published J&F are of DAVIS-17 and, here, those two that are not the mean of their printed parts."""
