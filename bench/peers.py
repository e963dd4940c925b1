"""The servers that the hub is compared with.

The first docstring line of each function names the features that the server lacks.
"""

import base64
import hashlib
import hmac
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import builds, servers
from bench.builds import Unavailable
from bench.servers import Server

_NCHAN: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_NGINX: Final = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/server.log; load_module MODULE;
worker_rlimit_nofile 65536;
events {{ worker_connections 30000; }}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; keepalive_requests 1000000; nchan_shared_memory_size 128M;
  server {{ listen 127.0.0.1:{port} backlog=2048;
    location /stream {{ nchan_subscriber eventsource; nchan_channel_id all; nchan_eventsource_ping_interval 15; }}
    location /broadcast {{ nchan_publisher; nchan_channel_id all; nchan_message_buffer_length 20; }} }} }}
"""
_MERCURE_KEY: Final = b"a key for the benchmark, not a secret"
_SIMPLE_PATHS: Final = ("--sub", "/stream", "--pub", "/broadcast")


@dataclass(frozen=True)
class Peer:
    """A running server, and the options of the load client for it."""

    server: Server
    arguments: Sequence[str] = ()


@dataclass(frozen=True)
class PeerLauncher:
    """How to start a peer, and the options of the load client for it; `{port}` and `{folder}` are filled in."""

    version: str
    command: Sequence[str]
    arguments: Sequence[str] = _SIMPLE_PATHS
    env: Mapping[str, str] = field(default_factory=dict)
    config: str = ""

    @contextmanager
    def start(self) -> Iterator[Peer]:
        """Run the server in a temporary folder that contains its configuration as `config`."""
        with TemporaryDirectory() as name:
            folder, port = Path(name), servers.find_free_port()
            (folder / "config").write_text(self.config.format(port=port, folder=folder))
            command = [part.format(port=port, folder=folder) for part in self.command]
            env = {key: value.format(port=port, folder=folder) for key, value in self.env.items()}
            with servers.run_server(command, port, folder, env) as process:
                yield Peer(Server(f"http://127.0.0.1:{port}", process.pid, folder), self.arguments)


def prepare_naive() -> PeerLauncher:
    """One queue and one sse-starlette response per stream: in memory only; no users, log or replay."""
    env = {"NAIVE_FILE": "{folder}/naive.db", "NAIVE_PORT": "{port}"}
    return PeerLauncher(
        f"sse-starlette {version('sse-starlette')}", [sys.executable, "-m", "bench.naive_server"], env=env
    )


def prepare_nchan() -> PeerLauncher:
    """A module of nginx in C, one process: in memory only; no users or checks; replays the last 20 events."""
    nginx = builds.find_program("nginx")
    if not _NCHAN.exists():
        raise Unavailable("libnginx-mod-nchan is not installed")
    module_version = builds.run("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan").partition(":")[2]
    nginx_version = builds.run(nginx, "-v").rpartition("/")[2]
    command = [nginx, "-p", "{folder}", "-c", "{folder}/config"]
    return PeerLauncher(
        f"{module_version} (nginx {nginx_version})", command, config=_NGINX.replace("MODULE", str(_NCHAN))
    )


def prepare_fastapi() -> PeerLauncher:
    """EventSourceResponse of FastAPI with one queue per stream: in memory only; no users, log or replay."""
    python, version = builds.build_python()
    return PeerLauncher(version, [python, str(builds.PEERS_SRC / "fastapi_app.py")], env={"PORT": "{port}"})


def prepare_better_sse() -> PeerLauncher:
    """One better-sse channel for all streams: in memory only; no users, log or replay."""
    folder, version = builds.build_node("better-sse")
    return PeerLauncher(version, [builds.find_program("node"), str(folder / "better_sse.mjs")], env={"PORT": "{port}"})


def prepare_socketio() -> PeerLauncher:
    """socket.io over WebSocket, one namespace: in memory only; no users, log or replay."""
    folder, version = builds.build_node("socket.io")
    socket = ("--socketio", "--sub", "/socket.io/?EIO=4&transport=websocket", "--pub", "/broadcast")
    return PeerLauncher(
        version, [builds.find_program("node"), str(folder / "socketio.mjs")], socket, {"PORT": "{port}"}
    )


def prepare_mercure() -> PeerLauncher:
    """Mercure without Caddy: in memory only; no users (publishers have a JWT), log, replay or global order.

    `go install` cannot build the variant with Caddy, because its module file replaces a dependency.
    """
    program, version = builds.build_go(
        "github.com/dunglas/mercure/cmd/mercure", "v0.24.2", "deprecated_server,deprecated_transport"
    )
    env = {
        "ADDR": "127.0.0.1:{port}",
        "TRANSPORT_URL": "local://local",
        "PUBLISHER_JWT_KEY": _MERCURE_KEY.decode(),
        "ALLOW_ANONYMOUS": "1",
        "HEARTBEAT_INTERVAL": "15s",
        "READ_TIMEOUT": "0s",
    }
    auth = f"Authorization: Bearer {_publisher_token()}\r\n"
    form = ("--type", "application/x-www-form-urlencoded", "--before", "topic=all&data=", "--auth", auth)
    path = "/.well-known/mercure"
    return PeerLauncher(version, [program], ("--sub", f"{path}?topic=all", "--pub", path, *form), env)


def prepare_centrifugo() -> PeerLauncher:
    """Unidirectional SSE of Centrifugo in `insecure` mode: in memory only; no users, log, history or presence."""
    program, version = builds.build_go("github.com/centrifugal/centrifugo/v6", "v6.9.1")
    # The load client uses its paths as printf formats.
    connect = "/connection/uni_sse?cf_connect=%%7B%%22subs%%22%%3A%%7B%%22all%%22%%3A%%7B%%7D%%7D%%7D"
    publish = ("--pub", "/api/publish", "--before", '{"channel":"all","data":', "--after", "}")
    env = {
        "CENTRIFUGO_HTTP_SERVER_ADDRESS": "127.0.0.1",
        "CENTRIFUGO_HTTP_SERVER_PORT": "{port}",
        "CENTRIFUGO_CLIENT_INSECURE": "true",
        "CENTRIFUGO_CLIENT_PING_INTERVAL": "15s",
        "CENTRIFUGO_HTTP_API_INSECURE": "true",
        "CENTRIFUGO_UNI_SSE_ENABLED": "true",
        "CENTRIFUGO_USAGE_STATS_DISABLED": "true",
        "CENTRIFUGO_LOG_LEVEL": "error",
    }
    return PeerLauncher(version, [program], ("--sub", connect, *publish), env)


def _publisher_token() -> str:
    """Return a JWT (HS256) that allows publishing to every topic."""
    parts = b'{"alg":"HS256","typ":"JWT"}', b'{"mercure":{"publish":["*"]}}'
    content = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(_MERCURE_KEY, content, hashlib.sha256)).rstrip(b"=")
    return f"{content.decode()}.{signature.decode()}"


PEERS: Final[Mapping[str, Callable[[], PeerLauncher]]] = {
    "naive": prepare_naive,
    "nchan": prepare_nchan,
    "fastapi": prepare_fastapi,
    "better-sse": prepare_better_sse,
    "socket.io": prepare_socketio,
    "mercure": prepare_mercure,
    "centrifugo": prepare_centrifugo,
}


def get_limitations(name: str) -> str:
    """Return what a peer is and which features it lacks."""
    return (PEERS[name].__doc__ or "").splitlines()[0]


def find_available(names: Sequence[str]) -> dict[str, PeerLauncher]:
    """Return the named peers that can be started here; print a line with the reason for each other one."""
    launchers = {}
    for name in names:
        try:
            launchers[name] = PEERS[name]()
        except Unavailable as error:
            sys.stderr.write(f"{name} is left out: {error}\n")
    return launchers
