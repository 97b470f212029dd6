"""Times find their partners; broken scans are named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.datasets.record import ArchiveError
from ssmde.datasets.sensors import match_times, nearest_times, read_velodyne


def test_a_scan_is_four_little_endian_floats_a_point(tmp_path):
    path, values = tmp_path / "7.bin", np.arange(12, dtype="<f4").reshape(3, 4)
    with pytest.raises(ArchiveError, match=r"7\.bin: no such file; unpack the archive again"):
        read_velodyne(path)
    path.write_bytes(values.tobytes())
    points = read_velodyne(path)
    assert (points.dtype, points.tolist()) == (np.float32, values.tolist())
    values[1, 2] = np.nan  # such points are left out
    path.write_bytes(values.tobytes())
    assert len(read_velodyne(path)) == 2
    for length in (0, 15, 17, 40):
        path.write_bytes(b"x" * length)
        with pytest.raises(ArchiveError, match=rf"7\.bin: {length} bytes, but a scan has 16 for"):
            read_velodyne(path)


def test_times_find_their_nearest_partner_one_to_one():
    first, second = np.array([0.0, 0.010, 1.0, 2.0]), np.array([0.008, 0.019, 1.015, 2.03])
    assert match_times(first, second) == {1: 0, 0: 1, 2: 2}
    assert nearest_times(first, second).tolist() == [0, 0, 2, -1]


@given(
    first=st.lists(st.integers(0, 300), unique=True, max_size=25),
    second=st.lists(st.integers(0, 300), unique=True, max_size=25),
)
def test_no_two_free_entries_within_reach_are_left_apart(first, second):
    a, b = (np.array(sorted(x), np.float64) / 990 for x in (first, second))
    pairs = match_times(a, b)
    assert len(set(pairs.values())) == len(pairs)
    assert all(abs(a[i] - b[j]) <= 0.02 for i, j in pairs.items())
    free = [x for j, x in enumerate(b) if j not in pairs.values()]
    assert not any(abs(a[i] - x) <= 0.02 for i in range(len(a)) if i not in pairs for x in free)
