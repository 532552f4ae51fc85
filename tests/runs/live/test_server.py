import http.client
import socket
import threading

import pytest

from ddpg_jax.config import ConfigError
from ddpg_jax.runs.live.server import LOOPBACK, Content, address, listen, serve


def fail():
    raise ConfigError("run is gone")


@pytest.fixture(scope="module")
def port():
    """Of a server with three paths, which ends with the tests."""
    listener, ended = listen(), threading.Event()
    pages = {"/": lambda: Content("text/html", b"page"), "/data": lambda: Content("text/plain", b"1"), "/gone": fail}
    number = listener.getsockname()[1]
    assert address(listener) == f"http://127.0.0.1:{number}/"
    thread = threading.Thread(target=serve, args=(listener, pages, lambda quiet: ended.is_set()))
    thread.start()
    yield number
    ended.set()
    thread.join()


def ask(port, path="/", method="GET", **headers):
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer, answer.read()


def test_what_is_there_is_answered_and_kept_by_nobody_else(port):
    answer, body = ask(port)
    assert (answer.status, body, answer.getheader("Content-Type")) == (200, b"page", "text/html")
    assert answer.getheader("Cross-Origin-Resource-Policy") == "same-origin"
    assert answer.getheader("Access-Control-Allow-Origin") is None


def test_what_the_browser_has_is_not_sent_again(port):
    tag = ask(port)[0].getheader("ETag")
    answer, body = ask(port, If_None_Match=tag)
    assert (answer.status, body) == (304, b"")
    assert ask(port, "/data", If_None_Match=tag)[0].status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1.evil.example:{port}", ""]
)
def test_a_name_that_is_not_this_machine_is_refused(port, host):
    answer, body = ask(port, "/data", Host=host.format(port=port))
    assert answer.status == 421
    assert body != b"1"


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}"])
def test_both_names_of_this_machine_are_answered(port, host):
    assert ask(port, "/data", Host=host.format(port=port))[1] == b"1"


@pytest.mark.parametrize("path", ["/config.json", "/../config.json", "/data?x=1", "/data/", "data"])
def test_nothing_else_can_be_asked_for(port, path):
    assert ask(port, path)[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "DELETE", "OPTIONS"])
def test_it_can_only_be_read(port, method):
    assert ask(port, "/data", method)[0].status == 501


def test_what_cannot_be_made_is_said(port):
    answer, body = ask(port, "/gone")
    assert answer.status == 503
    assert b"run is gone" in body


def test_a_connection_that_says_nothing_keeps_nobody_from_being_answered(port):
    with socket.create_connection((LOOPBACK, port)):
        assert ask(port, "/data")[1] == b"1"


def test_nothing_but_the_loopback_interface_is_listened_on():
    with listen() as listener:
        assert listener.getsockname()[0] == LOOPBACK
