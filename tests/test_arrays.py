"""Arrays are read as they were written; what claims more than it holds is refused at once."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.arrays import read_npy, read_npz


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def npy_that_claims(shape: tuple[int, ...], descr: str = "<f4", order: bool = False) -> bytes:
    """A head without values."""
    head = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode()


@given(
    shape=st.lists(st.integers(0, 5), max_size=4).map(tuple),
    dtype=st.sampled_from(["u1", "<i8", ">f4", "bool", "S3", "U2"]),
    turned=st.booleans(),
)
def test_an_array_is_read_as_it_was_written(shape, dtype, turned):
    values = np.zeros(shape, dtype) if dtype[0] in "SU" else np.random.randint(0, 99, shape)
    values = np.asarray(values, dtype, order="F" if turned else "C")
    found = read_npy(npy(values))
    np.testing.assert_array_equal(found, values)
    assert found.dtype == values.dtype
    file = io.BytesIO()
    np.savez_compressed(file, a=values, b=np.arange(3))
    arrays = read_npz(file.getvalue())
    np.testing.assert_array_equal(arrays["a"], values)
    assert arrays["a"].flags.writeable
    assert set(arrays) == {"a", "b"}
    assert set(read_npz(file.getvalue(), ["b", "c"])) == {"b"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (npy_that_claims((60_000, 60_000)), "its head claims float32"),
        (npy_that_claims((2**62, 2**62)), "its head claims float32"),
        (npy_that_claims((-1, 4)) + bytes(16), "no plain array"),
        (npy(np.zeros(4))[:-1], "its head claims float64"),
        (npy(np.array([{}], object)), "no plain array"),
        (npy(np.zeros(2, [("a", "f4")])), "no plain array"),
        (b"\x93NUMPY\x09\x00" + bytes(20), "version"),
        (b"PK", "no .npy file"),
        (b"", "no .npy file"),
    ],
)
def test_what_is_no_plain_array_is_refused_before_anything_is_allocated(content, says):
    with pytest.raises(ValueError, match=says):
        read_npy(content)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("depth.npy", content)
    with pytest.raises(ValueError, match=says):
        read_npz(file.getvalue())


def test_arrays_that_unpack_to_more_than_the_limit_are_not_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", depth=np.zeros((1 << 20,), np.uint8))
    with pytest.raises(ValueError, match=r"bomb\.npz: its arrays have 1,048,704 bytes, 1,000,000"):
        read_npz(tmp_path / "bomb.npz", limit=1_000_000)
    assert read_npz(tmp_path / "bomb.npz", ["other"], limit=1_000_000) == {}


def test_what_is_no_npz_or_has_a_changed_byte_is_refused_by_its_name(tmp_path):
    np.savez(tmp_path / "a.npz", depth=np.zeros(100))
    changed = bytearray((tmp_path / "a.npz").read_bytes())
    changed[400] ^= 1
    for content in (changed, b"", b"PK\x03\x04 no zip", bytes(100)):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz: it is no whole \.npz"):
            read_npz(tmp_path / "a.npz")
