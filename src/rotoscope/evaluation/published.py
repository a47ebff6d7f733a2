"""Figures that the papers published, with their protocol and source, to set beside ours.

Only figures that could be read are here. Not among them: the thesis's tables but for the cells below, A-GAME's tables,
RVOS's tables but for the zero-shot row on YouTube-VOS. A figure of another split, another training set or another
machine is not comparable; each row says what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rotoscope.evaluation.evaluate import Averages, Evaluation

STCN = "Cheng et al., Rethinking Space-Time Networks (STCN), NeurIPS 2021"
THESIS = "thesis on adaptive memory management for STCN"
COSNET = "Lu et al., See More, Know More (COSNet), CVPR 2019"
RVOS = "Ventura et al., RVOS, CVPR 2019"
CAPSULE = "Duarte et al., CapsuleVOS, ICCV 2019"
GIEL = "Ge et al., Global and Instance Embedding Learning (GIEL), CVPR 2021"

SERVER = "version 2018, scored by the server"
REPORT = "a user's report, issue 15 of the authors' repository"
BOTH_STAGES = "trained on static images and video"


@dataclass(frozen=True)
class Figure:
    """A row of a published table.

    Attributes:
        method: as we name it.
        variant: the row's name; empty for the paper's main result.
        kind, split, task: the data set and how it was used.
        values: in percent, named as in :meth:`Evaluation.overall`; ``fps`` is frames per second.
        source: where it stands.
        note: what to know before comparing.
        suspect: values that cannot be right as printed.
    """

    method: str
    variant: str
    kind: str
    split: str
    task: str
    values: dict[str, float]
    source: str
    note: str = ""
    suspect: tuple[str, ...] = field(default=())


def _davis(j: tuple[float, float, float], f: tuple[float, float, float], **more: float) -> dict[str, float]:
    names = ("mean", "recall", "decay")
    return (
        {f"J {n}": v for n, v in zip(names, j, strict=True)}
        | {f"F {n}": v for n, v in zip(names, f, strict=True)}
        | more
    )


def _youtube(g: float, js: float, fs: float, ju: float, fu: float) -> dict[str, float]:
    return {"G": g, "J seen": js, "F seen": fs, "J unseen": ju, "F unseen": fu}


def _ablation(method: str, source: str, kind: str, task: str, rows: dict[str, tuple[float, float]]) -> list[Figure]:
    return [
        Figure(method, name, kind, "val", task, {"J mean": j, "F mean": f, "J&F": round((j + f) / 2, 2)}, source)
        for name, (j, f) in rows.items()
    ]


PUBLISHED: tuple[Figure, ...] = (
    Figure("stcn", "", "davis16", "val", "semi", {"J&F": 91.7, "fps": 26.9}, STCN, BOTH_STAGES),
    Figure("stcn", "", "davis17", "val", "semi", {"J&F": 85.3, "fps": 20.2}, STCN, BOTH_STAGES),
    Figure("stcn", "", "youtubevos", "valid", "semi", {"G": 84.3}, STCN, SERVER),
    Figure("stcn", "every:5", "davis17", "val", "semi", {"fps": 6.3}, THESIS, "GTX 1070"),
    Figure("stcn", "lfu:2", "davis17", "val", "semi", {"fps": 11.4}, THESIS, "GTX 1070"),
    Figure("stcn", "first-latest", "davis17", "val", "semi", {"fps": 8.4}, THESIS, "GTX 1070; writes every frame"),
    Figure(
        "stcn",
        "dropout on the affinity",
        "davis17",
        "val",
        "semi",
        {"J&F": 81.6},
        THESIS,
        "as printed; the mean of its own J and F is 82.3",
        ("J&F",),
    ),
    Figure(
        "stcn",
        "softmax storing",
        "davis17",
        "val",
        "semi",
        {"J&F": 83.0},
        THESIS,
        "as printed; the mean of its own J and F is 81.05",
        ("J&F",),
    ),
    Figure(
        "cosnet",
        "",
        "davis16",
        "val",
        "unsupervised",
        _davis((80.5, 94.0, 0.0), (79.4, 90.4, 0.0), T=31.9),
        COSNET,
        "5 reference frames, attention summary, CRF",
    ),
    Figure("cosnet", "group co-attention", "davis16", "val", "unsupervised", {"J mean": 81.1}, COSNET),
    Figure("cosnet", "prediction fusion", "davis16", "val", "unsupervised", {"J mean": 79.5}, COSNET),
    *(
        Figure("cosnet", f"{n} references", "davis16", "val", "unsupervised", {"J mean": j}, COSNET)
        for n, j in ((0, 71.3), (1, 77.6), (2, 79.7), (5, 80.5), (7, 80.5))
    ),
    Figure("cosnet", "", "fbms", "test", "unsupervised", {"J mean": 75.6}, COSNET),
    Figure("cosnet", "", "youtubeobjects", "", "unsupervised", {"J mean over categories": 70.5}, COSNET),
    Figure(
        "rvos",
        "",
        "youtubevos",
        "valid",
        "zero-shot",
        {"J seen": 44.7, "J unseen": 21.2, "F seen": 45.0, "F unseen": 23.9},
        RVOS,
        SERVER,
    ),
    Figure(
        "rvos",
        "released weights",
        "youtubevos",
        "valid",
        "zero-shot",
        {"J seen": 43.4, "J unseen": 21.1, "F seen": 45.3, "F unseen": 24.3},
        REPORT,
    ),
    Figure(
        "rvos",
        "trained again",
        "youtubevos",
        "valid",
        "zero-shot",
        {"J seen": 41.6, "J unseen": 21.5, "F seen": 45.0, "F unseen": 24.5},
        REPORT,
    ),
    Figure(
        "capsulevos",
        "",
        "youtubevos",
        "valid",
        "semi",
        _youtube(62.3, 67.3, 68.1, 53.7, 59.9) | {"fps": 13.5},
        CAPSULE,
        f"{SERVER}; Titan X Pascal",
    ),
    Figure(
        "capsulevos",
        "",
        "davis17",
        "test-dev",
        "semi",
        {"J mean": 47.4, "J recall": 54.1, "F mean": 55.2, "F recall": 64.6, "J&F": 51.3},
        CAPSULE,
        "fine-tuned on DAVIS",
    ),
    *(
        Figure("capsulevos", name, "youtubevos", "valid", "semi", {"G": g}, CAPSULE, SERVER)
        for name, g in (
            ("no zooming", 54.3),
            ("hand-crafted zoom", 60.4),
            ("concatenation routing", 59.7),
            ("fully convolutional", 59.4),
            ("no memory", 58.4),
        )
    ),
    Figure(
        "giel",
        "",
        "davis17",
        "val",
        "semi",
        {
            "J mean": 80.2,
            "J recall": 90.0,
            "J decay": 6.3,
            "F mean": 85.3,
            "F recall": 93.9,
            "F decay": 8.6,
            "J&F": 82.7,
        },
        GIEL,
        "0.15 s a frame",
    ),
    Figure(
        "giel", "fast", "davis17", "val", "semi", {"J mean": 78.7, "F mean": 83.7, "J&F": 81.2}, GIEL, "0.11 s a frame"
    ),
    Figure("giel", "", "davis17", "test-dev", "semi", {"J mean": 72.0, "F mean": 78.3, "J&F": 75.2}, GIEL),
    Figure("giel", "fast", "davis17", "test-dev", "semi", {"J mean": 70.0, "F mean": 76.8, "J&F": 73.4}, GIEL),
    Figure("giel", "", "youtubevos", "valid", "semi", _youtube(80.6, 80.7, 85.0, 75.0, 81.9), GIEL, SERVER),
    Figure("giel", "fast", "youtubevos", "valid", "semi", _youtube(79.0, 79.4, 83.9, 72.6, 80.1), GIEL, SERVER),
    *_ablation(
        "giel",
        GIEL,
        "davis17",
        "semi",
        {
            "without instance embedding": (76.4, 81.8),
            "without global embedding": (79.0, 83.8),
            "without temporal attention": (78.9, 84.2),
            "without refine decoder": (78.7, 83.7),
            "support: first frame": (69.8, 76.5),
            "support: previous frame": (69.4, 74.6),
            "support: 2 frames": (79.9, 85.0),
            "support: 3 frames": (79.9, 84.9),
            "support: 4 frames": (79.8, 85.0),
            "support: 5 frames": (80.2, 85.3),
            "support: 6 frames": (80.0, 85.2),
        },
    ),
)
"""All figures."""

COLUMNS = (
    "G",
    "J seen",
    "J unseen",
    "F seen",
    "F unseen",
    "J&F",
    "J mean",
    "J recall",
    "J decay",
    "F mean",
    "F recall",
    "F decay",
    "T",
    "J mean over categories",
    "fps",
)


def figures(kind: str, task: str | None = None) -> list[Figure]:
    """Published figures of a data set, and of a task if it is given."""
    return [f for f in PUBLISHED if f.kind == kind and task in (None, f.task)]


def comparison(evaluation: Evaluation, name: str = "here", measured: Averages | None = None) -> list[Figure]:
    """Our averages as a figure, and behind it those of the papers for the same data set and task.

    Args:
        evaluation: ours.
        name: of our row.
        measured: further values of ours in the papers' units, such as ``fps``.
    """
    kind, task = evaluation.dataset.partition(":")[0], evaluation.protocol.task
    ours = {column: 100 * value for column, value in evaluation.overall().items()} | (measured or {})
    where = f"{evaluation.protocol.name}, {len({o.sequence for o in evaluation.objects})} sequence(s)"
    return [Figure(name, "", kind, evaluation.split, task, ours, where), *figures(kind, task)]


def columns_of(compared: Sequence[Figure]) -> list[str]:
    """What to show of figures of which the first is ours: what any paper prints, or else all that ours has."""
    ours, *theirs = compared
    printed = [c for c in COLUMNS if any(c in figure.values for figure in theirs)]
    return printed or [c for c in COLUMNS if c in ours.values]
