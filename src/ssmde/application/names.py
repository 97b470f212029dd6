"""Under which names the page answers, so that no other web site can use it through a browser.

A site whose name is made to point to this machine (DNS rebinding) sends its own name as Host; a
form or script of another site sends its own address as Origin.
"""

import socket
from collections.abc import MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
Scope = MutableMapping[str, Any]


class Names:
    """Names and addresses of a page.

    Args:
        host: Address it listens at. At one that others reach, the machine's own names count too;
            its addresses are seen from each connection.
        allowed: Further names, such as that of a proxy before it.

    Raises:
        ValueError: If a name is none.
    """

    def __init__(self, host: str = LOOPBACK[0], allowed: Sequence[str] = ()) -> None:
        self._own = {*LOOPBACK, host.lower()}
        if host not in LOOPBACK:
            own = {socket.gethostname().lower(), socket.getfqdn().lower()}
            self._own |= own | {f"{name}.local" for name in own}
        self._public: set[str] = set()
        for name in allowed:
            self.allow(name)

    def allow(self, name: str) -> None:
        """Answer under another name too, whatever the port.

        Raises:
            ValueError: If it is no name.
        """
        if not name or _name(name) != name.lower():
            raise ValueError(f"--allowed-host takes a name such as depth.example.org, got {name!r}")
        self._public.add(name.lower())

    def fit(self, scope: Scope) -> bool:
        """Whether a request was meant for this page, and comes from it if it says so."""
        hosts, origins = (_headers(scope, name) for name in (b"host", b"origin"))
        if len(hosts) != 1 or len(origins) > 1:
            return False
        server = scope.get("server")
        own = self._own | ({str(server[0]).lower()} if server else set())
        if (name := _name(hosts[0])) is None or name not in own | self._public:
            return False
        return not origins or self._is_own(origins[0], hosts[0])

    def _is_own(self, origin: str, host: str) -> bool:
        place = origin.partition("://")[2].lower()
        return place == host.lower() or _name(place) in self._public


def _headers(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _name(place: str) -> str | None:
    """Name of NAME or NAME:PORT, in small letters; None where there is none."""
    try:
        split = urlsplit(f"//{place}")
        split.port  # noqa: B018 (raises for a port that is none)
    except ValueError:
        return None
    plain = split.netloc == place and "@" not in place
    return (split.hostname or "").rstrip(".") or None if plain else None
