"""The HTTP edge on real sockets: what a hostile or broken server cannot do to us."""

from __future__ import annotations

import gzip
import logging
import socket
import ssl
import threading
import traceback
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.kit.auth import BearerAuth, OAuthAuth
from connectors.kit.body import read_body
from connectors.kit.budget import Budget
from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    CredentialsError,
    RateLimitedError,
    RecordMissingError,
    RecordRejectedError,
    UnavailableError,
)
from connectors.kit.http import Http, segment

Answer = bytes | Callable[[socket.socket], None]


def reply(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """Returns a whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, "Connection: close", *headers, "", ""]).encode() + body


@dataclass
class Raw:
    """A server that sends the next of its answers on each connection, and keeps the requests."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with peer:
                try:
                    one = self.tls.wrap_socket(peer, server_side=True) if self.tls else peer
                    self._answer(one)
                except OSError:  # the client hung up, as some tests intend
                    continue

    def _answer(self, peer: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            part = peer.recv(65536)
            if not part:
                return
            request += part
        head, _, body = request.partition(b"\r\n\r\n")
        length = [
            int(line[16:])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length: ")
        ]
        while length and len(body) < length[0]:
            body += peer.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer(peer)
        else:
            peer.sendall(answer)

    def close(self) -> None:
        # shutdown wakes the thread that is blocked in accept.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=10)


@pytest.fixture
def raw() -> Iterator[Raw]:
    server = Raw()
    yield server
    server.close()


def http(server: Raw, **options: Any) -> Http:
    known = {"auth": None, "budget": Budget(10_000, 1.0, sleep=lambda _: None), **options}
    return Http(server.url, **known)


def get(server: Raw, **options: Any) -> Any:
    """Calls once: no retry hides the effect of a single answer."""
    client = http(server, **options)
    try:
        return client.json("GET", "/things", repeatable=True)
    finally:
        client.close()


# -- size ----------------------------------------------------------------------------------------


def test_compressed_answers_are_understood(raw: Raw) -> None:
    bare = zlib.compressobj(wbits=-15)
    raw.answers = [
        reply(gzip.compress(b'{"a": 1}'), "Content-Encoding: gzip"),
        reply(zlib.compress(b'{"a": 1}'), "Content-Encoding: deflate"),
        reply(bare.compress(b'{"a": 1}') + bare.flush(), "Content-Encoding: deflate"),
        reply(b'{"a": 1}', "Content-Encoding: identity"),
    ]
    client = http(raw)
    assert [client.json("GET", "/", repeatable=True) for _ in range(4)] == [{"a": 1}] * 4
    client.close()
    assert b"accept-encoding: gzip, deflate\r\n" in raw.requests[0].lower()


def test_an_answer_of_exactly_the_limit_is_taken(raw: Raw) -> None:
    body = b'"' + b"a" * 98 + b'"'
    raw.answers = [reply(body)]
    assert get(raw, most_bytes=100) == "a" * 98
    with pytest.raises(ContractError, match="more than"):
        get(raw, most_bytes=99)


def endless(peer: socket.socket) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        peer.sendall(b"10000\r\n" + b"[" * 0x10000 + b"\r\n")


def test_an_endless_answer_is_left(raw: Raw) -> None:
    raw.answers = [endless]
    with pytest.raises(ContractError, match="more than 1 MiB"):
        get(raw, most_bytes=1 << 20)


def test_an_answer_that_drips_for_ever_is_left() -> None:
    """Each part comes before the time-out of a single one."""
    moments = iter(range(0, 10_000, 25))

    class Drip(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b" "

    response = httpx.Response(200, stream=Drip(), request=httpx.Request("GET", "https://a/things"))
    with pytest.raises(UnavailableError, match="the answer does not end"):
        read_body(response, clock=lambda: next(moments))
    assert next(moments) < 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_does_not_go_off(raw: Raw, encoding: str) -> None:
    pack = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    bomb = b"".join(pack.compress(b" " * (1 << 20)) for _ in range(200)) + pack.flush()
    assert len(bomb) < 300_000
    raw.answers = [reply(bomb, f"Content-Encoding: {encoding}")]
    client = http(raw, most_bytes=4 << 20)
    tracemalloc.start()
    with pytest.raises(ContractError, match="more than 4 MiB"):
        client.json("GET", "/things", repeatable=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    client.close()
    assert peak < 16 << 20


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "compress"])
def test_unrequested_encodings_are_refused(raw: Raw, encoding: str) -> None:
    """Nested encodings, and those that were not requested, are refused."""
    twice = gzip.compress(gzip.compress(b" " * (1 << 20)))
    raw.answers = [reply(twice, f"Content-Encoding: {encoding}")]
    with pytest.raises(ContractError, match="encoding"):
        get(raw)


def test_the_token_endpoint_has_the_same_bounds(raw: Raw) -> None:
    bomb = gzip.compress(b" " * (20 << 20))
    raw.answers = [reply(bomb, "Content-Encoding: gzip")]
    auth = OAuthAuth(raw.url + "/token", client_id="id", client_secret="s", refresh_token="r")
    with pytest.raises(ContractError, match="more than 1 MiB"):
        get(raw, auth=auth)


# -- broken off ----------------------------------------------------------------------------------


def reset(peer: socket.socket) -> None:
    """Half an answer, then the connection is closed."""
    peer.sendall(reply(b'{"results": [', length=500))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


BROKEN: dict[str, Answer] = {
    "reset in mid-body": reset,
    "closed in mid-body": reply(b'{"results": [', length=500),
    "closed in mid-header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "closed at once": b"",
    "truncated JSON": reply(b'{"results": ['),
    "truncated gzip": reply(gzip.compress(b'{"results": []}' * 50)[:-12], "Content-Encoding: gzip"),
    "no gzip at all": reply(b'{"results": []}', "Content-Encoding: gzip"),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "5xx": reply(b"<html>", "Content-Type: text/html", status="502 Bad Gateway"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_answer_that_breaks_off_is_repeated(raw: Raw, what: str) -> None:
    raw.answers = [BROKEN[what], reply(b'{"results": []}')]
    assert get(raw) == {"results": []}


@pytest.mark.parametrize("what", BROKEN)
def test_a_write_that_breaks_off_is_in_doubt(raw: Raw, what: str) -> None:
    raw.answers = [BROKEN[what]]
    client = http(raw)
    with pytest.raises(UnavailableError) as raised:
        client.json("POST", "/things", json={"a": 1}, repeatable=False)
    client.close()
    assert not isinstance(raised.value, RateLimitedError)
    assert len(raw.requests) == 1, "a write whose outcome is unknown is not repeated"


# -- what is not the API -------------------------------------------------------------------------

PAGE = b"<!DOCTYPE html><html><body>Sorry, canary-page</body></html>"


def test_a_web_page_is_no_data(raw: Raw) -> None:
    raw.answers = [reply(PAGE, "Content-Type: text/html")]
    with pytest.raises(ContractError, match="without valid JSON"):
        get(raw)


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone", "400 Bad", "422 No", "412 Old"])
def test_a_proxy_does_not_decide_about_records(raw: Raw, status: str) -> None:
    """A status of a proxy does not decide about records."""
    raw.answers = [reply(PAGE, "Content-Type: text/html; charset=utf-8", status=status)]
    client = http(raw)
    with pytest.raises(ContractError, match="web page"):
        client.request("GET", "/things/1", repeatable=True, stream="things", key="1")
    raw.answers = [reply(b'{"message": "no"}', "Content-Type: application/json", status=status)]
    with pytest.raises(ConnectorError) as raised:
        client.request("GET", "/things/1", repeatable=True, stream="things", key="1")
    client.close()
    assert not isinstance(raised.value, ContractError)


def test_json_under_another_name_is_still_json(raw: Raw) -> None:
    raw.answers = [reply(b'{"a": 1}', "Content-Type: text/plain")]
    assert get(raw) == {"a": 1}


# -- redirects -----------------------------------------------------------------------------------


@pytest.fixture
def other() -> Iterator[Raw]:
    server = Raw([reply(b'{"a": "from elsewhere"}')])
    yield server
    server.close()


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_host_gets_no_call(raw: Raw, other: Raw, status: str, method: str) -> None:
    raw.answers = [reply(b"", f"Location: {other.url}/things", status=status)]
    client = http(raw, auth=BearerAuth("canary-token"))
    with pytest.raises(ContractError, match="redirected"):
        client.request(method, "/things", json={"a": 1}, repeatable=True)
    client.close()
    assert other.requests == []


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
def test_a_write_is_never_repeated_by_a_redirect(raw: Raw, status: str) -> None:
    raw.answers = [reply(b"", "Location: /elsewhere", status=status), reply(b"{}")]
    client = http(raw)
    with pytest.raises(ContractError, match="redirected"):
        client.request("POST", "/things", json={"a": 1}, repeatable=False)
    client.close()
    assert len(raw.requests) == 1


@pytest.mark.parametrize(
    "location", ["//evil.example/x", "https://127.0.0.1/x", "http://[", "http://user@evil.example/"]
)
def test_tricky_redirects_are_not_followed(raw: Raw, location: str) -> None:
    raw.answers = [reply(b"", f"Location: {location}", status="302 F")]
    with pytest.raises(ContractError, match="redirected"):
        get(raw)


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A self-signed certificate for this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_an_untrusted_certificate_is_refused(self_signed: ssl.SSLContext) -> None:
    server = Raw([reply(b"{}")], tls=self_signed)
    client = Http(
        f"https://127.0.0.1:{server.port}",
        auth=BearerAuth("canary-token"),
        budget=Budget(sleep=lambda _: None),
    )
    with pytest.raises(UnavailableError, match=r"certificate of 127\.0\.0\.1 is not trusted"):
        client.request("GET", "/things", repeatable=False)
    client.close()
    server.close()
    assert server.requests == []


# -- keys in paths -------------------------------------------------------------------------------


def test_any_key_stays_one_segment(raw: Raw) -> None:
    raw.answers = [reply(b"{}")]
    client = http(raw)

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        key=st.text(max_size=12) | st.sampled_from(["..", ".", "", "a/../b", "?x=1#y", "\r\nX: 1"])
    )
    def check(key: str) -> None:
        raw.requests.clear()
        try:
            path = f"/things/{segment(key, stream='things')}"
        except RecordMissingError:
            assert key in ("", ".", "..") or "\0" in key
            return
        client.request("GET", path, repeatable=False, stream="things", key=key)
        line, *headers = raw.requests[0].split(b"\r\n")
        method, sent, version = line.split(b" ")
        assert (method, version) == (b"GET", b"HTTP/1.1")
        assert sent.count(b"/") == 2
        assert not set(b"?#\r\n") & set(sent)
        assert not [one for one in headers if one.startswith(b"X:")]

    check()
    client.close()


@pytest.mark.parametrize("key", ["..", ".", "%2e%2E", "../invoices", "a\nb", "a\0b", "a/.."])
def test_an_unquoted_key_cannot_climb(raw: Raw, key: str) -> None:
    raw.answers = [reply(b"{}")]
    client = http(raw)
    with pytest.raises(RecordMissingError):
        client.request("DELETE", f"/things/{key}", repeatable=True, stream="things", key=key)
    with pytest.raises(ContractError):
        client.request("GET", f"/things/{key}/parts", repeatable=True)
    client.close()
    assert raw.requests == []


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\0", "ü", "a\nb"])
def test_no_header_is_smuggled_in(raw: Raw, value: str) -> None:
    raw.answers = [reply(b"{}")]
    client = http(raw)
    with pytest.raises(ContractError) as raised:
        client.request("POST", "/things", headers={"X-Once": value}, repeatable=False)
    client.close()
    assert raw.requests == []
    assert "X-Evil" not in "".join(traceback.format_exception(raised.value))


# -- nothing secret is said ----------------------------------------------------------------------

CANARIES = ("canary-token", "canary-payload", "canary-query", "canary-page", "canary-answer")
SPOKEN: dict[str, Answer] = BROKEN | {
    "page": reply(PAGE, "Content-Type: text/html"),
    "not found": reply(b'{"message": "canary-answer"}', status="404 Not Found"),
    "refused": reply(b'{"message": "canary-answer"}', status="400 Bad"),
    "forbidden": reply(b'{"message": "canary-answer"}', status="403 No"),
    "odd": reply(b'{"message": "canary-answer"}', status="418 Teapot"),
    "too many": reply(b"canary-answer", "Retry-After: 3600", status="429 Slow"),
    "header garbage": b"HTTP/1.1 200 OK\r\ncanary-answer\r\n\r\n",
    "status garbage": b"HTTP/1.1 canary-answer\r\n\r\n",
    "broken JSON": reply(b'{"a": canary-answer}'),
    "redirect": reply(b"", "Location: https://canary-answer@evil.example/", status="302 F"),
}


@pytest.mark.parametrize("what", SPOKEN)
def test_errors_and_logs_contain_no_secrets(
    raw: Raw, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors and logs contain no payload and no secret."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpcore").setLevel(logging.WARNING)  # as the service does
    raw.answers = [SPOKEN[what]]
    client = http(raw, auth=BearerAuth("canary-token"), persistence=0.0)
    with pytest.raises(ConnectorError) as raised:
        client.json(
            "PUT",
            "/things/7",
            json={"name": "canary-payload"},
            params={"q": "canary-query"},
            repeatable=False,
            stream="things",
            key="7",
        )
    client.close()
    said = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + caplog.text
    assert not [canary for canary in CANARIES if canary in said]
    assert b"canary-token" in raw.requests[0]  # otherwise the test would show nothing
    assert b"canary-query" in raw.requests[0]


def test_a_refused_record_is_named_by_key_only(raw: Raw) -> None:
    raw.answers = [reply(b'{"message": "canary-answer"}', status="400 Bad")]
    client = http(raw)
    with pytest.raises(RecordRejectedError, match="things 7: refused"):
        client.request("GET", "/things/7", repeatable=True, stream="things", key="7")
    client.close()


def test_a_password_in_an_address_is_not_shown() -> None:
    address = "http://user:" + CANARIES[0] + "@["
    with pytest.raises(CredentialsError) as raised:
        Http(address, auth=None, budget=Budget())
    assert "canary" not in "".join(traceback.format_exception(raised.value))
