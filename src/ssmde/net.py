"""The Hugging Face hub, asked only where it answers: its own clients try for minutes."""

import os
import socket
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ENDPOINT = "https://huggingface.co"
PATIENCE = 3.0  # seconds for an answer; names are looked up in them too
PORTS = {"https": 443, "http": 80}


def from_hub(load: Callable[..., Any], name: str, *words: Any, **options: Any) -> Any:
    """What a loader of the hub gives; out of its cache where the hub is out of reach.

    Args:
        load: Such as `hf_hub_download`, or `from_pretrained` of a class.
        name: Owner and name, or a folder, for which nobody is asked.
        words: What it takes besides.
        options: The same, by name.

    Raises:
        ConnectionError: If the hub is out of reach and the cache has it not.
    """
    if Path(name).exists() or hub_in_reach():
        return load(name, *words, **options)
    try:
        return load(name, *words, local_files_only=True, **options)
    except Exception as error:  # whatever the loader says, it is not there
        host = urlsplit(_endpoint()).hostname
        raise ConnectionError(f"{host} is out of reach, and the cache has it not") from error


def hub_in_reach() -> bool:
    """Whether the hub, or the proxy before it, answers within a few seconds."""
    from huggingface_hub import constants  # slow, and most commands need no hub

    if constants.HF_HUB_OFFLINE:  # the user said so, and the hub's client knows what to say
        return True
    address = urlsplit(_endpoint())
    if proxy := urllib.request.getproxies().get(address.scheme):
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = address.port or PORTS.get(address.scheme, 443)
    reached = threading.Event()

    def connect() -> None:
        try:
            with socket.create_connection((address.hostname or "", port), PATIENCE):
                reached.set()
        except OSError:
            pass

    # A name server that does not answer has no limit of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return reached.is_set()


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or ENDPOINT
