"""How the click network is trained: clicks made up from the truth, round after round (iterated clicks)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.datasets.photographs import VOID, Photographs
from rotoscope.layers.losses import dice_loss
from rotoscope.layers.normalise import normalise
from rotoscope.methods.bundles import Training
from rotoscope.methods.clip_loss import ClipBatch, ClipLoss
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.prompts.clicks import Click, box_of, jittered_box, next_click
from rotoscope.prompts.network import FINE, MULTIPLE, Answered, Asked, PromptsNetwork, Scene

Mask = NDArray[np.bool_]
MOST_CLICKS = 12
"""Room for clicks in training."""
COUNTS = (1, 2, 3, 5)
"""Numbers of clicks at which validation measures."""

RECIPES = {
    "prompts-small": Recipe(
        name="prompts-small",
        method="prompts",
        config={},
        stages=(Stage(1500, 192, 1, 8, "pictures"), Stage(650, 256, 1, 8, "pictures")),
        objects=(0.0, 1.0),
        trunk="imagenet",
        trunk_rate=0.25,
        learning_rate=1e-3,
        warm_up=100,
        weight_decay=0.02,
        frozen=("trunk.conv1.", "trunk.bn1.", *(f"trunk.blocks.{number}." for number in range(5))),
        validate_every=430,
    ),
}
"""Recipes by name."""


def clip_loss(
    network: PromptsNetwork,
    clip: ClipBatch,
    *,
    dice: float = 0.5,
    quality: float = 0.1,
    box: float = 0.25,
    spoilt: float = 0.15,
    rounds: float = 3,
) -> ClipLoss:
    """Ask for objects of pictures, answer, and correct the answers with clicks.

    Each object is asked for with one click, a box, or a spoilt mask and a click. That answer teaches. Up to ``rounds``
    further clicks then correct it without teaching, and one more teaches again.

    Args:
        network: what is trained.
        clip: pictures, clips of one frame; an empty slot asks for one of the picture's other objects once more.
        dice: weight of the dice loss beside the normalised focal loss.
        quality: weight of the loss on the predicted IoU.
        box: share of objects that are first asked for with a box.
        spoilt: share of objects that begin with a spoilt mask.
        rounds: most rounds without teaching.
    """
    images = clip.images[:, 0]
    rng = np.random.default_rng(int(torch.randint(2**31, ())))
    truth = _targets(clip.labels[:, 0], clip.objects)
    wanted = torch.as_tensor(truth, device=images.device)[:, None].to(torch.float32)
    scene = network.encode(images).repeat(clip.objects)
    talk = Talk(truth, rng, images.device)
    for number in range(len(truth)):
        way = rng.random()
        if way < box:
            talk.boxes[number] = jittered_box(truth[number], rng)
        elif way < box + spoilt:
            talk.start(number, spoilt_mask(truth[number], rng))
        if way >= box or rng.random() < 0.3:
            talk.click(number)
    total, parts = images.new_zeros(()), dict.fromkeys(("focal", "dice", "quality", "first"), 0.0)
    silent = int(rng.integers(0, int(rounds) + 1))
    answered = network.answer(scene, talk.asked())
    for number in (0, 1):
        if number:
            answered = _corrected(network, scene, talk, answered, silent)
        focal, overlap, foreseen = losses(answered, wanted)
        total = total + focal + dice * overlap + quality * foreseen
        for name, value in (("focal", focal), ("dice", overlap), ("quality", foreseen)):
            parts[name] += value.item() / 2
        if not number:
            parts["first"] = overlap.item()
    foreground = torch.sigmoid(full_size(answered.logits)).detach()[:, 0]
    by_slot = foreground.unflatten(0, (-1, clip.objects))[:, None]
    return ClipLoss(total / 2, parts, torch.cat([1 - by_slot.amax(dim=2, keepdim=True), by_slot], dim=2))


def _corrected(network: PromptsNetwork, scene: Scene, talk: Talk, answered: Answered, silent: int) -> Answered:
    """The answer after ``silent`` clicks that do not teach and one that does."""
    with torch.no_grad():
        quiet = Scene(tuple(level.detach() for level in scene.levels), scene.key.detach())
        network.head.eval()
        for _ in range(silent):
            talk.follow(answered)
            answered = network.answer(quiet, talk.asked())
        network.head.train()
        talk.follow(answered)
    return network.answer(scene, talk.asked())


class Talk:
    """What has been asked for so far of N objects whose masks are known, bool ``[N, H, W]``.

    Args:
        truth: the masks.
        rng: draws where clicks fall; None puts them in the middle of the error.
        device: where the network is.
    """

    def __init__(self, truth: Mask, rng: np.random.Generator | None, device: torch.device) -> None:
        count, height, width = truth.shape
        self.truth = truth
        self.rng = rng
        self.device = device
        self.answers = np.zeros_like(truth)
        self.boxes = np.zeros((count, 4), np.float32)
        self.clicks: list[list[Click]] = [[] for _ in range(count)]
        self.before = torch.zeros(count, 1, height // FINE, width // FINE, device=device)

    def start(self, number: int, mask: Mask) -> None:
        """Begin an object with a mask."""
        self.answers[number] = mask
        fine = cv2.resize(mask.astype(np.float32), self.before.shape[:1:-1], interpolation=cv2.INTER_AREA)
        self.before[number, 0] = torch.as_tensor(fine, device=self.device)

    def click(self, number: int) -> None:
        """Click once more on an object, if its answer has a fault."""
        click = next_click(self.answers[number], self.truth[number], self.rng)
        if click is not None:
            self.clicks[number].append(click)

    def follow(self, answered: Answered) -> None:
        """Take answers as the masks so far, and click on the faults of each."""
        self.before = torch.sigmoid(answered.logits.detach().float())
        self.answers = (full_size(answered.logits.detach())[:, 0] > 0).cpu().numpy()
        for number in range(len(self.clicks)):
            self.click(number)

    def asked(self) -> Asked:
        """All of it as the network takes it."""
        most = max(max(map(len, self.clicks)), 1)
        points = np.zeros((len(self.clicks), most, 2), np.float32)
        signs = np.zeros(points.shape[:2], np.float32)
        for number, clicks in enumerate(self.clicks):
            for place, click in enumerate(clicks):
                points[number, place] = click.x + 0.5, click.y + 0.5
                signs[number, place] = 1 if click.wanted else -1
        places, kinds, boxes = (torch.as_tensor(array, device=self.device) for array in (points, signs, self.boxes))
        return Asked(places, kinds, boxes, self.before)


def losses(answered: Answered, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised focal loss, dice loss, and cross-entropy of the predicted IoU, against masks ``[N, 1, H, W]``."""
    logits = full_size(answered.logits.float())
    probabilities = torch.sigmoid(logits)
    overlap = dice_loss(probabilities, wanted, torch.ones_like(wanted[:, :, 0, 0]))
    ours, truth = logits.detach() > 0, wanted > 0.5
    both, either = (ours & truth).sum(dim=(1, 2, 3)), (ours | truth).sum(dim=(1, 2, 3))
    foreseen = F.binary_cross_entropy_with_logits(answered.quality.float(), both / either.clamp(min=1))
    return normalised_focal_loss(logits, wanted), overlap, foreseen


def normalised_focal_loss(logits: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss whose weights sum to the number of pixels of each mask (Sofiiuk et al., "AdaptIS", ICCV 2019).

    Plain focal loss fades as answers get good; this one keeps its size and stays on the pixels that are wrong.

    Args:
        logits: ``[N, 1, H, W]``.
        targets: 0 or 1, of the same shape.
        gamma: how much well-answered pixels are discounted.
    """
    cost = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    weight = (1 - torch.exp(-cost.detach())) ** gamma
    scale = 1 / weight.mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-3)
    return (cost * weight * scale).mean()


def full_size(logits: Tensor) -> Tensor:
    """Logits at stride 2 brought to the picture's pixels."""
    return F.interpolate(logits, scale_factor=FINE, mode="bilinear", align_corners=False)


def spoilt_mask(mask: Mask, rng: np.random.Generator) -> Mask:
    """A mask with faults as trackers make them: grown or shrunk, shifted, a piece missing, a piece too much."""
    height, width = mask.shape
    side = max(int(np.sqrt(mask.sum()) * rng.uniform(0.05, 0.3)), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    change = cv2.dilate if rng.random() < 0.5 else cv2.erode
    spoilt = np.asarray(change(mask.astype(np.uint8), kernel))
    shift = rng.normal(0, 0.3 * side, 2)
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
    spoilt = np.asarray(cv2.warpAffine(spoilt, matrix, (width, height), flags=cv2.INTER_NEAREST))
    left, top, right, bottom = box_of(mask)
    for value in (0, 1):
        if rng.random() < 0.6:
            centre = int(rng.integers(left, right)), int(rng.integers(top, bottom))
            axes = [max(int(s * rng.uniform(0.1, 0.4)), 1) for s in (right - left, bottom - top)]
            cv2.ellipse(spoilt, centre, (axes[0], axes[1]), float(rng.uniform(0, 180)), 0, 360, value, -1)
    return spoilt > 0


def _targets(labels: Tensor, objects: int) -> Mask:
    """Masks of the slots of pictures with labels ``[B, H, W]``, ``[B * objects, H, W]``; empty slots ask again."""
    masks = []
    for picture in labels.cpu().numpy():
        count = max(int(picture.max()), 1)
        masks += [picture == 1 + slot % count for slot in range(objects)]
    return np.stack(masks)


@torch.no_grad()
def validation_score(network: PromptsNetwork, recipe: Recipe, photographs: Photographs, device: torch.device) -> float:
    """Mean IoU over the objects of photographs kept apart, and over 1, 2, 3 and 5 clicks on each."""
    step = max(len(photographs.masked) // max(recipe.validation_clips, 1), 1)
    scores = []
    for photograph in photographs.masked[::step]:
        image, labels = photograph.read()
        size = [round(side / MULTIPLE) * MULTIPLE for side in labels.shape]
        image = np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
        labels = np.asarray(cv2.resize(labels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST), np.uint8)
        masks = [labels == i for i in np.unique(labels) if i not in (0, VOID) and (labels == i).sum() >= 64]
        if masks:
            tensor = normalise(torch.as_tensor(image, device=device).permute(2, 0, 1)[None])
            scores += iou_by_clicks(network, network.encode(tensor), np.stack(masks))
    return float(np.mean(scores)) if scores else 0.0


def iou_by_clicks(
    network: PromptsNetwork, scene: Scene, truth: Mask, counts: Sequence[int] = COUNTS
) -> list[list[float]]:
    """IoU of each object of one picture after each of some numbers of clicks in the middle of the largest error."""
    talk = Talk(truth, None, scene.key.device)
    scene = scene.repeat(len(truth))
    for number in range(len(truth)):
        talk.click(number)
    scores: list[list[float]] = [[] for _ in truth]
    for count in range(1, max(counts) + 1):
        answered = network.answer(scene, talk.asked())
        talk.follow(answered)
        if count in counts:
            both = (talk.answers & truth).sum(axis=(1, 2))
            either = (talk.answers | truth).sum(axis=(1, 2))
            for number, score in enumerate(both / np.maximum(either, 1)):
                scores[number].append(float(score))
    return scores


TRAINING = Training(RECIPES, clip_loss, parts={"image encoder": ("trunk.",)}, validation=validation_score)
