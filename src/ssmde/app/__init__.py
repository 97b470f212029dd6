"""`ssmde app`: a web page that shows the depth of pictures, videos and a webcam.

Nothing leaves the machine: the page loads nothing from elsewhere, and what a visitor sends is seen
by nobody else and removed when they leave.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from ssmde.app.guard import KEPT_BYTES, KEPT_UPLOADS_OF_ALL, LOOPBACK, Guard, Names, Visitors
from ssmde.app.service import InferenceService
from ssmde.app.training import Trainings
from ssmde.console import import_extra
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.signals import stop_on_sigterm
from ssmde.weights import RELEASED

QUEUE = 20  # events that wait; who comes then is asked to come back later


def app(
    weights: str | Path | Sequence[str | Path] = (),
    *,
    host: str = LOOPBACK[0],
    port: int | None = None,
    share: bool = False,
    max_upload_mb: int = 200,
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
    """
    if max_upload_mb < 1:
        raise ValueError(f"max_upload_mb must be at least 1, got {max_upload_mb}")
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"port must be in [1, 65535], got {port}")
    weights = weights or tuple(RELEASED)
    predictors = load_all([weights] if isinstance(weights, str | Path) else weights)
    import_extra("gradio", "the page", "ssmde[app]")
    from starlette.middleware import Middleware

    from ssmde.app.page import SCRIPT, STYLE, Page

    with TemporaryDirectory(prefix="ssmde-app-", ignore_cleanup_errors=True) as folder:
        # Files of the visitors and of Gradio; films that are learned from, and their networks.
        pages, trained = (Path(folder).resolve() / name for name in ("pages", "trainings"))
        pages.mkdir()
        trained.mkdir()
        os.environ |= {"GRADIO_TEMP_DIR": str(pages), "GRADIO_ANALYTICS_ENABLED": "False"}
        names, service, largest = Names(host), InferenceService(predictors), max_upload_mb * 10**6
        visitors = Visitors(pages, room=max(KEPT_BYTES, KEPT_UPLOADS_OF_ALL * largest))
        trainings = Trainings(trained) if may_train(host, share=share) else None
        blocks = Page(service, visitors, trainings).blocks
        limits: Any = {"visitors": visitors, "names": names, "largest_upload": largest}
        blocks.queue(max_size=QUEUE, default_concurrency_limit=2)
        try:
            _, url, public = blocks.launch(
                server_name=host, server_port=port, share=share, inbrowser=False,
                max_file_size=f"{max_upload_mb}mb", allowed_paths=[], footer_links=[],
                run_history=False, enable_monitoring=False, mcp_server=False, pwa=False,
                ssr_mode=False, quiet=True, show_error=False, prevent_thread_lock=True,
                css_paths=[STYLE], js=SCRIPT.read_text("utf-8"),
                app_kwargs={"middleware": [Middleware(Guard, **limits)]},
            )  # fmt: skip
            print(f"page: {url}", flush=True)
            if public:
                names.public.add(str(urlsplit(public).hostname))
                print(f"public: {public}", flush=True)
            print("Ctrl-C ends it and removes the visitors' files", flush=True)
            with suppress(KeyboardInterrupt), stop_on_sigterm():
                while True:
                    time.sleep(1)
        finally:
            visitors.close()
            if trainings is not None:
                trainings.close()
            if server := getattr(blocks, "server", None):
                server.config.timeout_graceful_shutdown = 1  # s: pages may be open for long
            blocks.close(verbose=False)
            service.close()


def may_train(host: str, *, share: bool) -> bool:
    """Whether all visitors sit at this machine: a training takes the whole of it."""
    return host in LOOPBACK and not share


def load_all(weights: Sequence[str | Path]) -> dict[str, Predictor]:
    """The weights by released name, or by the shortest end of their path that is theirs alone."""
    released = [w for w in map(str, weights) if w in RELEASED and not Path(w).exists()]
    named = {name: load(name) for name in released}
    paths = list(dict.fromkeys(Path(w).resolve() for w in weights if str(w) not in released))
    for path in paths:
        ends = ["/".join(path.parts[-n:]) for n in range(1, len(path.parts) + 1)]
        others = [f"/{other.as_posix()}" for other in paths if other != path]
        name = next(end for end in ends if not any(o.endswith(f"/{end}") for o in others))
        named[name] = load(path)
    return named
