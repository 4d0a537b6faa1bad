"""The processes of `tulay serve`, `web`, `worker` and `scheduler`, from settings to the end."""

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
from hub.redaction import RedactingFormatter
from hub.settings import Settings
from hub.sync.context import Hub
from hub.web.app import create_app
from hub.web.webhooks import ReceiverConfig
from hub.wiring import open_hub
from worker import local, remote
from worker.signals import Stop
from worker.supervise import supervise

log = logging.getLogger("tulay.serve")

#: Proxies whose word about the sender's address is taken.
_PROXIES = frozenset({"127.0.0.1", "::1"})


def serve(settings: Settings) -> None:
    """Runs everything in one process tree until SIGTERM or SIGINT; ends within a minute."""
    names = ["web", "worker"] if settings.redis_url is None else ["web", "worker", "scheduler"]
    # -P: a folder called `worker` where the command is given must not be taken for this package.
    entry = [sys.executable, "-P", "-m", "worker.child"]
    places = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    with Stop() as stop:
        supervise({name: [*entry, name, str(settings.path)] for name in names}, stop)


def web(settings: Settings) -> None:
    """Takes webhooks in until SIGTERM or SIGINT; needs neither Redis nor the systems."""
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
        # uvicorn ends in order and then repeats the signal it was ended by: it finds our handler.
        with Stop(), _listening(settings):
            uvicorn.Server(config).run()
        log.info("the receivers have ended")


@contextmanager
def _listening(settings: Settings) -> Iterator[None]:
    """Says what to do when nobody can listen, as uvicorn does not. Raises: SettingsError."""
    try:
        yield
    except SystemExit as error:
        raise SettingsError(
            f"the receivers cannot listen on {settings.web.host}:{settings.web.port}: another"
            " program has this port, perhaps another `tulay serve`; stop it, or set `web.port` in"
            " tulay.yaml"
        ) from error


def run_worker(settings: Settings, burst: bool = False) -> None:
    """Does what is due until SIGTERM or SIGINT (`burst`: until nothing is); over Redis if set."""
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
    """Ends this process in order when the one that holds its standard input has died."""

    def wait() -> None:
        # Not sys.stdin: a thread that waits in it cannot be left alone when the process ends.
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, name="tulay-parent", daemon=True).start()


def log_to_stderr(level: int = logging.INFO) -> None:
    """Sends the log of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    # Their lines are one per request or job; ours say the same in our words.
    for name in ("httpx", "httpcore", "rq.worker", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


#: What a child process can be.
CHILDREN: dict[str, Callable[[Settings], None]] = {
    "web": web,
    "worker": run_worker,
    "scheduler": run_scheduler,
}
