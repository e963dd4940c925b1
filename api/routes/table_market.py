"""The marketplace's URLs, who may call them, what goes in and what comes out."""

from collections.abc import Sequence
from typing import Final

from api.http.bodies import Nothing, PageQuery
from api.operations.operation import Operation
from api.operations.policy import ANYBODY, CLIENT, FREELANCER, USER, service
from api.routes import bids, comments, jobs, users, wallet
from api.routes import statistics as stats
from services.accounts.schemas import Profile
from services.jobs.hiring import Hired
from services.jobs.listing import Suggestions
from services.jobs.schemas import Bid, Comment, Job
from services.jobs.statistics import Stats
from services.pagination import Page
from services.payments.schemas import Entry, Wallet

OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        method="POST",
        path="/api/jobs",
        handler=jobs.post,
        who=CLIENT,
        body=jobs.NewJob,
        answer=Job,
        status=201,
        sends=True,
    ),
    Operation(method="GET", path="/api/jobs", handler=jobs.page, who=ANYBODY, query=jobs.JobList, answer=Page[Job]),
    Operation(
        method="GET",
        path="/api/jobs/suggest",
        handler=jobs.suggest,
        who=ANYBODY,
        query=jobs.JobSearch,
        answer=Suggestions,
    ),
    Operation(method="GET", path="/api/jobs/{id}", handler=jobs.show, who=ANYBODY, answer=Job),
    Operation(method="PATCH", path="/api/jobs/{id}", handler=jobs.edit, who=USER, body=jobs.JobChanges, answer=Job),
    Operation(method="DELETE", path="/api/jobs/{id}", handler=jobs.delete, who=USER),
    Operation(
        method="PATCH",
        path="/api/jobs/{id}/status",
        handler=jobs.move,
        who=USER,
        body=jobs.NextStatus,
        answer=Job,
    ),
    Operation(
        method="POST",
        path="/api/jobs/{id}/bids",
        handler=bids.place,
        who=FREELANCER,
        body=bids.NewBid,
        answer=Bid,
        status=201,
        sends=True,
    ),
    Operation(
        method="GET",
        path="/api/jobs/{id}/bids",
        handler=bids.page_of_job,
        who=USER,
        query=PageQuery,
        answer=Page[Bid],
    ),
    Operation(
        method="GET", path="/api/bids", handler=bids.page_of_mine, who=FREELANCER, query=bids.OwnBids, answer=Page[Bid]
    ),
    Operation(method="DELETE", path="/api/bids/{id}", handler=bids.withdraw, who=FREELANCER),
    Operation(
        method="PATCH",
        path="/api/bids/{bidId}/hire",
        handler=bids.hire,
        who=USER,
        body=Nothing,
        body_optional=True,
        answer=Hired,
    ),
    Operation(
        method="POST",
        path="/api/jobs/{id}/comments",
        handler=comments.add,
        who=USER,
        body=comments.NewComment,
        answer=Comment,
        status=201,
        sends=True,
    ),
    Operation(
        method="GET",
        path="/api/jobs/{id}/comments",
        handler=comments.page,
        who=ANYBODY,
        query=PageQuery,
        answer=Page[Comment],
    ),
    Operation(method="GET", path="/api/stats", handler=stats.show, who=ANYBODY, answer=Stats),
    Operation(method="GET", path="/api/users/{id}", handler=users.show, who=ANYBODY, answer=Profile),
    Operation(method="GET", path="/api/wallet", handler=wallet.show, who=USER, answer=Wallet),
    Operation(
        method="GET",
        path="/api/wallet/entries",
        handler=wallet.entries,
        who=USER,
        query=PageQuery,
        answer=Page[Entry],
    ),
    Operation(
        method="POST",
        path="/api/wallet/deposits",
        handler=wallet.deposit,
        who=service("deposit"),
        body=wallet.Deposit,
        answer=Entry,
        status=201,
    ),
    Operation(
        method="POST",
        path="/api/wallet/withdrawals",
        handler=wallet.withdraw,
        who=USER,
        body=wallet.Withdrawal,
        answer=Entry,
        status=201,
    ),
)
