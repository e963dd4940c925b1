"""Where the parts meet: `build` makes the whole hub from its settings; the lifespan starts and stops it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.commit_publisher import CommitPublisher
from api.config.settings import Settings, SettingsError
from api.config.signing_keys import signing_keys
from api.http.attempts import LoginAttempts
from api.http.authentication import Authenticator
from api.http.client_address import ClientAddressResolver
from api.http.cross_origin import CrossOriginMiddleware
from api.http.paces import RequestRateLimits
from api.http.problems import Internal, MethodNotAllowed, problem_response
from api.http.recipients import RecipientRateLimit
from api.http.request_context import RequestContextMiddleware
from api.http.upload_slots import UploadSlots
from api.hub import Hub
from api.metrics import Metrics
from api.operations.dispatcher import Dispatcher
from api.routes.table import OPERATIONS
from api.streams.responses import BODY_KEY
from api.streams.takeover import Takeover
from api.web.pages import page_routes
from realtime.manager import RealtimeManager
from realtime.options import RealtimeOptions
from services.accounts.password_hashing import PasswordHasher
from services.accounts.tokens import Tickets, Tokens
from services.attachments.file_store import FileStore
from services.attachments.thumbnails import Thumbnails
from services.database.batch_loader import BatchLoader
from services.database.database import Database
from services.database.units import Batch
from services.delivery.email_sender import EmailSender
from services.delivery.email_templates import EmailIdentity
from services.delivery.push_client import PushClient
from services.delivery.push_endpoints import PushEndpoints
from services.delivery.smtp_client import SmtpClient, SmtpSettings
from services.delivery.worker import DeliveryWorker
from services.errors import DomainError, NotFound
from services.event_log.history import History
from services.ids import new_id
from services.jobs import log_lines
from services.jobs.transitions import TransitionResult
from services.maintenance import ledger_check
from services.maintenance.file_cleanup import FileCleanup
from services.maintenance.tasks import RetentionPolicy, all_tasks
from services.notifications import inbox
from services.presence.acknowledgements import Acknowledgements
from services.presence.attention import UserAttention
from services.presence.broadcaster import PresenceBroadcaster
from services.scheduling.scheduler import Scheduler
from services.store.epoch import stored_epoch
from services.times import DAY

# The ring is filled with this many of the newest events at start.
SEED_EVENTS = 20_000
# For requests that run and for streams that are slow to take their farewell; stalled ones are cut after 10 s.
GRACE_SECONDS = 12


@dataclass(frozen=True)
class App:
    """The ASGI application. `hub` are its parts; `doubt` is set when the disk has failed and the process should end."""

    hub: Hub
    doubt: asyncio.Event
    _asgi: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._asgi(scope, receive, send)
        body = scope.pop(BODY_KEY, None)
        if body is not None:
            # Out here, since the coroutines of all layers would be 8 KB for as long as a stream lives.
            await body(receive, send)


def build(settings: Settings, *, clock: Callable[[], int] | None = None, random: Random | None = None) -> App:
    """Make a hub on a migrated store; nothing runs before its lifespan starts. `clock` gives wall time in ms."""
    clock, random, doubt = clock or _wall_clock, random or Random(), asyncio.Event()  # noqa: S311  # jitter, not a secret
    database = Database(
        settings.database_file,
        wal_bytes=settings.wal_mb * 1024 * 1024,
        on_commit=lambda batch: commits(batch),
        on_storage_failure=doubt.set,
    )
    history = History(database)
    manager = RealtimeManager(
        _options(settings, stored_epoch(settings.database_file)),
        history=history,
        clock=time.monotonic,
        wall_clock=clock,
        random=random,
        process_id=new_id(),
        on_users_idle=lambda user_ids: gone(user_ids),
    )
    tokens = Tokens(signing_keys(settings.secret_keys, settings.data_dir))
    tickets = Tickets(tokens, _steady_clock)
    identities = Authenticator(settings, database, tokens, tickets, clock)
    commits: Callable[[Batch], None] = CommitPublisher(manager, identities)
    deliveries = Acknowledgements(database, manager.options.epoch, clock)
    gone = partial(_forget, identities, deliveries)
    endpoints = PushEndpoints(settings.push_test_origin)
    push_service = PushClient(endpoints, settings.data_dir, settings.contact)
    mailer = SmtpClient(SmtpSettings.from_url(settings.smtp_url) if settings.smtp_url else None)
    mail_post = EmailSender(mailer, tokens, EmailIdentity(settings.sender, settings.origin))
    onlookers = UserAttention(manager, deliveries, time.monotonic)
    hub = Hub(
        settings=settings,
        database=database,
        manager=manager,
        takeover=_takeover(settings, manager),
        identities=identities,
        tokens=tokens,
        tickets=tickets,
        passwords=PasswordHasher(settings.password_cost),
        attempts=LoginAttempts(settings, time.monotonic),
        recipients=RecipientRateLimit(settings.service_rate_limit, time.monotonic),
        paces=RequestRateLimits(settings, time.monotonic),
        acknowledgements=deliveries,
        presence=PresenceBroadcaster(manager, database, clock=clock, monotonic=time.monotonic),
        endpoints=endpoints,
        email=mail_post,
        push=push_service,
        delivery_worker=DeliveryWorker(
            database, push_service, mail_post, onlookers, origin=settings.origin, clock=clock, random=random
        ),
        files=FileStore(settings.files_dir),
        thumbnails=Thumbnails(),
        upload_slots=UploadSlots(),
        inbox_counts=BatchLoader(database, inbox.load_counts),
        metrics=Metrics(manager, database),
        clock=clock,
        monotonic=time.monotonic,
    )
    return App(hub, doubt, _asgi(hub, history))


def _asgi(hub: Hub, history: History) -> ASGIApp:
    """From the outside in: the edge, other origins, the operations, the pages."""
    settings = hub.settings
    pages = Starlette(
        routes=page_routes(),
        exception_handlers={DomainError: _domain, HTTPException: _http, Exception: _internal},
        lifespan=partial(_lifespan, hub, history),
    )
    # A path with a slash too many is unknown, like any other; a redirect would be an answer without a code.
    pages.router.redirect_slashes = False
    inner = CrossOriginMiddleware(Dispatcher(hub, OPERATIONS, pages), settings)
    return RequestContextMiddleware(
        inner,
        addresses=ClientAddressResolver(settings.trusted_proxies),
        observe=hub.metrics.observe,
        hsts=settings.secure_cookies,
    )


@asynccontextmanager
async def _lifespan(hub: Hub, history: History, _starlette: Starlette) -> AsyncIterator[None]:
    """Start each part after those it needs; stop them in the opposite order."""
    async with AsyncExitStack() as stack:
        await hub.database.start()
        stack.push_async_callback(hub.database.stop)
        hub.manager.seed(*await history.load_recent(SEED_EVENTS))
        await hub.manager.start()
        stack.push_async_callback(hub.manager.stop)
        # The manager's clock hand cuts off those who do not take their farewell.
        stack.push_async_callback(hub.takeover.wait_closed, GRACE_SECONDS)
        retention = Scheduler(
            hub.database,
            [*all_tasks(_keep(hub.settings)), ledger_check.task(_on_this_loop(_books_wrong))],
            clock=hub.clock,
            on_error=_chore_failed,
            on_done=_chore_done,
        )
        await retention.start()
        stack.push_async_callback(retention.stop)
        stack.push_async_callback(hub.email.stop)
        collector = FileCleanup(hub.files, hub.database)
        for part in (hub.identities, hub.acknowledgements, hub.presence, hub.delivery_worker, collector):
            await part.start()
            stack.push_async_callback(part.stop)
        yield


def _takeover(settings: Settings, manager: RealtimeManager) -> Takeover:
    try:
        return Takeover(settings.stream_path, manager.stream_closed)
    except LookupError as error:
        raise SettingsError([f"HUB_STREAM_PATH cannot be takeover: {error.args[0]}."]) from error


def _options(settings: Settings, epoch: str) -> RealtimeOptions:
    return RealtimeOptions(
        epoch=epoch,
        max_replay=settings.backlog,
        max_shared_replay=settings.shared_backlog,
        queue_events=settings.queue_events,
        max_streams=settings.max_streams,
        max_streams_per_user=settings.max_streams_per_user,
        max_streams_per_address=settings.max_streams_per_address,
        connect_limit=settings.connect_rate_limit,
        send_limit=settings.rate_limit,
        idle_seconds=settings.idle_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        rotate_seconds=settings.rotate_seconds,
        backlog_events=SEED_EVENTS,
    )


def _forget(identities: Authenticator, deliveries: Acknowledgements, user_ids: Sequence[str]) -> None:
    """Users without a stream for `HUB_IDLE_SECONDS` leave memory."""
    identities.forget(user_ids)
    deliveries.forget(user_ids)


def _keep(settings: Settings) -> RetentionPolicy:
    return RetentionPolicy(
        log_events=settings.log_events, log_ms=int(settings.log_days * DAY), inbox_ms=int(settings.inbox_days * DAY)
    )


def _chore_failed(name: str, error: BaseException) -> None:
    structlog.get_logger("retention").warning("chore_failed", chore=name, error=repr(error))


def _on_this_loop(tell: Callable[[Sequence[str]], None]) -> Callable[[Sequence[str]], None]:
    """`tell` for other threads: it is called on the event loop."""
    loop = asyncio.get_running_loop()

    def call(told: Sequence[str]) -> None:
        loop.call_soon_threadsafe(tell, told)

    return call


def _books_wrong(faults: Sequence[str]) -> None:
    """Somebody has to look into this at once; until they have, no money moves."""
    structlog.get_logger("books").critical("money frozen", why="the books do not add up", faults=list(faults))


def _chore_done(name: str, done: object) -> None:
    """What the hub does to jobs by itself is worth a line."""
    for moved in done if isinstance(done, list) else ():
        if isinstance(moved, TransitionResult):
            log_lines.log_transition(structlog.get_logger("retention"), moved, by="hub")


async def _domain(request: Request, error: Any) -> Response:
    return problem_response(error, request.scope["hub.request_id"])


async def _http(request: Request, error: Any) -> Response:
    """Starlette's own 404 and 405."""
    if error.status_code == 405:
        return await _domain(request, MethodNotAllowed((error.headers or {}).get("Allow", "")))
    return await _domain(request, NotFound() if error.status_code == 404 else Internal())


async def _internal(request: Request, error: Exception) -> Response:
    return await _domain(request, Internal())


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


def _steady_clock() -> int:
    """Milliseconds that never go back, for what expires within this process."""
    return time.monotonic_ns() // 1_000_000
