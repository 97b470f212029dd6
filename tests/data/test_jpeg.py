"""The short way from JPEG to pixels: the same pixels as the long one."""

import numpy as np
import pytest
from PIL import Image

from ssmde.data import images
from ssmde.data.images import ImageError, decode_jpeg, read_image


def scene(height, width):
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(columns / 9 + rows / 5 + phase) for phase in (0, 2, 4)]
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    return (128 + 90 * np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8)


def by_pillow(path, monkeypatch, reduction):
    with monkeypatch.context() as without:
        without.setattr(images, "decode_jpeg", lambda *_: None)
        return read_image(path, reduction=reduction)


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(240, 320), (117, 93), (9, 7)])
@pytest.mark.parametrize(
    "options",
    [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"progressive": True}],
    ids=["444", "422", "420", "progressive"],
)
def test_both_ways_give_the_same_pixels(tmp_path, monkeypatch, options, size, reduction):
    path = tmp_path / "a.jpg"
    Image.fromarray(scene(*size)).save(path, quality=90, **options)
    short = read_image(path, reduction=reduction)
    assert decode_jpeg(path.read_bytes(), size, reduction) is not None
    assert short.shape == (size[0] // reduction, size[1] // reduction, 3)
    assert (short == by_pillow(path, monkeypatch, reduction)).all()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_printed_colours_are_the_same_too(tmp_path, monkeypatch, mode):
    path = tmp_path / "a.jpg"
    Image.fromarray(scene(60, 80)).convert(mode).save(path)
    assert (read_image(path) == by_pillow(path, monkeypatch, 1)).all()


def test_a_cut_file_is_left_to_pillow_which_names_it(tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(scene(64, 64)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert decode_jpeg(path.read_bytes(), (64, 64), 1) is None
    with pytest.raises(ImageError, match=r"cut\.jpg: cannot be read .*truncated"):
        read_image(path)
