"""The processes of `tulay serve`, `web`, `worker` and `scheduler`, from settings to their end."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvicorn

from hub.errors import SettingsError
from hub.logs import LogConfig
from hub.settings import Settings
from hub.sync.context import Hub
from hub.web.receivers import create_app
from hub.web.webhooks import ReceiverConfig
from hub.wiring import open_hub
from worker import local, remote
from worker.signals import Stop
from worker.supervise import supervise

log = logging.getLogger("tulay.serve")

#: Proxies whose header with the sender's address is trusted.
_PROXIES = frozenset({"127.0.0.1", "::1"})


def serve(settings: Settings, log_config: LogConfig | None = None) -> None:
    """Runs everything in one process tree until SIGTERM or SIGINT; ends within a minute.

    Its processes log as `log_config` says.
    """
    names = ["web", "worker"] if settings.redis_url is None else ["web", "worker", "scheduler"]
    # -P: a folder called `worker` in the current directory must not shadow this package.
    entry = [sys.executable, "-P", "-m", "worker.child"]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    rest = [str(settings.path), *(log_config or LogConfig()).words()]
    with Stop() as stop:
        supervise({name: [*entry, name, *rest] for name in names}, stop)


def web(settings: Settings) -> None:
    """Receives webhooks until SIGTERM or SIGINT; needs neither Redis nor the systems."""
    with _hub(settings) as hub:
        calling = (name for name, c in settings.connections.items() if c.manifest.webhooks)
        receivers = ReceiverConfig(
            {name: one.connector for name, one in hub.connections.items()},
            frozenset(calling),
            public_url=settings.web.public_url,
            proxies=_PROXIES,
        )
        config = uvicorn.Config(
            create_app(hub, receivers),
            host=settings.web.host,
            port=settings.web.port,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=10,
        )
        # uvicorn ends in order and then raises its signal again, which our handler catches.
        with Stop(), _listening(settings):
            uvicorn.Server(config).run()
        log.info("the receivers have ended")


@contextmanager
def _listening(settings: Settings) -> Iterator[None]:
    """Explains that the port is in use, which uvicorn does not. Raises: SettingsError."""
    try:
        yield
    except SystemExit as error:
        raise SettingsError(
            f"the receivers cannot listen on {settings.web.host}:{settings.web.port}: another"
            " program has this port, perhaps another `tulay serve`; stop it, or set `web.port` in"
            " tulay.yaml"
        ) from error


def run_worker(settings: Settings, burst: bool = False) -> None:
    """Runs what is due until SIGTERM or SIGINT (`burst`: until nothing is), over Redis if set."""
    with _hub(settings) as hub:
        with Stop() as stop:
            if settings.redis_url is not None:
                remote.work(hub, settings.redis_url.get_secret_value(), stop, burst=burst)
                return
            home = local.loop(hub, settings.schedules, stop, burst=burst)
        if not home:
            logging.shutdown()
            os._exit(0)


def run_scheduler(settings: Settings) -> None:
    """Queues what is due until SIGTERM or SIGINT. Raises: SettingsError without `redis_url`."""
    if settings.redis_url is None:
        raise SettingsError(
            f"{settings.path}: the scheduler needs `redis_url`; without it `tulay serve` or"
            " `tulay worker` finds what is due by itself"
        )
    with _hub(settings) as hub, Stop() as stop:
        remote.schedule(hub, settings.schedules, settings.redis_url.get_secret_value(), stop)


@contextmanager
def _hub(settings: Settings) -> Iterator[Hub]:
    hub = open_hub(settings)
    try:
        yield hub
    finally:
        hub.close()


def end_with_parent() -> None:
    """Ends this process in order when the holder of its standard input has died."""

    def wait() -> None:
        # Not sys.stdin: a thread that waits in it would block the end of the process.
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, name="tulay-parent", daemon=True).start()


#: The kinds of child processes.
CHILDREN: dict[str, Callable[[Settings], None]] = {
    "web": web,
    "worker": run_worker,
    "scheduler": run_scheduler,
}
