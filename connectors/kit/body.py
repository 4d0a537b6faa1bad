"""Reads a response body within limits of size and time, with one layer of compression.

Decompresses here, because a small compressed body may expand to any size unchecked.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator

import httpx

from connectors.kit.errors import ContractError, UnavailableError

#: Largest body, decompressed. A page of records has some megabytes.
MOST_BYTES = 64 << 20
#: Maximum seconds for a body, however steadily it arrives.
MOST_SECONDS = 300.0
#: Encodings that are requested and supported.
ENCODINGS = "gzip, deflate"

#: Maximum number of bytes decompressed in one step.
_STEP = 1 << 20


def read_body(
    response: httpx.Response,
    *,
    most_bytes: int = MOST_BYTES,
    most_seconds: float = MOST_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """Reads the body into the answer, decompressed, and returns it.

    Raises: ContractError when it is larger than allowed or has an encoding that was not requested,
    UnavailableError when it is cut off or takes too long.
    """
    if response.is_stream_consumed:
        return response.read()
    call = f"{response.request.method} {response.request.url.path}"
    until = clock() + most_seconds
    body = bytearray()
    try:
        for part in _decoded(response, call):
            body += part
            if len(body) > most_bytes:
                raise ContractError(
                    f"{call} answered with more than {most_bytes / (1 << 20):g} MiB;"
                    " read smaller pages"
                )
            if clock() > until:
                raise UnavailableError(
                    f"{call}: the answer does not end; wait, then make the same call again"
                )
    except (httpx.TransportError, zlib.error) as error:
        raise UnavailableError(
            f"{call}: the answer was cut off ({type(error).__name__}); wait, then repeat the call"
        ) from (None if isinstance(error, httpx.ProtocolError) else error)  # they quote headers
    finally:
        response.close()
    response.headers.pop("content-encoding", None)
    response.stream = httpx.ByteStream(bytes(body))
    response.is_stream_consumed = response.is_closed = False
    return response.read()


def _decoded(response: httpx.Response, call: str) -> Iterator[bytes]:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        yield from response.iter_raw()
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ContractError(f"{call} answered in an encoding that was not requested")
    unpack = None
    for raw in response.iter_raw():
        rest = raw
        while rest:
            if unpack is None:
                unpack = zlib.decompressobj(_bits(encoding, rest))
            yield unpack.decompress(rest, _STEP)
            rest = unpack.unconsumed_tail
            if unpack.eof:
                rest = b""  # data after the end is ignored
                break
        if unpack is not None and unpack.eof:
            return
    if unpack is not None:
        yield unpack.flush()  # of what was given all is read: a few bytes at most
        if unpack.eof:
            return
        raise UnavailableError(
            f"{call}: the answer was cut off; wait, then make the same call again"
        )


def _bits(encoding: str, start: bytes) -> int:
    """Returns zlib's name of the format: gzip, zlib, or the bare deflate of some servers."""
    if encoding != "deflate":
        return 16 + zlib.MAX_WBITS
    return zlib.MAX_WBITS if start[0] & 0x0F == 8 else -zlib.MAX_WBITS
