"""Jobs from before 0002 get back the deadlines that it did not copy: expiry, end of review, time to deliver."""

from alembic import op

revision = "0005"
down_revision = "0004"

_DAY = 86_400_000
_STATEMENTS = (
    "UPDATE jobs SET due_at = expires_at WHERE status = 'open' AND due_at IS NULL AND expires_at IS NOT NULL",
    # A submitted job was changed last when it was submitted; a review was 7 days unless somebody said otherwise.
    f"UPDATE jobs SET due_at = updated_at + {7 * _DAY} WHERE status = 'submitted' AND due_at IS NULL",
    # When the freelancer said yes nobody wrote down; it was not before the hire.
    "UPDATE jobs SET accepted_at = hired_at WHERE status IN ('in_progress','submitted') AND accepted_at IS NULL",
)


def upgrade() -> None:
    """Only where 0002 left a gap: what was posted or moved since has its times."""
    for statement in _STATEMENTS:
        op.execute(statement)
