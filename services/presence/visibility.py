"""Who may see whether somebody is there, who wants not to be seen, and when those who left were last seen."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, or_, select, union
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql.expression import literal_column

from services.database.statements import Statement, json_values, to_json_list
from services.tables import bids, blocks, conversation_members, jobs, presence_settings

# Pairs of one who is seen and one who sees that one look-up gives; who has more watchers alone is shown to so many.
MOST_PAIRS = 20_000

_p = presence_settings.c
_mine, _theirs = conversation_members.alias("mine"), conversation_members.alias("theirs")

# As text, because the index on hired bids is used for exactly this condition.
_IS_HIRED = bids.c.status == literal_column("'hired'")


def _pairs(*narrowed: Any) -> Any:
    """(seen, sees) of all who share a conversation or a hire."""
    together = (
        select(_mine.c.user_id.label("seen"), _theirs.c.user_id.label("sees"))
        .join(_theirs, _theirs.c.conversation_id == _mine.c.conversation_id)
        .where(_mine.c.user_id != _theirs.c.user_id)
    )
    owners = select(jobs.c.owner_id.label("seen"), bids.c.freelancer_id.label("sees")).join(
        bids, bids.c.job_id == jobs.c.id
    )
    workers = select(bids.c.freelancer_id.label("seen"), jobs.c.owner_id.label("sees")).join(
        jobs, jobs.c.id == bids.c.job_id
    )
    seen, sees = narrowed
    return union(
        together.where(seen(_mine.c.user_id), sees(_theirs.c.user_id)),
        owners.where(_IS_HIRED, seen(jobs.c.owner_id), sees(bids.c.freelancer_id)),
        workers.where(_IS_HIRED, seen(bids.c.freelancer_id), sees(jobs.c.owner_id)),
    ).limit(bindparam("most"))


def _among(column: Any) -> Any:
    return column.in_(select(json_values("ids").c.value))


_SEES = Statement(_pairs(_among, lambda column: column.is_not(None)).order_by(literal_column("seen")))
_SEEN_BY = Statement(_pairs(_among, lambda column: column == bindparam("who")))
_APART = Statement(
    select(blocks.c.user_id, blocks.c.blocked_id).where(or_(_among(blocks.c.user_id), _among(blocks.c.blocked_id)))
)
_FIND = Statement(select(_p.user_id, _p.invisible, _p.last_seen_at).where(_among(_p.user_id)))
_put = insert(presence_settings)
_HIDE = _put.on_conflict_do_update(
    index_elements=[_p.user_id], set_={"invisible": _put.excluded.invisible, "last_seen_at": _put.excluded.last_seen_at}
)
# Of somebody who hides, it stays unknown when they were last here.
_SEE = _put.on_conflict_do_update(
    index_elements=[_p.user_id], set_={"last_seen_at": _put.excluded.last_seen_at}, where=_p.invisible == 0
)


class PresenceSettings(NamedTuple):
    """What is kept of somebody: whether they hide, and when they were last seen (ms), if ever."""

    invisible: bool
    last_seen_at: int | None


DEFAULT_SETTINGS = PresenceSettings(False, None)


class Watchers(NamedTuple):
    """Of these users who sees each, and what is kept of them; not always of all who were asked about."""

    ids: Sequence[str]
    watchers: Mapping[str, Sequence[str]]
    kept: Mapping[str, PresenceSettings]


def load_watchers(tx: Connection, *, ids: Sequence[str]) -> Watchers:
    """Who may see these users: who shares a conversation or a hire with them, without those apart by a block.

    Together they may have more watchers than one look-up gives: it then speaks of some of them, one at least.
    """
    pairs = _SEES.all(tx, {"ids": to_json_list(ids), "most": MOST_PAIRS + 1})
    done = ids if len(pairs) <= MOST_PAIRS else _whole(ids, pairs[0].seen, pairs[-1].seen)
    apart, known = _apart(tx, done), set(done)
    found: dict[str, list[str]] = {}
    for seen, sees in pairs[:MOST_PAIRS]:
        if seen in known and (seen, sees) not in apart:
            found.setdefault(seen, []).append(sees)
    return Watchers(done, found, _kept(tx, done))


def _whole(ids: Sequence[str], first: str, last: str) -> Sequence[str]:
    """Those whose pairs come before the last one's, of whom there may be more; that one, if there is nobody else."""
    return [each for each in ids if each < last] if first != last else [last]


def load_visible(tx: Connection, *, ids: Sequence[str], user_id: str) -> Mapping[str, PresenceSettings]:
    """What is kept of those of these users whom this one may see."""
    apart = _apart(tx, [user_id])
    pairs = _SEEN_BY.all(tx, {"ids": to_json_list(ids), "who": user_id, "most": MOST_PAIRS})
    seen = [each for each, sees in pairs if (each, sees) not in apart]
    kept = _kept(tx, seen)
    return {each: kept.get(each, DEFAULT_SETTINGS) for each in seen}


def set_invisible(tx: Connection, *, user_id: str, invisible: bool, now: int) -> None:
    """Be seen by nobody from now on, or by those who may again."""
    tx.execute(_HIDE, {"user_id": user_id, "invisible": int(invisible), "last_seen_at": now})


def save_last_seen(tx: Connection, *, seen: Mapping[str, int], now: int) -> None:
    """Note when these users were last seen (ms)."""
    if seen:
        tx.execute(_SEE, [{"user_id": each, "invisible": 0, "last_seen_at": at} for each, at in seen.items()])


def _apart(tx: Connection, ids: Sequence[str]) -> set[tuple[str, str]]:
    rows = _APART.all(tx, {"ids": to_json_list(ids)})
    return {(one, other) for one, other in rows} | {(other, one) for one, other in rows}


def _kept(tx: Connection, ids: Sequence[str]) -> dict[str, PresenceSettings]:
    rows = _FIND.all(tx, {"ids": to_json_list(ids)}) if ids else ()
    return {row.user_id: PresenceSettings(bool(row.invisible), row.last_seen_at) for row in rows}
