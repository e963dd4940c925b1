"""Hub: the components every request handler may use."""

from collections.abc import Callable
from dataclasses import dataclass

from api.config.settings import Settings
from api.http.authentication import Authenticator
from api.http.rate_limits import RequestRateLimits
from api.http.upload_slots import UploadSlots
from api.metrics import Metrics
from api.streams.takeover import Takeover
from realtime.manager import RealtimeManager
from services.accounts.password_hashing import PasswordHasher
from services.accounts.tokens import Tickets, Tokens
from services.attachments.file_store import FileStore
from services.attachments.thumbnails import Thumbnails
from services.database.batch_loader import BatchLoader
from services.database.database import Database
from services.delivery.email_sender import EmailSender
from services.delivery.push_client import PushClient
from services.delivery.push_endpoints import PushEndpoints
from services.delivery.worker import DeliveryWorker
from services.notifications.events import Counts
from services.presence.acknowledgements import Acknowledgements
from services.presence.broadcaster import PresenceBroadcaster


@dataclass(frozen=True)
class Hub:
    """The components of a hub. `clock` returns wall time in milliseconds, `monotonic` returns seconds."""

    settings: Settings
    database: Database
    manager: RealtimeManager
    takeover: Takeover
    authenticator: Authenticator
    tokens: Tokens
    tickets: Tickets
    passwords: PasswordHasher
    rate_limits: RequestRateLimits
    acknowledgements: Acknowledgements
    presence: PresenceBroadcaster
    push_endpoints: PushEndpoints
    email: EmailSender
    push: PushClient
    delivery_worker: DeliveryWorker
    files: FileStore
    thumbnails: Thumbnails
    upload_slots: UploadSlots
    inbox_counts: BatchLoader[Counts]
    metrics: Metrics
    clock: Callable[[], int]
    monotonic: Callable[[], float]
