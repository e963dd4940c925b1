"""Composition root: builds the hub from its settings; start and stop order."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.commit_publisher import CommitPublisher
from api.config.settings import Settings, SettingsError
from api.config.signing_keys import load_signing_keys
from api.http.authentication import Authenticator
from api.http.client_address import ClientAddressResolver
from api.http.cross_origin import CrossOriginMiddleware
from api.http.problems import Internal, MethodNotAllowed, problem_response
from api.http.rate_limits import RequestRateLimits
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
from services.times import DAY_MS

# The number of newest events that the backlog holds in memory. They are loaded at start.
MAX_BACKLOG_EVENTS: Final = 20_000
# For running requests, and for clients that read their bye frame slowly. Stalled streams are closed after 10 s.
SHUTDOWN_GRACE_SECONDS: Final = 12


@dataclass(frozen=True)
class App:
    """The ASGI application with its components in `hub`; `storage_failed` is set when the process must end."""

    hub: Hub
    storage_failed: asyncio.Event
    _asgi: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI request or the lifespan."""
        await self._asgi(scope, receive, send)
        body = scope.pop(BODY_KEY, None)
        if body is not None:
            # Outside all layers: their coroutines would take 8 KB for as long as the stream is open.
            await body(receive, send)


def build(settings: Settings, *, clock: Callable[[], int] | None = None, random: Random | None = None) -> App:
    """Return a hub on a migrated store; its lifespan starts it. `clock` returns wall time in milliseconds."""
    clock, random = clock or _wall_clock, random or Random()  # noqa: S311  # jitter, not a secret
    storage_failed = asyncio.Event()
    database = Database(
        settings.database_file,
        wal_bytes=settings.sqlite_wal_mb * 1024 * 1024,
        on_commit=lambda batch: publish_commits(batch),
        on_storage_failure=storage_failed.set,
    )
    history = History(database)
    manager = RealtimeManager(
        _realtime_options(settings, stored_epoch(settings.database_file)),
        history=history,
        clock=time.monotonic,
        wall_clock=clock,
        random=random,
        process_id=new_id(),
        on_users_idle=lambda user_ids: release_users(user_ids),
    )
    tokens = Tokens(load_signing_keys(settings.secret_keys, settings.data_dir))
    tickets = Tickets(tokens, _monotonic_ms)
    authenticator = Authenticator(settings, database, tokens, tickets, clock)
    publish_commits: Callable[[Batch], None] = CommitPublisher(manager, authenticator)
    acknowledgements = Acknowledgements(database, manager.options.epoch, clock)
    release_users = partial(_release_users, authenticator, acknowledgements)
    push_endpoints = PushEndpoints(settings.push_test_origin)
    push = PushClient(push_endpoints, settings.data_dir, settings.contact)
    email = _email_sender(settings, tokens)
    attention = UserAttention(manager, acknowledgements, time.monotonic)
    hub = Hub(
        settings=settings,
        database=database,
        manager=manager,
        takeover=_takeover(settings, manager),
        authenticator=authenticator,
        tokens=tokens,
        tickets=tickets,
        passwords=PasswordHasher(settings.password_memory_mb),
        rate_limits=RequestRateLimits(settings, time.monotonic),
        acknowledgements=acknowledgements,
        presence=PresenceBroadcaster(manager, database, clock=clock, monotonic=time.monotonic),
        push_endpoints=push_endpoints,
        email=email,
        push=push,
        delivery_worker=DeliveryWorker(
            database, push, email, attention, origin=settings.origin, clock=clock, random=random
        ),
        files=FileStore(settings.files_dir),
        thumbnails=Thumbnails(),
        upload_slots=UploadSlots(),
        inbox_counts=BatchLoader(database, inbox.load_counts),
        metrics=Metrics(manager, database),
        clock=clock,
        monotonic=time.monotonic,
    )
    return App(hub, storage_failed, _asgi(hub, history))


def _asgi(hub: Hub, history: History) -> ASGIApp:
    """Return the layers, outermost first: request context, cross-origin rules, operations, pages."""
    settings = hub.settings
    pages = Starlette(
        routes=page_routes(),
        exception_handlers={DomainError: _domain_error, HTTPException: _http_error, Exception: _internal_error},
        lifespan=partial(_lifespan, hub, history),
    )
    # A path with a trailing slash is unknown, as any other unknown path. A redirect would have no error code.
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
    """Start each component after those it needs; stop them in reverse order."""
    async with AsyncExitStack() as stack:
        await hub.database.start()
        stack.push_async_callback(hub.database.stop)
        hub.manager.seed(*await history.load_recent(MAX_BACKLOG_EVENTS))
        await hub.manager.start()
        stack.push_async_callback(hub.manager.stop)
        # The manager must still run: its housekeeping task closes streams whose client does not read the bye frame.
        stack.push_async_callback(hub.takeover.wait_closed, SHUTDOWN_GRACE_SECONDS)
        scheduler = Scheduler(
            hub.database,
            [*all_tasks(_retention_policy(hub.settings)), ledger_check.task(_call_on_loop(_log_payments_frozen))],
            clock=hub.clock,
            on_error=_log_task_failed,
            on_done=_log_task_results,
        )
        await scheduler.start()
        stack.push_async_callback(scheduler.stop)
        stack.push_async_callback(hub.email.stop)
        file_cleanup = FileCleanup(hub.files, hub.database)
        for part in (hub.authenticator, hub.acknowledgements, hub.presence, hub.delivery_worker, file_cleanup):
            await part.start()
            stack.push_async_callback(part.stop)
        yield


def _takeover(settings: Settings, manager: RealtimeManager) -> Takeover:
    try:
        return Takeover(settings.stream_transport, manager.stream_closed)
    except LookupError as error:
        raise SettingsError([f"HUB_STREAM_TRANSPORT cannot be direct: {error.args[0]}."]) from error


def _email_sender(settings: Settings, tokens: Tokens) -> EmailSender:
    smtp = SmtpClient(SmtpSettings.from_url(settings.smtp_url) if settings.smtp_url else None)
    return EmailSender(smtp, tokens, EmailIdentity(settings.sender, settings.origin))


def _realtime_options(settings: Settings, epoch: str) -> RealtimeOptions:
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
        rotate_seconds=settings.stream_max_seconds,
        backlog_events=MAX_BACKLOG_EVENTS,
    )


def _retention_policy(settings: Settings) -> RetentionPolicy:
    return RetentionPolicy(
        log_events=settings.log_events,
        log_ms=int(settings.log_days * DAY_MS),
        inbox_ms=int(settings.inbox_days * DAY_MS),
    )


def _release_users(authenticator: Authenticator, acknowledgements: Acknowledgements, user_ids: Sequence[str]) -> None:
    """Drop the in-memory state of users who had no stream for HUB_IDLE_SECONDS."""
    authenticator.forget(user_ids)
    acknowledgements.forget(user_ids)


def _call_on_loop(callback: Callable[[Sequence[str]], None]) -> Callable[[Sequence[str]], None]:
    """Return a function for other threads that calls `callback` on the running event loop."""
    loop = asyncio.get_running_loop()

    def call(faults: Sequence[str]) -> None:
        loop.call_soon_threadsafe(callback, faults)

    return call


def _log_payments_frozen(faults: Sequence[str]) -> None:
    """Log that payments are frozen until an operator resolves the faults."""
    structlog.get_logger("ledger").critical(
        "payments_frozen", reason="the ledger does not balance", faults=list(faults)
    )


def _log_task_failed(name: str, error: BaseException) -> None:
    structlog.get_logger("scheduler").warning("task_failed", task=name, error=repr(error))


def _log_task_results(name: str, results: object) -> None:
    """Log each job transition that a periodic task made."""
    for result in results if isinstance(results, list) else ():
        if isinstance(result, TransitionResult):
            log_lines.log_transition(structlog.get_logger("scheduler"), result, by="hub")


async def _domain_error(request: Request, error: Any) -> Response:
    return problem_response(error, request.scope["hub.request_id"])


async def _http_error(request: Request, error: Any) -> Response:
    """Return the problem for Starlette's own 404 and 405."""
    if error.status_code == 405:
        return await _domain_error(request, MethodNotAllowed((error.headers or {}).get("Allow", "")))
    return await _domain_error(request, NotFound() if error.status_code == 404 else Internal())


async def _internal_error(request: Request, error: Exception) -> Response:
    return await _domain_error(request, Internal())


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


def _monotonic_ms() -> int:
    """Return milliseconds of a clock that never goes back, for expiry within this process."""
    return time.monotonic_ns() // 1_000_000
