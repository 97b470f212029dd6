"""`ssmde app`: a web page that shows the depth of pictures, videos and a webcam.

Nothing leaves the machine: the page loads nothing from elsewhere, and what a visitor sends is seen
by nobody else and removed when they leave.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ssmde.app.guard import KEPT_BYTES, KEPT_UPLOADS_OF_ALL, LOOPBACK, Guard, Names, Visitors
from ssmde.app.service import InferenceService
from ssmde.app.training import Trainings
from ssmde.console import import_extra
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.signals import stop_on_sigterm
from ssmde.weights import RELEASED


class Served(NamedTuple):
    """A page that is being served, at its address here and, if asked for, on the internet."""

    url: str
    public_url: str | None
    folder: Path  # where the visitors' files lie; removed at the end
    blocks: Any  # the page, as Gradio knows it


def app(
    weights: str | Path | Sequence[str | Path] = (),
    *,
    host: str = LOOPBACK[0],
    port: int | None = None,
    share: bool = False,
    max_upload_mb: int = 200,
    queue: int = 20,
    allowed_host: Sequence[str] = (),
) -> None:
    """Serve a web page that shows the depth of pictures, videos and a webcam, until Ctrl-C.

    It loads nothing from the internet. A visitor's files are theirs alone and are removed when
    they leave.

    Example:
      ssmde app
      ssmde app runs/ss_mde runs/photometric --host 0.0.0.0

    Args:
        weights: Weights files, folders of runs or released names; of several the page lets one
            choose. None: those that come with the package.
        host: Address to listen at: by default only this machine sees the page; 0.0.0.0 is for all.
        port: Port to listen at; by default the first free one from 7860.
        share: Give the page a public address, through a server of Gradio's makers.
        max_upload_mb: Largest file a visitor can send, in megabytes.
        queue: So many may wait; who comes then is asked to come back later.
        allowed_host: Answer under this name too, such as that of a proxy before the page. Others
            than this machine's own are refused, so that no web site can use the page through a
            browser.
    """
    with serve(
        weights or tuple(RELEASED), host=host, port=port, share=share,
        max_upload_mb=max_upload_mb, queue=queue, allowed_host=allowed_host,
    ) as page:  # fmt: skip
        print(f"page: {page.url}" + (f"\npublic: {page.public_url}" if share else ""), flush=True)
        print("Ctrl-C ends it and removes the visitors' files", flush=True)
        with suppress(KeyboardInterrupt), stop_on_sigterm():
            while True:
                time.sleep(1)


@contextmanager
def serve(
    weights: str | Path | Sequence[str | Path], *, host: str = LOOPBACK[0],
    port: int | None = None, share: bool = False, max_upload_mb: int = 200, queue: int = 20,
    allowed_host: Sequence[str] = (),
) -> Generator[Served]:  # fmt: skip
    """Serve the page while the block runs; arguments as those of `app`."""
    if max_upload_mb < 1 or queue < 1:
        raise ValueError(f"limits must be 1 or more, got {max_upload_mb} MB and a queue of {queue}")
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"port must be in [1, 65535], got {port}")
    names, largest = Names(host, allowed_host), max_upload_mb * 1_000_000
    predictors = load_all([weights] if isinstance(weights, str | Path) else weights)
    import_extra("gradio", "the page", "ssmde[app]")
    from starlette.middleware import Middleware

    from ssmde.app.page import SCRIPT, STYLE, Page

    with _folder() as folder:
        room = max(KEPT_BYTES, KEPT_UPLOADS_OF_ALL * largest)
        visitors = Visitors(folder / "pages", room=room)
        service = InferenceService(predictors)
        here = may_train(host, share=share, allowed_host=allowed_host)
        trainings = Trainings(folder / "trainings") if here else None
        blocks = Page(service, visitors, trainings).blocks
        limits: Any = {"visitors": visitors, "names": names, "largest_upload": largest}
        blocks.queue(max_size=queue, default_concurrency_limit=2)
        try:
            _, url, public = blocks.launch(
                server_name=host, server_port=port, share=share, inbrowser=False,
                max_file_size=f"{max_upload_mb}mb", allowed_paths=[], footer_links=[],
                run_history=False, enable_monitoring=False, mcp_server=False, pwa=False,
                ssr_mode=False, quiet=True, show_error=False, prevent_thread_lock=True,
                css_paths=[STYLE], js=SCRIPT.read_text("utf-8"),
                app_kwargs={"middleware": [Middleware(Guard, **limits)]},
            )  # fmt: skip
            if public:
                names.allow(urlsplit(public).hostname or "")
            yield Served(url, public, folder, blocks)
        finally:
            visitors.close()
            if trainings is not None:
                trainings.close()
            if server := getattr(blocks, "server", None):
                server.config.timeout_graceful_shutdown = 1  # s: pages may be open for long
            blocks.close(verbose=False)
            service.close()


def may_train(host: str, *, share: bool, allowed_host: Sequence[str]) -> bool:
    """Whether all visitors sit at this machine: a training takes the whole of it."""
    return host in LOOPBACK and not share and not allowed_host


def load_all(weights: Sequence[str | Path]) -> dict[str, Predictor]:
    """The weights by released name, or by the shortest end of their path that is theirs alone."""
    if not weights:
        raise ValueError("give at least one weights file or run folder, got none")
    released = [w for w in map(str, weights) if w in RELEASED and not Path(w).exists()]
    named = {name: load(name) for name in released}
    paths = list(dict.fromkeys(Path(w).resolve() for w in weights if str(w) not in released))
    for path in paths:
        ends = ["/".join(path.parts[-n:]) for n in range(1, len(path.parts) + 1)]
        others = [f"/{other.as_posix()}" for other in paths if other != path]
        name = next(end for end in ends if not any(o.endswith(f"/{end}") for o in others))
        named[name] = load(path)
    return named


@contextmanager
def _folder() -> Generator[Path]:
    """A folder of `pages`, for all visitors' files and those of Gradio, and of `trainings`."""
    folder = Path(tempfile.mkdtemp(prefix="ssmde-app-")).resolve()
    for name in ("pages", "trainings"):
        (folder / name).mkdir()
    quiet = {"GRADIO_TEMP_DIR": str(folder / "pages"), "GRADIO_ANALYTICS_ENABLED": "False"}
    before = {name: os.environ.get(name) for name in quiet}
    os.environ.update(quiet)
    try:
        yield folder
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        shutil.rmtree(folder, ignore_errors=True)
