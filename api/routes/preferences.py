"""What one wants to be told of, and how, over HTTP; and why a notification did or did not go out."""

from api.http.bodies import Body
from api.operations.call import Call
from services.delivery import report
from services.delivery.report import DeliveryReport
from services.notifications import preferences
from services.notifications.preferences import CATEGORIES, DEFAULTS, Choice, Preferences
from services.notifications.quiet_hours import QuietHours


class Chosen(Body, frozen=True):
    """By which ways a category shall come; what is left out is as it is for somebody who has chosen nothing."""

    in_app: bool | None = None
    push: bool | None = None
    email: bool | None = None


class ByCategory(Body, frozen=True):
    """Each category; one that is left out gets its defaults."""

    job: Chosen | None = None
    bid: Chosen | None = None
    hire: Chosen | None = None
    message: Chosen | None = None
    comment: Chosen | None = None
    payment: Chosen | None = None
    system: Chosen | None = None


class PreferencesUpdate(Body, frozen=True):
    """All preferences; quiet hours that are left out are none."""

    categories: ByCategory | None = None
    quiet_hours: QuietHours | None = None


async def show(call: Call[None, None]) -> Preferences:
    """What one is told of by which way, and one's quiet hours."""
    return await call.read(preferences.get, user_id=call.user.id)


async def put(call: Call[PreferencesUpdate, None]) -> Preferences:
    """Set what one is told of by which way, and one's quiet hours."""
    call.hub.paces.change.hit(call.user.id)
    given = call.body.categories or ByCategory()
    chosen = {category: _over(DEFAULTS[category], getattr(given, category) or Chosen()) for category in CATEGORIES}
    return await call.write(
        preferences.save, user_id=call.user.id, categories=chosen, quiet_hours=call.body.quiet_hours
    )


async def delivery_report(call: Call[None, None]) -> DeliveryReport:
    """Why one of one's notifications did or did not go out, by each way."""
    return await call.read(report.get_report, notification_id=call.path("id"), user_id=call.user.id)


def _over(usual: Choice, chosen: Chosen) -> Choice:
    return Choice(
        in_app=usual.in_app if chosen.in_app is None else chosen.in_app,
        push=usual.push if chosen.push is None else chosen.push,
        email=usual.email if chosen.email is None else chosen.email,
    )
