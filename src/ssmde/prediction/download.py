"""A file from the web, of a limited size, into memory or a temporary folder."""

import http.client
import tempfile
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGEST_IMAGE = 256 << 20  # bytes
LARGEST_FILE = 4 << 30  # bytes, of a video
TIMEOUT = 30.0  # seconds without an answer
BLOCK = 1 << 20  # bytes read at once


class DownloadError(ValueError):
    """An address that gives no file."""


def is_url(source: object) -> bool:
    """True for an http or https address."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def fetch_bytes(url: str, *, largest: int = LARGEST_IMAGE) -> bytes:
    """Content of the file at an address.

    Args:
        url: Of kind http or https.
        largest: A file with more bytes is refused.

    Raises:
        DownloadError: If there is no such file, it is too large, or the line breaks.
    """
    return b"".join(_blocks(url, largest))


@contextmanager
def fetched_file(url: str, *, largest: int = LARGEST_FILE) -> Generator[Path]:
    """The file at an address, in a temporary folder that is removed when the block ends.

    Raises:
        DownloadError: As `fetch_bytes`.
    """
    name = Path(unquote(urlsplit(url).path)).name or "download"
    with tempfile.TemporaryDirectory(prefix="ssmde-") as folder:
        path = Path(folder) / name
        with path.open("wb") as file:
            for block in _blocks(url, largest):
                file.write(block)
        yield path


def _blocks(url: str, largest: int) -> Iterator[bytes]:
    """The content in parts; whatever goes wrong becomes a `DownloadError` with the address."""
    _check(url)
    request = urllib.request.Request(url, headers={"User-Agent": "ssmde"})
    try:
        with _OPENER.open(request, timeout=TIMEOUT) as answer:
            promised, count = answer.headers.get("Content-Length"), 0
            if promised is not None and int(promised) > largest:
                raise _too_large(url, largest)
            while block := answer.read(BLOCK):
                count += len(block)
                if count > largest:
                    raise _too_large(url, largest)
                yield block
            if promised is not None and count < int(promised):
                raise DownloadError(
                    f"{url}: broke off after {count} of {promised} bytes; try again"
                )
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"{url}: the server says {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise DownloadError(f"{url}: cannot be reached ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{url}: the connection broke ({error}); try again") from error


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows from one web address to another, to nothing else."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not is_url(newurl):
            fp.close()
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_WebOnly)


def _check(url: str) -> None:
    if not is_url(url) or not urlsplit(url).hostname:
        raise DownloadError(f"{url}: only http:// and https:// addresses of files are read")


def _too_large(url: str, largest: int) -> DownloadError:
    return DownloadError(
        f"{url}: is larger than {largest / 2**20:.0f} MiB; get the file and give its path"
    )
