"""What can happen to a file: by chance, by other programs, and on purpose."""

import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

Mutation = Callable[[random.Random, bytes], bytes]
NUMBERS = (
    "nan", "inf", "-inf", "1e999", "1e308", "-1", "0", "-0.5", "1e-320", "99999999999999999999",
    str(2**63), "1_0", "0x1f", "3,5", "", "9" * 4000,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2.5, 1e308, float("nan"), float("-inf"), 10**25, "", "x", "nan", [], {},
    [[None]], {"a": [1]}, "../../up", "\0", "\udc80", [0.5] * 40,
)  # fmt: skip
HEADS = (b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"{}", b"GIF89a", b"II*\0",
         b"\x80\x04N.", b"<html>", b"\x1f\x8b\x08", b"")  # fmt: skip
YAML = (b"&a [*a]\n", b"!!python/object/apply:os.getpid []\n", b"--- 1\n--- 2\n", b"? [a]: b\n",
        b"name: ../up\n", b"train: {seed: 99999999999999999999}\n", b"~\n")  # fmt: skip
PATHS = ("..", "/", "/dev/zero", "../../../..", "a" * 300, " ", "#", "*", "~")
ODD = ("\0", "\x1b[2J", "\u202e", "\ufeff", "\udcff", "\u0663", "'", "%", "\x85")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def cut(rng: random.Random, content: bytes) -> bytes:
    """Its beginning, as after a copy that broke off."""
    return content[: rng.choice([0, 1, 8, len(content) // 2, rng.randrange(len(content) + 1)])]


def flip_bits(rng: random.Random, content: bytes) -> bytes:
    """Wrong bits, in the first bytes or anywhere."""
    changed, end = bytearray(content), rng.choice([64, 400, len(content)])
    for _ in range(rng.choice([1, 3, 30]) if content else 0):
        changed[rng.randrange(min(end, len(changed)))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(rng: random.Random, content: bytes) -> bytes:
    """A run of zeros or ones, as a bad disk leaves it; lengths in heads become huge."""
    start, length = rng.randrange(len(content) + 1), rng.choice([1, 4, 8, 500])
    start = rng.choice([start, min(start, 60)])
    fill = rng.choice([b"\0", b"\xff", b"\x7f"])
    return content[:start] + fill * min(length, len(content) - start) + content[start + length :]


def splice(rng: random.Random, content: bytes) -> bytes:
    """A piece is missing, or there many times."""
    start, length = rng.randrange(len(content) + 1), rng.choice([1, 16, 700])
    piece = content[start : start + length] * rng.choice([0, 0, 2, 40])
    return content[:start] + piece + content[start + length :]


def replace(rng: random.Random, content: bytes) -> bytes:
    """Another kind of file under this name."""
    return rng.choice(HEADS) + rng.choice([b"", bytes(60), rng.randbytes(900)])


def change_text(rng: random.Random, content: bytes) -> bytes:
    """Another number, line, character or encoding."""
    text = content.decode("utf-8", "surrogateescape")
    lines, at, value = text.split("\n"), rng.randrange(len(text) + 1), rng.choice(NUMBERS)
    place = rng.randrange(len(lines))
    before, line, after = lines[:place], lines[place], lines[place + 1 :]
    ways: list[Callable[[], str | bytes]] = [
        lambda: NUMBER.sub(lambda _: value, text),
        lambda: "\n".join([*before, *after]),
        lambda: "\n".join([*before, *[line] * 301, *after]),
        lambda: "\n".join([*before, rng.choice(PATHS), *after]),
        lambda: text[:at] + rng.choice(ODD) + text[at:],
        lambda: text + rng.choice(["x" * 500_000, "1 " * 100_000, "\n" * 1000]),
        lambda: rng.choice(["[", '{"a":', "- "]) * rng.choice([200, 50_000]),
        lambda: text.encode("utf-16", "surrogatepass"),
        lambda: rng.choice([b"\xff\xfe", b"\xe9"]) + content,
        lambda: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"),
    ]
    if found := [*NUMBER.finditer(text)]:
        one = rng.choice(found)
        ways += [lambda: text[: one.start()] + value + text[one.end() :]] * 6
    changed = rng.choice(ways)()
    return changed if isinstance(changed, bytes) else changed.encode("utf-8", "surrogateescape")


def change_value(rng: random.Random, value: Any) -> Any:
    """A tree of plain values with one of them taken out, renamed, doubled or replaced."""
    node = value = json.loads(json.dumps(value))
    parent: Any = None
    key: Any = None
    while isinstance(node, dict | list) and node and (parent is None or rng.random() < 0.8):
        parent, key = node, rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        node = parent[key]
    how = rng.randrange(5)
    if parent is None or rng.random() < 0.03:
        return rng.choice(VALUES)
    if how == 0:
        del parent[key]
    elif how == 1 and isinstance(parent, dict):
        parent[rng.choice(["", "x", f"{key} "])] = parent.pop(key)
    else:
        parent[key] = rng.choice(VALUES)
    return value


def change_json(rng: random.Random, content: bytes) -> bytes:
    """The same of a file of JSON."""
    return json.dumps(change_value(rng, json.loads(content))).encode("utf-8", "surrogatepass")


def change_yaml(rng: random.Random, content: bytes) -> bytes:
    """The same of a file of YAML."""
    if rng.random() < 0.3:
        return rng.choice(YAML)
    changed = change_value(rng, yaml.safe_load(content))
    return yaml.safe_dump(changed).encode("utf-8", "surrogatepass")


def change_npy(rng: random.Random, content: bytes) -> bytes:
    """An array of other numbers, another type or shape; or a head that claims what is not there."""
    if rng.random() < 0.35:
        shape = rng.choice([(10**6, 10**6), (10**12,) * 3, (-1, 4), (), "None", (True, 4),
                            (0, 10**18), "((" * 99])  # fmt: skip
        kind = rng.choice(["<f4", "|O", "V8", "<M8[s]", "|u1"])
        head = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
        head += b" " * (-(len(head) + 11) % 64) + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(64)
    array, file = np.load(io.BytesIO(content)), io.BytesIO()
    with np.errstate(all="ignore"):
        np.save(file, rng.choice([
            lambda: array.astype("f8") * np.nan, lambda: array.astype("f8") * np.inf,
            lambda: -array.astype("f8"), lambda: array.astype("c16"), lambda: array.astype("S3"),
            lambda: array.astype("U2"), lambda: array.astype("i8") * 10**12, lambda: array.ravel(),
            lambda: array[None, None], lambda: array[:0], lambda: array[:1], lambda: array[:-1],
            lambda: array.T, lambda: np.float32(2), lambda: np.zeros(3, [("a", "f4")]),
            lambda: array.astype("f2"), lambda: array.astype(bool), lambda: np.stack([array] * 3),
        ])())  # fmt: skip
    return file.getvalue()


def change_member(rng: random.Random, content: bytes) -> bytes:
    """A .npz with one array changed, renamed or left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    place = rng.randrange(len(members))
    name, array = members[place]
    members[place : place + 1] = rng.choice([
        *[lambda: [(name, change_npy(rng, array))]] * 3, lambda: [(name, flip_bits(rng, array))],
        list, lambda: [(rng.choice(["x.npy", "../up.npy", "data.npy"]), array)],
    ])()  # fmt: skip
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as z:
        for each, inside in members:
            z.writestr(each, inside)
    return file.getvalue()


def change_png(rng: random.Random, content: bytes) -> bytes:
    """A PNG of another size, depth or kind, with right checksums."""

    def chunk(kind: bytes, inside: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + inside))
        return struct.pack(">I", len(inside)) + kind + inside + check

    size = rng.choice([(60_000, 60_000), (2**31 - 1, 1), (0, 0), (1, 50_000), (96, 128),
                       (9000, 9000)])  # fmt: skip
    bits, color = rng.choice([(8, 2), (16, 0), (1, 0), (8, 3), (16, 6), (3, 2)])
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, color, 0, 0, 0))
    extra = rng.choice([b"", chunk(b"eXIf", b"II*\0" + b"\xff" * 30), chunk(b"PLTE", bytes(7)),
                        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(9_000_000)))])  # fmt: skip
    data = chunk(b"IDAT", zlib.compress(bytes(rng.choice([0, 100, 40_000]))))
    return content[:8] + head + extra + data + chunk(b"IEND", b"")


def change_weights(rng: random.Random, content: bytes) -> bytes:
    """A .safetensors with another head, or with weights that are no numbers."""
    start = 8 + struct.unpack("<Q", content[:8])[0]
    head, rest = json.loads(content[8:start]), content[start:]
    how = rng.randrange(5)
    if how == 0:
        return struct.pack("<Q", rng.choice([0, 2**40, 2**63])) + content[8:]
    if how == 1:
        rest = (rng.choice([b"\xff", b"\0", b"\x7f\xc0"]) * len(rest))[: len(rest)]
    elif how == 2:
        head = change_value(rng, head)
    elif how == 3:
        changed = change_yaml(rng, head["__metadata__"]["config"].encode())
        head["__metadata__"]["config"] = changed.decode("utf-8", "replace")
    else:
        head["__metadata__"]["metric_scale"] = json.dumps(rng.choice(VALUES))
    text = json.dumps(head).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + rest


BYTES: list[Mutation] = [cut, flip_bits, flip_bits, overwrite, splice, replace]
TEXT: list[Mutation] = [change_text] * 8 + [cut, flip_bits, replace]
SPECIAL: dict[str, list[Mutation]] = {
    ".json": [change_json] * 8 + [change_text] * 2,
    ".yaml": [change_yaml] * 6 + [change_text] * 3,
    ".npy": [change_npy] * 6 + BYTES,
    ".npz": [change_member] * 8 + BYTES,
    ".png": [change_png] * 5 + BYTES,
    ".safetensors": [change_weights] * 6 + BYTES,
    ".txt": TEXT, ".csv": TEXT, ".xml": TEXT,
}  # fmt: skip


def mutate(rng: random.Random, path: Path) -> str:
    """Change a file in one way, the same for the same state of `rng`; what was done."""
    change, content = rng.choice(SPECIAL.get(path.suffix, BYTES)), path.read_bytes()
    path.unlink()  # it may be a link to the whole one
    path.write_bytes(change(rng, content))
    return change.__name__
