"""What every handler may use: the parts of the running hub, made once by `api.app.build`."""

from collections.abc import Callable
from dataclasses import dataclass

from api.config.settings import Settings
from api.http.attempts import Attempts
from api.http.authentication import Identities
from api.http.paces import Paces
from api.http.recipients import Recipients
from api.http.upload_slots import UploadPlaces
from api.metrics import Metrics
from api.streams.takeover import Takeover
from realtime.manager import RealtimeManager
from services.accounts.password_hashing import Passwords
from services.accounts.tokens import Tickets, Tokens
from services.attachments.file_store import AttachmentFiles
from services.attachments.thumbnails import Thumbnails
from services.database.batch_loader import Lookup
from services.database.database import Database
from services.delivery.email_sender import MailPost
from services.delivery.push_client import PushService
from services.delivery.push_endpoints import Endpoints
from services.delivery.worker import PushSender
from services.notifications.events import Counts
from services.presence.acknowledgements import Deliveries
from services.presence.broadcaster import PresenceTeller


@dataclass(frozen=True)
class Hub:
    """The parts of a running hub. `clock` gives wall time in ms, `monotonic` seconds for limits."""

    settings: Settings
    database: Database
    manager: RealtimeManager
    takeover: Takeover
    identities: Identities
    tokens: Tokens
    tickets: Tickets
    passwords: Passwords
    attempts: Attempts
    recipients: Recipients
    paces: Paces
    deliveries: Deliveries
    presence_teller: PresenceTeller
    endpoints: Endpoints
    mail_post: MailPost
    push_service: PushService
    push_sender: PushSender
    files: AttachmentFiles
    thumbnails: Thumbnails
    upload_places: UploadPlaces
    counts: Lookup[Counts]
    metrics: Metrics
    clock: Callable[[], int]
    monotonic: Callable[[], float]
