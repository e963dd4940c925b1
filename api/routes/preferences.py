"""Notification preferences and delivery reports."""

from api.http.bodies import Body
from api.operations.call import Call
from services.delivery import report
from services.delivery.report import DeliveryReport
from services.notifications import preferences
from services.notifications.preferences import CATEGORIES, DEFAULTS, Choice, Preferences
from services.notifications.quiet_hours import QuietHours


class ChoiceUpdate(Body, frozen=True):
    """The delivery methods of a category; a missing one gets its default."""

    in_app: bool | None = None
    push: bool | None = None
    email: bool | None = None


class CategoryUpdates(Body, frozen=True):
    """The choices by category; a missing category gets its defaults."""

    job: ChoiceUpdate | None = None
    bid: ChoiceUpdate | None = None
    hire: ChoiceUpdate | None = None
    message: ChoiceUpdate | None = None
    comment: ChoiceUpdate | None = None
    payment: ChoiceUpdate | None = None
    system: ChoiceUpdate | None = None


class PreferencesUpdate(Body, frozen=True):
    """All preferences; without `quietHours` there are none."""

    categories: CategoryUpdates | None = None
    quiet_hours: QuietHours | None = None


async def get_preferences(call: Call[None, None]) -> Preferences:
    """Get your notification preferences and quiet hours."""
    return await call.read(preferences.get, user_id=call.user.id)


async def save_preferences(call: Call[PreferencesUpdate, None]) -> Preferences:
    """Replace your notification preferences and quiet hours."""
    call.hub.rate_limits.changes.hit(call.user.id)
    updates = call.body.categories or CategoryUpdates()
    categories = {
        category: _with_defaults(getattr(updates, category) or ChoiceUpdate(), DEFAULTS[category])
        for category in CATEGORIES
    }
    return await call.write(
        preferences.save, user_id=call.user.id, categories=categories, quiet_hours=call.body.quiet_hours
    )


async def delivery_report(call: Call[None, None]) -> DeliveryReport:
    """Explain how a notification was delivered, per method."""
    return await call.read(report.get_report, notification_id=call.path("id"), user_id=call.user.id)


def _with_defaults(update: ChoiceUpdate, defaults: Choice) -> Choice:
    return Choice(
        in_app=defaults.in_app if update.in_app is None else update.in_app,
        push=defaults.push if update.push is None else update.push,
        email=defaults.email if update.email is None else update.email,
    )
