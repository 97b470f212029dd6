"""Under which names the page answers."""

import socket

import pytest

from ssmde.app.guard import Names

PAGE = "localhost:7860"


def request(host=PAGE, origin=None, server="127.0.0.1"):
    headers = [(b"host", host.encode())] if host else []
    headers += [(b"origin", origin.encode())] if origin else []
    return {"headers": headers, "server": (server, 7860)}


@pytest.mark.parametrize("host", [PAGE, "127.0.0.1:7860", "[::1]:7860", "localhost", "LOCALHOST:1"])
def test_this_machine_is_answered(host):
    assert Names().fit(request(host))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example",
     "localhost@evil.example", "evil.example@localhost", "localhost/x", "", "[::1", "localhost:x",
     socket.gethostname() + ".evil", "10.0.0.7"],
)  # fmt: skip
def test_other_names_are_not(host):
    assert not Names().fit(request(host))


def test_two_names_are_none():
    twice = request()
    twice["headers"] *= 2
    assert not Names().fit(twice)


@pytest.mark.parametrize("origin", [None, "http://localhost:7860", "https://LOCALHOST:7860"])
def test_the_page_itself_may_ask(origin):
    assert Names().fit(request(origin=origin))


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:8000", "http://127.0.0.1:7860", "x"]
)
def test_other_sites_and_ports_may_not(origin):
    assert not Names().fit(request(origin=origin))


def test_with_a_host_the_machine_is_known_by_its_names_and_the_address_of_the_connection():
    names = Names("0.0.0.0")
    assert names.fit(request(f"{socket.gethostname()}:7860", server="10.0.0.7"))
    assert names.fit(request("10.0.0.7:7860", server="10.0.0.7"))
    assert not names.fit(request("evil.example", server="10.0.0.7"))
    assert not Names().fit(request(f"{socket.gethostname()}x", server="127.0.0.1"))


def test_a_name_that_is_allowed_is_answered_at_any_port_and_as_origin():
    names = Names(allowed=["Depth.example.org"])
    assert names.fit(request("depth.example.org"))
    assert names.fit(request("depth.example.org:8443", "https://depth.example.org:8443"))
    assert names.fit(request(PAGE, "https://depth.example.org"))  # a proxy may change Host
    assert not names.fit(request("www.depth.example.org"))


@pytest.mark.parametrize("name", ["", "https://a.example", "a.example:80", "a.example/x"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="--allowed-host takes a name such as"):
        Names(allowed=[name])
