"""Evaluation against a few lines of NumPy that share nothing with it."""

import numpy as np
import pytest
from PIL import Image

from ssmde.data.scene_folder import read_scene
from ssmde.evaluation import evaluate_predictions

SIZE, SEEN = (96, 128), (48, 64)  # of the frames; of the predictions
RANGES = {
    "kitti": (0.1, 80), "nyuv2": (0.1, 10), "ddad": (0.1, 200), "bonn": (0.1, 10),
    "tum": (0.1, 10), "generic": (0.1, 1000),
}  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A scene with every kind of no value, and one prediction for each frame."""
    folder = tmp_path_factory.mktemp("data") / "room"
    (folder / "depth").mkdir(parents=True)
    rng = np.random.default_rng(0)
    truths, predictions = [], []
    for i in range(3):
        truth = rng.uniform(0.05, 12, SIZE).astype(np.float32)
        truth[70:90] *= 25  # beyond the far end of most
        for place, none in enumerate((0, np.nan, np.inf, -1, 1e10)):
            truth[7 * place : 7 * place + 5, i : 40 + i] = none
        np.save(folder / "depth" / f"{i}.npy", truth)
        Image.new("RGB", SIZE[::-1], (i, i, i)).save(folder / f"{i}.png")
        truths.append(truth)
        predictions.append(rng.uniform(0.5, 4, SEEN).astype(np.float32) * (1 + i))
    return read_scene(folder), truths, predictions


def enlarged(prediction):
    """Bilinear between pixel centres, edges repeated."""
    for axis, size in enumerate(SIZE):
        at = (np.arange(size) + 0.5) * prediction.shape[axis] / size - 0.5
        low = np.clip(np.floor(at).astype(int), 0, prediction.shape[axis] - 1)
        high = np.minimum(low + 1, prediction.shape[axis] - 1)
        part = np.expand_dims(np.clip(at - low, 0, 1), 1 - axis)
        prediction = (1 - part) * prediction.take(low, axis) + part * prediction.take(high, axis)
    return prediction


CROPS = {  # top, bottom, left, right, as shares
    "kitti": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "nyuv2": (45 / 480, 471 / 480, 41 / 640, 601 / 640),
}


def counted(truth, protocol):
    near, far = RANGES[protocol]
    with np.errstate(invalid="ignore"):
        valid = (truth > near) & (truth < far) & (truth < 1e4)
    top, bottom, left, right = CROPS.get(protocol, (0, 1, 0, 1))
    (h, w), inside = SIZE, np.zeros(SIZE, bool)
    inside[int(top * h) : int(bottom * h), int(left * w) : int(right * w)] = True
    return valid & inside


def by_hand(truths, predictions, protocol, align):
    whole = [enlarged(p.astype(np.float64)) for p in predictions]
    masks = [counted(t, protocol) for t in truths]
    pairs = [(p[m], t[m].astype(np.float64)) for p, t, m in zip(whole, truths, masks, strict=True)]
    common = np.median([np.median(g) / np.median(p) for p, g in pairs])
    rows = []
    for p, g in pairs:
        if align == "median":
            p = p * np.median(g) / np.median(p)
        elif align == "median-dataset":
            p = p * common
        elif align == "least-squares":
            A = np.stack([p, np.ones_like(p)], 1)
            p = A @ np.linalg.lstsq(A, g, rcond=None)[0]
        p = np.clip(p, *RANGES[protocol])
        ratio = np.maximum(p / g, g / p)
        rows.append([
            (abs(p - g) / g).mean(), ((p - g) ** 2 / g).mean(), ((p - g) ** 2).mean() ** 0.5,
            (np.log(p / g) ** 2).mean() ** 0.5, abs(np.log10(p / g)).mean(),
            (ratio < 1.25).mean(), (ratio < 1.25**2).mean(), (ratio < 1.25**3).mean(),
        ])  # fmt: skip
    return np.mean(rows, 0)


@pytest.mark.parametrize("protocol", RANGES)
def test_every_protocol_and_alignment_says_what_numpy_says(recorded, protocol):
    scene, truths, predictions = recorded
    for align in ("median", "median-dataset", "least-squares", "none"):
        found = evaluate_predictions(
            lambda pixels: predictions[int(pixels[0, 0, 0])], [scene], protocol, align
        )
        names = ("abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "d1", "d2", "d3")
        said = [getattr(found.full, name) for name in names]
        np.testing.assert_allclose(said, by_hand(truths, predictions, protocol, align), rtol=1e-4)
