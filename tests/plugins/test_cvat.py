"""The functions for CVAT's agent, through the agent's own code: what it does with a function, without a server."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rotoscope
from drawn import clip_of, stripes
from rotoscope.errors import InputError

cvataa = pytest.importorskip("cvat_sdk.auto_annotation", reason='cvat-sdk is not here: pip install -e ".[cvat]"')
tracking = pytest.importorskip("cvat_cli._internal.agent_driver_tracking", reason="cvat-cli is not here")

from cvat_cli._internal import agent_driver_interaction as interaction  # noqa: E402
from cvat_cli._internal.agent import _worker_init, get_function_driver_class  # noqa: E402
from cvat_cli._internal.common import FunctionLoader  # noqa: E402
from cvat_sdk.masks import decode_mask  # noqa: E402

from rotoscope.plugins.cvat.shapes import mask_of, points_of  # noqa: E402
from rotoscope.plugins.cvat.tracker import Tracker, create  # noqa: E402

SIZE = (96, 64)
TASK = 3
TRACKER = "rotoscope.plugins.cvat.tracker"


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def ring() -> np.ndarray:
    """A mask with a hole and a part apart."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    far = np.hypot(x - 40, y - 30)
    return np.asarray(((far < 26) & (far > 9)) | (np.hypot(x - 85, y - 50) < 8))


@pytest.fixture
def images() -> list[Image.Image]:
    return [Image.fromarray(frame) for frame in clip_of(4, SIZE)]


@pytest.fixture
def worker() -> Any:
    """Loads a function as the agent's worker process does."""

    def load(module: str, **parameters: Any) -> Any:
        numbers = count()
        loader = FunctionLoader(module, None, parameters)
        _worker_init(loader, lambda: f"state {next(numbers)}")
        return loader.load()

    return load


def boxed(kind: str, mask: np.ndarray) -> Any:
    return cvataa.TrackableShape(type=kind, points=points_of(kind, mask, 0))


def test_masks_and_polygons_come_back() -> None:
    mask = ring()
    np.testing.assert_array_equal(mask_of("mask", points_of("mask", mask, 0), SIZE), mask)
    np.testing.assert_array_equal(mask_of("polygon", points_of("polygon", mask, 0), SIZE), mask)
    assert iou(mask_of("polygon", points_of("polygon", mask, 1), SIZE), mask) >= 0.96
    assert points_of("rectangle", mask, 0) == [15, 5, 93, 58]


def test_specks_are_left_out_of_polygons() -> None:
    mask = ring()
    mask[0, 0] = True
    assert not mask_of("polygon", points_of("polygon", mask, 0), SIZE)[0, 0]
    assert points_of("rectangle", mask, 0) == [15, 5, 93, 58]
    assert mask_of("mask", points_of("mask", mask, 0), SIZE)[0, 0]


@pytest.mark.parametrize("kind", ["mask", "polygon"])
def test_a_followed_shape_is_what_segment_gives(kind: str, worker: Any, images: list[Image.Image]) -> None:
    worker(TRACKER, tolerance=0.0)
    mask = stripes(3, SIZE)[2]
    states = tracking._worker_job_init_tracking(TASK, images[0], [boxed(kind, mask)])
    frames = np.stack([np.asarray(image) for image in images])
    expected = [p.labels == 1 for p in rotoscope.segment(frames, mask, "stcn-small")]
    for image, labels in zip(images[1:], expected[1:], strict=True):
        (shape,) = tracking._worker_job_track(TASK, image, states)
        assert shape.type == kind
        (found,) = [mask_of(kind, shape.points, SIZE)]
        assert iou(found, labels) >= (1 if kind == "mask" else 0.97)


def test_shapes_on_one_frame_do_not_mix(worker: Any, images: list[Image.Image]) -> None:
    worker(TRACKER)
    shapes = [boxed("mask", mask) for mask in stripes(3, SIZE).values()]
    together = tracking._worker_job_init_tracking(TASK, images[0], shapes)
    with_others = [tracking._worker_job_track(TASK, image, together) for image in images[1:]]
    for number, shape in enumerate(shapes):
        alone = tracking._worker_job_init_tracking(TASK, images[0], [shape])
        for image, found in zip(images[1:], with_others, strict=True):
            (only,) = tracking._worker_job_track(TASK, image, alone)
            assert only == found[number]


def test_a_frame_is_encoded_once_for_all_shapes(
    worker: Any, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(TRACKER)
    shapes = [boxed("mask", mask) for mask in stripes(3, SIZE).values()]
    states = tracking._worker_job_init_tracking(TASK, images[0], shapes)
    session = type(tracking._tracking_states._id_to_ext_state[states[0]].inner_state.session)
    encoded = []
    encode = session.encode
    monkeypatch.setattr(session, "encode", lambda self, frame: encoded.append(self) or encode(self, frame))
    tracking._worker_job_track(TASK, images[1], states)
    assert len(encoded) == 1


def test_an_object_that_is_gone_is_no_shape() -> None:
    class Gone(Tracker):
        def _push(self, picture: Any, state: Any) -> Any:
            return np.zeros(SIZE[::-1], bool)

    function = Gone(rotoscope.load("stcn-small"), 1.0, {})
    picture = function.preprocess_image(None, Image.new("RGB", SIZE))
    state = function.init_tracking_state(None, picture, boxed("mask", ring()))
    assert function.track(None, picture, state) is None


def disc(x: int) -> tuple[Image.Image, np.ndarray]:
    """A bright disc before noise, and where it is."""
    rows, columns = np.mgrid[:120, :160]
    mask = np.asarray(np.hypot(columns - x, rows - 60) < 32)
    noise = np.random.default_rng(0).integers(0, 90, (120, 160, 3), dtype=np.uint8)
    return Image.fromarray(np.where(mask[..., None], np.uint8((250, 170, 30)), noise)), mask


def test_a_box_becomes_the_object_in_it_and_is_followed_as_a_box(worker: Any) -> None:
    worker(TRACKER)
    (first, mask), (second, moved) = disc(70), disc(74)
    states = tracking._worker_job_init_tracking(TASK, first, [boxed("rectangle", mask)])
    (shape,) = tracking._worker_job_track(TASK, second, states)
    assert shape.type == "rectangle"
    np.testing.assert_allclose(shape.points, points_of("rectangle", moved, 0), atol=3)


def test_clicks_and_a_box_become_a_mask_with_its_confidence(worker: Any) -> None:
    worker("rotoscope.plugins.cvat.interactor")
    image, mask = disc(70)
    box = points_of("rectangle", mask, 0)
    prompts = interaction._InteractionPromptsImpl(
        pos_points=((70.4, 60.4),), neg_points=((2.0, 2.0),), bounding_box=(tuple(box[:2]), tuple(box[2:]))
    )
    (shape,) = interaction._worker_job_interact((TASK, 0), image, prompts)
    assert interaction._worker_job_interact_from_cache((TASK, 0), prompts) == [shape]
    assert iou(decode_mask(shape.points, image_width=160, image_height=120), mask) > 0.9
    (sure,) = shape.attributes
    assert 0 < float(sure.value) <= 1
    nowhere = interaction._InteractionPromptsImpl(pos_points=(), neg_points=((2.0, 2.0),), bounding_box=None)
    assert interaction._worker_job_interact_from_cache((TASK, 0), nowhere) == []


def test_the_server_is_told_what_the_functions_take(worker: Any) -> None:
    spec = worker(TRACKER).spec
    driver = get_function_driver_class(spec)
    assert driver.FUNCTION_KIND == "tracker"
    assert driver.get_remote_function_fields(spec) == {"supported_shape_types": ["mask", "polygon", "rectangle"]}
    spec = worker("rotoscope.plugins.cvat.interactor", prompter="flood").spec
    driver = get_function_driver_class(spec)
    assert driver.FUNCTION_KIND == "interactor"
    fields = driver.get_remote_function_fields(spec)
    assert fields == {"min_pos_points": 0, "min_neg_points": 0, "startswith_box_optional": True}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "cosnet-small"}, "finds objects by itself"),
        ({"model": "stcn-smal"}, "did you mean"),
        ({"tolerance": -1.0}, "a tolerance of -1.0 pixels"),
        ({"memory": "all"}, "memory"),
        ({"memry": "lfu:4"}, "memry"),
    ],
)
def test_what_does_not_fit_is_said_when_the_function_is_made(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create(**parameters)


def test_a_shape_outside_of_the_frame_is_refused(worker: Any, images: list[Image.Image]) -> None:
    worker(TRACKER)
    outside = cvataa.TrackableShape(type="polygon", points=[200.0, 200.0, 220.0, 200.0, 220.0, 220.0])
    with pytest.raises(InputError, match="covers no pixel"):
        tracking._worker_job_init_tracking(TASK, images[0], [outside])
