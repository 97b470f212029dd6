"""The one function for own videos, official archives and packing: what goes together."""

from pathlib import Path

import pytest

from ssmde.preparation import prepare


@pytest.mark.parametrize(("given", "message"), [
    ({"size": (32, 64)}, "--size does not go without --pack"),
    ({"pack": True}, "--pack needs --size HEIGHT WIDTH: data.image_size of the training"),
    ({"pack": True, "size": (32, 64), "width": 9}, "--width does not go with --pack"),
    ({"pack": True, "dataset": "tum"}, "--dataset does not go with --pack"),
    ({"test_list": Path("c")}, "--test-list does not go without --dataset"),
    ({"dataset": "tum", "source": [Path("a"), Path("b")]}, "--dataset takes one folder, got 2"),
])  # fmt: skip
def test_arguments_that_do_not_go_together_are_refused_before_anything_is_read(given, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        prepare(**{"source": Path("a"), "out": Path("b")} | given)
