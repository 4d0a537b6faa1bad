"""What twins share: a settable clock, a request log, fault switches, a loopback server.

A twin is a local emulator of a system, answering over real HTTP. This module knows no system; it
keeps no payloads and no secrets: the log has methods, paths and statuses only.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.kit.faults import Chances

#: What can go wrong. The wording of `throttled`, `quota` and `down` is the vendor's (see `Voice`).
#: throttled  429, not executed            lost       executed, then an error status comes back
#: quota      403, not executed            timeout    executed, then silence for `seconds`
#: down       5xx, not executed            reset      executed, connection closed in mid-body
#: html       a proxy's page, not executed truncated  executed, complete HTTP but half the JSON
#: slow       answers after `seconds`; comes together with any other
HttpFault = Literal[
    "throttled", "quota", "down", "html", "lost", "timeout", "reset", "truncated", "slow"
]
EXECUTED: frozenset[str] = frozenset({"lost", "timeout", "reset", "truncated"})
STATUSES: dict[str, int] = {"throttled": 429, "quota": 403, "down": 503, "lost": 502, "html": 502}
#: What the faults of `connectors.kit.faults` are on the line.
LINE: dict[str, tuple[HttpFault, dict[str, Any]]] = {
    "throttled": ("throttled", {"retry_after": 1}),
    "abrupt": ("throttled", {}),
    "quota": ("quota", {"retry_after": 1}),
    "down": ("down", {}),
    "lost": ("lost", {}),
    "timeout": ("timeout", {"seconds": 0.3}),
    "reset": ("reset", {}),
    "truncated": ("truncated", {}),
    "html": ("html", {"late": None}),
    "slow": ("slow", {"seconds": 0.2}),
}


def _real() -> datetime:
    return datetime.now(UTC)


class Clock:
    """Returns aware UTC times: real time until `set`, then fixed until moved.

    `source` is the real time; `skew` is its constant error.
    """

    def __init__(
        self, at: datetime | None = None, *, source: Callable[[], datetime] = _real
    ) -> None:
        self._still = at
        self._source = source
        self._offset = timedelta()
        self.skew = timedelta()

    def now(self) -> datetime:
        """Returns the twin's time."""
        return (self._still or self._source() + self._offset) + self.skew

    def ms(self) -> int:
        """Returns that time as milliseconds since 1970."""
        return int(self.now().timestamp() * 1000)

    def set(self, at: datetime) -> None:
        """Stops the clock at an aware time."""
        self._still = at.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        """Moves a still clock, or shifts a running one."""
        if self._still is not None:
            self._still += by
        else:
            self._offset += by

    def run(self) -> None:
        """Follows real time again."""
        self._still, self._offset = None, timedelta()


@dataclass(frozen=True, slots=True)
class Entry:
    """One answered request: no query, no headers, no bodies."""

    method: str
    path: str
    #: 0: the connection was broken on purpose.
    status: int
    #: The faults that struck.
    faults: tuple[str, ...] = ()
    #: Milliseconds from the first byte to the answer.
    took_ms: float = 0.0


class RequestLog:
    """Keeps the last `keep` requests, and counts all of them."""

    def __init__(self, keep: int = 10_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)
        self.count = 0

    def add(self, entry: Entry) -> None:
        """Records one answered request."""
        self._entries.append(entry)
        self.count += 1

    def entries(self, route: str = "*") -> list[Entry]:
        """Returns the requests whose `METHOD /path` matches a glob, oldest first."""
        return [e for e in list(self._entries) if fnmatchcase(f"{e.method} {e.path}", route)]

    def clear(self) -> None:
        """Forgets them."""
        self._entries.clear()
        self.count = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault switch: what happens, where, and how often."""

    kind: HttpFault
    #: A glob over `METHOD /path`, such as `POST */batch/create`.
    route: str = "*"
    probability: float = 1.0
    #: Number of times it strikes; None: always.
    times: int | None = None
    #: None: the usual one of the kind.
    status: int | None = None
    #: Seconds in the Retry-After header of `throttled` and `down`; None: no header.
    retry_after: float | None = None
    #: Duration of `slow` and `timeout`.
    seconds: float = 30.0
    #: `down` and `html` strike after the call was executed, not before; None: decided at random.
    late: bool | None = False
    #: Passed to the vendor's error bodies, such as which limit was reached.
    detail: str = ""

    def code(self) -> int:
        """Returns the status it answers with."""
        return self.status or STATUSES.get(self.kind, 500)

    @property
    def executed(self) -> bool:
        """Returns True if the call is executed anyway."""
        return bool(self.late) or self.kind in EXECUTED


class Faults:
    """The active faults; a seeded random generator makes a run repeatable."""

    def __init__(self, seed: int = 0) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - a dice, not a secret
        self._lock = threading.Lock()
        self._queue: list[tuple[Fault, int | None]] = []

    def add(self, kind: HttpFault, route: str = "*", **options: Any) -> None:
        """Switches a fault on; options are the fields of `Fault`."""
        fault = Fault(kind, route, **options)
        with self._lock:
            self._queue.append((fault, fault.times))

    def clear(self) -> None:
        """Switches all of them off."""
        with self._lock:
            self._queue.clear()

    def inject_faults(self, chances: Chances, route: str = "*", *, seed: int = 0) -> None:
        """Switches on the HTTP form of these faults, and all others off, with a new generator."""
        with self._lock:
            self._dice = random.Random(seed)  # noqa: S311 - a dice, not a secret
            self._queue.clear()
        for name, chance in chances.items():
            if name in LINE:
                kind, options = LINE[name]
                self.add(kind, route, probability=chance, **options)

    def draw(self, method: str, path: str) -> list[Fault]:
        """Returns what strikes this request: all slow ones and at most one other."""
        struck: list[Fault] = []
        with self._lock:
            kept: list[tuple[Fault, int | None]] = []
            for fault, left in self._queue:
                if self._strikes(fault, f"{method} {path}", struck):
                    late = self._dice.random() < 0.5 if fault.late is None else fault.late
                    struck.append(replace(fault, late=late))
                    left = None if left is None else left - 1
                if left != 0:
                    kept.append((fault, left))
            self._queue = kept
        return struck

    def _strikes(self, fault: Fault, call: str, struck: list[Fault]) -> bool:
        if fault.kind != "slow" and any(other.kind != "slow" for other in struck):
            return False
        if not fnmatchcase(call, fault.route):
            return False
        return fault.probability >= 1.0 or self._dice.random() < fault.probability


#: The vendor's own words for an error status: body, content type is JSON.
Voice = Callable[[Fault], bytes]

_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"


class _Capture:
    """Captures an application's response instead of sending it."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", []))
        else:
            self.body += message.get("body", b"")


class Faulty:
    """An application with faults and a request log around it."""

    def __init__(
        self, app: ASGIApp, *, clock: Clock, faults: Faults, log: RequestLog, voice: Voice
    ) -> None:
        self._app = app
        self._clock = clock
        self._faults = faults
        self._log = log
        self._voice = voice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, with or without a fault."""
        if scope["type"] != "http":
            return
        struck = self._faults.draw(scope["method"], scope["path"])
        noted = self._noted(scope, send, struck)
        await self._answer(struck, (scope, receive, noted))

    def _noted(self, scope: Scope, send: Send, struck: list[Fault]) -> Send:
        """Logs the response just before it is sent, and dates it by the twin's clock."""
        begun = time.perf_counter()
        kinds = tuple(fault.kind for fault in struck)
        broken = bool({"reset", "timeout"} & {*kinds})

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = (time.perf_counter() - begun) * 1000
                status = 0 if broken else message["status"]
                self._log.add(Entry(scope["method"], scope["path"], status, kinds, took))
                date = (b"date", format_datetime(self._clock.now(), usegmt=True).encode())
                message = {**message, "headers": [*message.get("headers", ()), date]}
            await send(message)

        return noted

    async def _answer(self, struck: list[Fault], call: tuple[Scope, Receive, Send]) -> None:
        scope, receive, send = call
        for fault in struck:
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
        bad = next((fault for fault in struck if fault.kind != "slow"), None)
        if bad is None:
            await self._app(scope, receive, send)
        elif not bad.executed:
            await _drain(receive)
            await self._refuse(bad, send)
        else:
            capture = _Capture()
            await self._app(scope, receive, capture.send)
            await self._spoil(bad, capture, (receive, send))

    async def _refuse(self, fault: Fault, send: Send) -> None:
        page = fault.kind == "html"
        body = _PAGE if page else self._voice(fault)
        kind = b"text/html; charset=utf-8" if page else b"application/json;charset=utf-8"
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        if fault.retry_after is not None:
            headers.append((b"retry-after", f"{fault.retry_after:g}".encode()))
        await _send(send, fault.code(), headers, body)

    async def _spoil(self, fault: Fault, good: _Capture, ends: tuple[Receive, Send]) -> None:
        receive, send = ends
        half = good.body[: len(good.body) // 2]
        if fault.kind == "timeout":
            await _silence(receive, fault.seconds)
            await _send(send, 504, [(b"content-type", b"text/html")], _PAGE)
        elif fault.kind == "reset":
            start = {"type": "http.response.start", "status": good.status, "headers": good.headers}
            await send(start)
            await send({"type": "http.response.body", "body": half, "more_body": True})
            # returning with a body promised and not sent closes the connection
        elif fault.kind == "truncated":
            headers = [h for h in good.headers if h[0].lower() != b"content-length"]
            headers.append((b"content-length", str(len(half)).encode()))
            await _send(send, good.status, headers, half)
        else:
            await self._refuse(fault, send)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _drain(receive: Receive) -> None:
    while (message := await receive())["type"] == "http.request":
        if not message.get("more_body"):
            return


async def _silence(receive: Receive, seconds: float) -> None:
    """Waits until the caller gives up, but not longer than this."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                await asyncio.sleep(0)
    except TimeoutError:
        return


class _Prompt(uvicorn.Server):
    """Stops immediately on request; the original checks ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Returns True once it answers and can be stopped."""
        return self._loop is not None

    async def main_loop(self) -> None:
        """Waits until it has stopped."""
        self._loop = asyncio.get_running_loop()
        await self._end.wait()

    def end(self) -> None:
        """Stops it, from any thread."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # closed in this very moment
                self._loop.call_soon_threadsafe(self._end.set)


class Server:
    """Serves one application on loopback, in a thread or in the foreground; refuses other hosts."""

    def __init__(self, app: ASGIApp, *, port: int = 0) -> None:
        # the protocol is named so that asyncio switches Nagle's algorithm off, else 40 ms a reply
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen(128)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            log_level="critical",
            date_header=False,  # ours is by the twin's clock
            timeout_graceful_shutdown=1,
        )
        config.load()
        self._config = config
        self._uvicorn = _Prompt(config)
        self._thread: threading.Thread | None = None

    def start(self) -> Server:
        """Answers from a background thread as soon as this returns."""
        run = self._uvicorn.run
        self._thread = threading.Thread(
            target=run, kwargs={"sockets": [self._socket]}, name="twin", daemon=True
        )
        self._thread.start()
        while not self._uvicorn.ready and self._thread.is_alive():
            time.sleep(0.005)
        return self

    def run(self) -> None:
        """Answers in the foreground until interrupted."""
        uvicorn.Server(self._config).run(sockets=[self._socket])

    def stop(self) -> None:
        """Stops the server and frees the port. Idempotent."""
        self._uvicorn.end()
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._socket.close()
