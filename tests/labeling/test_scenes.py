"""Labeling: every frame once, by any source, and what stands in the way is said."""

import numpy as np
import pytest

from ssmde.data.images import read_depth, read_image, write_png16
from ssmde.data.pseudo_labels import LabelInfo, read_pseudo_depth
from ssmde.data.scene_files import write_tracked_points
from ssmde.data.scene_folder import read_scene
from ssmde.labeling import SOURCES, Source, label, write_corrected
from ssmde.labeling.sources import Row
from ssmde.synthetic import draw_clip, write_clip

SIZE = (32, 48)
FRAMES = 5
clip = draw_clip("room", frames=FRAMES, size=SIZE, seed=1)


@pytest.fixture
def data(tmp_path):
    for name in ("left", "right"):
        write_clip(clip, tmp_path / "data" / name)
    return tmp_path / "data"


def brightness(image):
    return 1 + image.mean(axis=2, dtype=np.float32) / 255


@pytest.fixture
def add_source(monkeypatch):
    """Adds a row to the table, and returns a list that fills with the sizes of its batches."""

    def add(name="drawn", give=brightness, kind="depth"):
        batches = []

        def label(images):
            batches.append(len(images))
            return [give(image) for image in images]

        info = LabelInfo(source=name, kind=kind, affine=True, licence="MIT", version="1")
        source = Source(info=info, label=label)
        monkeypatch.setitem(SOURCES, name, Row(open=lambda request: source, takes=()))
        return batches

    return add


@pytest.fixture
def seen(add_source):
    return add_source()


def run(data, source="drawn", **options):
    return label(data, source=source, **({"show_progress": False, "split": "all"} | options))


def labels(data, scene="left"):
    return sorted(file.stem for file in (data / scene / "pseudo_depth").glob("*.png"))


def test_every_frame_gets_the_label_that_the_scene_then_shows(seen, data, capsys):
    found = run(data, batch_size=2)
    assert str(found) == "labels: 10 written now, 0 there before"
    assert (found.skipped, seen) == ((), [2, 2, 1, 2, 2, 1])
    scene = read_scene(data / "right")
    assert (scene.pseudo_depth_kind, scene.pseudo_depth_affine) == ("depth", True)
    assert scene.pseudo_depth_source == "drawn"
    for image, file in zip(scene.images, scene.pseudo_depth, strict=True):
        expected = brightness(read_image(image))
        found = read_pseudo_depth(file)
        np.testing.assert_allclose(found, expected / expected.max(), atol=1 / 60000)
    assert capsys.readouterr().out == "source: drawn, licence: MIT\n"
    assert '"licence": "MIT"' in (data / "left" / "pseudo_depth" / "label.json").read_text()


def test_a_second_run_does_only_what_is_missing(seen, data):
    assert run(data, split="train").written == 2 * (FRAMES - 1)
    assert run(data, split="val").written == 2
    (data / "right" / "pseudo_depth" / "000003.png").unlink()
    seen.clear()
    assert str(run(data)) == "labels: 1 written now, 9 there before"
    assert (run(data).written, seen) == (0, [1])


@pytest.mark.parametrize("batch", [1, 2])
def test_a_stop_loses_at_most_the_running_batch(add_source, data, batch):
    def stop(image):
        if len(batches) == batch:
            raise KeyboardInterrupt
        return brightness(image)

    batches = add_source(give=stop)
    with pytest.raises(KeyboardInterrupt):
        run(data, batch_size=2)
    assert labels(data) == ["000000", "000001"][: 2 * (batch - 1)]
    assert run(data).written == 2 * FRAMES - 2 * (batch - 1)
    assert not list(data.rglob("*.part"))


def test_a_broken_frame_is_named_and_left_out(seen, data):
    broken = data / "left" / "000001.png"
    broken.write_bytes(broken.read_bytes()[:100])
    (said,) = run(data).skipped
    assert "left/000001.png: cannot be read" in said
    assert read_scene(data / "left").pseudo_depth[1] is None
    again = run(data)
    assert (again.written, again.present, len(again.skipped)) == (0, 2 * FRAMES - 1, 1)


def test_a_map_without_a_value_is_no_label(add_source, data):
    first = read_image(data / "left" / "000000.png")
    nothing = np.full(SIZE, np.nan, np.float32)
    add_source(give=lambda image: nothing if (image == first).all() else brightness(image))
    assert run(data / "left").skipped == ("left/000000: the source gives no value",)
    assert labels(data) == ["000001", "000002", "000003", "000004"]


def test_another_source_is_refused_until_it_may_overwrite(seen, data, add_source):
    run(data)
    others = add_source("other", kind="disparity")
    with pytest.raises(ValueError, match=r"source of the labels is 'drawn', now .* --overwrite"):
        run(data, "other")
    assert others == []
    assert run(data, "other", split="val", overwrite=True).written == 2
    assert labels(data) == ["000004"], "no label of the former source is left"
    assert read_scene(data / "left").pseudo_depth_kind == "disparity"


def test_words_that_do_not_fit_are_explained(data):
    (data / "a.pt2").write_bytes(b"code")
    for source, options, says in (
        ("leress", {}, r"'leress': closest match is 'leres', there are .*hf:MODEL"),
        ("grounded:runs/static", {}, "source 'grounded' is no more: take ssmde:small"),
        ("folder", {}, "source 'folder' is written folder:PATH"),
        ("midas:x", {}, "source 'midas' is written midas, got 'midas:x'"),
        ("midas", {"kind": "depth"}, "source 'midas' takes no kind; hf, folder does"),
        ("midas", {"trust": True}, "source 'midas' takes no trust; ssmde does"),
        ("folder:.", {"size": (32, 32)}, "source 'folder' takes no size"),
        ("midas", {"size": (0, 32)}, r"size must be from 1 to \d+ pixels a side, got \(0, 32\)"),
        ("leres", {}, "is written leres:CHECKPOINT, got 'leres'; its weights, .*AdelaiDepth"),
        ("folder:.", {}, "needs --kind depth or --kind disparity"),
        (f"ssmde:{data}/a.pt2", {}, r"a\.pt2: \.pt2 files .* are no longer opened"),
        ("midas", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ("depth-anything-3", {}, "is no more: take depth-anything-v2"),
    ):
        with pytest.raises(ValueError, match=says):
            run(data, source, **options)


def test_existing_files_are_copied_with_their_kind(data, tmp_path):
    files, steps = tmp_path / "files", np.full(SIZE, 100, np.uint16)
    steps[0, 0] = 0  # no value
    for place in (files / "left", files / "right"):
        place.mkdir(parents=True)
        write_png16(place / "000000.png", steps)
        write_png16(place / "000001.png", steps * 2)
        np.save(place / "000002.npy", steps.astype(np.float32))
        np.savez(place / "000003.npz", depth=steps / 10)
    found = run(data, f"folder:{files}", kind="disparity")
    assert (found.written, len(found.skipped)) == (8, 2)
    assert "left/000004: no such label (.png, .npy, .npz)" in found.skipped[0]
    scene = read_scene(data / "left")
    assert scene.pseudo_depth_kind == "disparity"
    for file in scene.pseudo_depth[:4]:
        values = read_pseudo_depth(file)
        assert values[0, 0] == 0
        assert (values.ravel()[1:] == 1).all()
    # A single scene needs no folder of its name.
    alone = run(data / "left", f"folder:{files / 'left'}", kind="depth", overwrite=True)
    assert alone.written == 4
    with pytest.raises(FileNotFoundError, match="left: no such folder; labels of several scenes"):
        run(data, f"folder:{files / 'left'}", kind="depth")


def test_labels_are_not_copied_onto_themselves_and_others_must_fit(seen, data, tmp_path):
    with pytest.raises(ValueError, match=r"not one frame could be labeled: .*no such label"):
        run(data / "left", f"folder:{tmp_path}", kind="depth")
    run(data)
    place = data / "right" / "pseudo_depth"
    with pytest.raises(ValueError, match="nothing to copy"):
        run(data / "right", f"folder:{place}", kind="depth", overwrite=True)
    assert len(labels(data)) == len(labels(data, "right")) == FRAMES


def test_corrected_frames_meet_their_points_and_the_others_keep_their_labels(seen, data, tmp_path):
    run(data)
    at = np.mgrid[: SIZE[0] : 3, : SIZE[1] : 3].reshape(2, -1)
    pixels = at[::-1].T.astype(np.float32)
    points = {i: (pixels, 2 * brightness(clip.images[i])[*at] - 1.5) for i in (0, 2, 4)}
    write_tracked_points(data / "left", points)

    assert write_corrected(data / "left", tmp_path / "corrected", part=(0.0, 0.6)) == 2, (
        "0 and 2 of 0-2"
    )
    scene = read_scene(tmp_path / "corrected")
    depth = read_depth(scene.depth[1], scene.depth_units_per_metre)
    assert np.median(np.abs(depth[*at] / points[2][1] - 1)) < 0.02

    kept = write_corrected(data / "left", tmp_path / "kept", part=(0.0, 0.6), uncorrected=True)
    assert kept == 3, "also frame 1, which has no points"
    scene = read_scene(tmp_path / "kept")
    for image, file in zip(scene.images, scene.depth, strict=True):
        told = read_pseudo_depth(data / "left" / "pseudo_depth" / f"{image.stem}.png")
        found = read_depth(file, scene.depth_units_per_metre)
        np.testing.assert_allclose(found, told / np.median(told), atol=1e-3)

    write_tracked_points(data / "right", {})
    assert write_corrected(data / "right", tmp_path / "none") == 0
    assert not (tmp_path / "none").exists()
