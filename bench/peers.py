"""The servers that are measured beside the hub; the first line of each one's docstring says what it does less."""

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
from bench.builds import Missing
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
_MERCURE_KEY: Final = b"a key of the benchmark, which keeps nothing"
_SIMPLE: Final = ("--sub", "/stream", "--pub", "/broadcast")


@dataclass(frozen=True)
class Peer:
    """A server under load: what the load client must be told."""

    server: Server
    arguments: Sequence[str] = ()


@dataclass(frozen=True)
class Foreign:
    """How a server of others is started, what the load client must be told; `{port}`, `{folder}` are filled in."""

    version: str
    command: Sequence[str]
    arguments: Sequence[str] = _SIMPLE
    env: Mapping[str, str] = field(default_factory=dict)
    config: str = ""

    @contextmanager
    def start(self) -> Iterator[Peer]:
        """The server on a folder of its own, with its configuration as `config` in it."""
        with TemporaryDirectory() as name:
            folder, port = Path(name), servers.free_port()
            (folder / "config").write_text(self.config.format(port=port, folder=folder))
            command = [part.format(port=port, folder=folder) for part in self.command]
            env = {key: value.format(port=port, folder=folder) for key, value in self.env.items()}
            with servers.running(command, port, folder, env) as process:
                yield Peer(Server(f"http://127.0.0.1:{port}", process.pid, folder), self.arguments)


def naive() -> Foreign:
    """A queue and a response of sse-starlette for each stream: memory only, no users, no log, no replay."""
    env = {"NAIVE_FILE": "{folder}/naive.db", "NAIVE_PORT": "{port}"}
    return Foreign(f"sse-starlette {version('sse-starlette')}", [sys.executable, "-m", "bench.naive_server"], env=env)


def nchan() -> Foreign:
    """nginx's module in C, one process: memory only, no users, no checks; replays the last 20 of the channel."""
    nginx = builds.tool("nginx")
    if not _NCHAN.exists():
        raise Missing("there is no libnginx-mod-nchan here")
    packaged = builds.told("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan").partition(":")[2]
    served = builds.told(nginx, "-v").rpartition("/")[2]
    command = [nginx, "-p", "{folder}", "-c", "{folder}/config"]
    return Foreign(f"{packaged} (nginx {served})", command, config=_NGINX.replace("MODULE", str(_NCHAN)))


def fastapi() -> Foreign:
    """FastAPI's own EventSourceResponse with a queue for each stream: memory only, no users, no log, no replay."""
    python, version = builds.python()
    return Foreign(version, [python, str(builds.FOREIGN / "fastapi_app.py")], env={"PORT": "{port}"})


def better_sse() -> Foreign:
    """One channel of all sessions: memory only, no users, no log, no replay."""
    folder, version = builds.node("better-sse")
    return Foreign(version, [builds.tool("node"), str(folder / "better_sse.mjs")], env={"PORT": "{port}"})


def socketio() -> Foreign:
    """socket.io over WebSocket, one namespace: memory only, no users, no log, no replay."""
    folder, version = builds.node("socket.io")
    socket = ("--socketio", "--sub", "/socket.io/?EIO=4&transport=websocket", "--pub", "/broadcast")
    return Foreign(version, [builds.tool("node"), str(folder / "socketio.mjs")], socket, {"PORT": "{port}"})


def mercure() -> Foreign:
    """Its server without Caddy: memory only, no users (publishers have a JWT), no log, no replay, no one order.

    The one with Caddy does more for a request, and `go install` cannot build it: its module replaces another.
    """
    program, version = builds.go(
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
    auth = f"Authorization: Bearer {_token()}\r\n"
    form = ("--type", "application/x-www-form-urlencoded", "--before", "topic=all&data=", "--auth", auth)
    path = "/.well-known/mercure"
    return Foreign(version, [program], ("--sub", f"{path}?topic=all", "--pub", path, *form), env)


def centrifugo() -> Foreign:
    """Streams of its unidirectional SSE, in `insecure` mode: memory only, no users, no log, no history, no presence."""
    program, version = builds.go("github.com/centrifugal/centrifugo/v6", "v6.9.1")
    # The load client's paths are formats of printf.
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
    return Foreign(version, [program], ("--sub", connect, *publish), env)


def _token() -> str:
    """What lets its bearer publish to every topic (JWT, HS256)."""
    parts = b'{"alg":"HS256","typ":"JWT"}', b'{"mercure":{"publish":["*"]}}'
    said = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(_MERCURE_KEY, said, hashlib.sha256)).rstrip(b"=")
    return f"{said.decode()}.{signature.decode()}"


PEERS: Final[Mapping[str, Callable[[], Foreign]]] = {
    "naive": naive,
    "nchan": nchan,
    "fastapi": fastapi,
    "better-sse": better_sse,
    "socket.io": socketio,
    "mercure": mercure,
    "centrifugo": centrifugo,
}


def less(name: str) -> str:
    """What a peer does less than the hub, in a sentence."""
    return (PEERS[name].__doc__ or "").splitlines()[0]


def available(names: Sequence[str]) -> dict[str, Foreign]:
    """Those of the named peers that are here or could be built; of each other one a line says why it is left out."""
    found = {}
    for name in names:
        try:
            found[name] = PEERS[name]()
        except Missing as missing:
            sys.stderr.write(f"{name} is left out: {missing}\n")
    return found
