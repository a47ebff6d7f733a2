"""Tables of the RVOS paper, and one of our own: how overlapping slots become labels."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row

MOST_OBJECTS = 5


def _with_objects(count: int) -> Row:
    """A row of videos with so many objects, which the paper calls as we do."""
    name = f"{count} object{'s' * (count > 1)}"
    return Row(name, objects=count, published=(name,))


ABLATIONS: dict[str, Ablation] = {
    table.name: table
    for table in (
        Ablation(
            "rvos-oneshot",
            "recurrence over space and time, and training on inferred masks (RVOS, one-shot)",
            "rvos-small",
            (
                Row("S", settings=("loss.inferred=0", "config.recurrence=spatial"), published=("RVOS-Mask-S",)),
                Row("T", settings=("loss.inferred=0", "config.recurrence=temporal"), published=("RVOS-Mask-T",)),
                Row("ST", settings=("loss.inferred=0",), published=("RVOS-Mask-ST",)),
                Row("ST+", published=("RVOS-Mask-ST+",)),
            ),
            recipe="rvos-small",
            published=("rvos:1", "rvos:2"),
        ),
        Ablation(
            "rvos-zeroshot",
            "recurrence over space and time (RVOS, zero-shot; published on YouTube-VOS)",
            "rvos-small-zeroshot",
            (
                Row("S", settings=("config.recurrence=spatial",), published=("RVOS-S",)),
                Row("T", settings=("config.recurrence=temporal",), published=("RVOS-T",)),
                Row("ST", published=("RVOS-ST",)),
                Row("ST, any slot may match", settings=("loss.any_slot=1",)),
                Row("ST, empty slots not taught", settings=("loss.empty=0",)),
            ),
            recipe="rvos-small-zeroshot",
            task="zero-shot",
            published=("rvos:5",),
        ),
        Ablation(
            "rvos-instances",
            "by number of objects (RVOS, one-shot)",
            "rvos-small",
            tuple(_with_objects(count) for count in range(1, MOST_OBJECTS + 1)),
            published=("rvos:3",),
        ),
        Ablation(
            "rvos-merging",
            "how slots that overlap become labels (not in the paper)",
            "rvos-small",
            (
                Row("soft", {"merging": "soft"}),
                Row("published", {"merging": "published"}),
                Row("soft, first mask not given again", {"merging": "soft", "first_mask_again": False}),
            ),
        ),
    )
}
"""Tables by name."""
