"""The marketplace's URLs, who may call them, what goes in and what comes out."""

from collections.abc import Sequence
from typing import Final

from api.http.bodies import EmptyBody, PageQuery
from api.operations.operation import Operation
from api.operations.policy import ANYBODY, CLIENT, FREELANCER, USER, service
from api.routes import bids, comments, jobs, statistics, users, wallet
from services.accounts.schemas import Profile
from services.jobs.hiring import Hired
from services.jobs.listing import Suggestions
from services.jobs.schemas import Bid, Comment, Job
from services.jobs.statistics import Statistics
from services.pagination import Page
from services.payments.schemas import Wallet, WalletEntry

OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        method="POST",
        path="/api/jobs",
        handler=jobs.post,
        policy=CLIENT,
        body=jobs.NewJob,
        response=Job,
        status=201,
        counts_as_send=True,
    ),
    Operation(
        method="GET", path="/api/jobs", handler=jobs.list_jobs, policy=ANYBODY, query=jobs.JobList, response=Page[Job]
    ),
    Operation(
        method="GET",
        path="/api/jobs/suggest",
        handler=jobs.suggest,
        policy=ANYBODY,
        query=jobs.JobSearch,
        response=Suggestions,
    ),
    Operation(method="GET", path="/api/jobs/{id}", handler=jobs.show, policy=ANYBODY, response=Job),
    Operation(
        method="PATCH", path="/api/jobs/{id}", handler=jobs.edit, policy=USER, body=jobs.JobChanges, response=Job
    ),
    Operation(method="DELETE", path="/api/jobs/{id}", handler=jobs.delete, policy=USER),
    Operation(
        method="PATCH",
        path="/api/jobs/{id}/status",
        handler=jobs.change_status,
        policy=USER,
        body=jobs.StatusChange,
        response=Job,
    ),
    Operation(
        method="POST",
        path="/api/jobs/{id}/bids",
        handler=bids.place,
        policy=FREELANCER,
        body=bids.NewBid,
        response=Bid,
        status=201,
        counts_as_send=True,
    ),
    Operation(
        method="GET",
        path="/api/jobs/{id}/bids",
        handler=bids.page_of_job,
        policy=USER,
        query=PageQuery,
        response=Page[Bid],
    ),
    Operation(
        method="GET",
        path="/api/bids",
        handler=bids.page_of_mine,
        policy=FREELANCER,
        query=bids.OwnBids,
        response=Page[Bid],
    ),
    Operation(method="DELETE", path="/api/bids/{id}", handler=bids.withdraw, policy=FREELANCER),
    Operation(
        method="PATCH",
        path="/api/bids/{bidId}/hire",
        handler=bids.hire,
        policy=USER,
        body=EmptyBody,
        body_optional=True,
        response=Hired,
    ),
    Operation(
        method="POST",
        path="/api/jobs/{id}/comments",
        handler=comments.add,
        policy=USER,
        body=comments.NewComment,
        response=Comment,
        status=201,
        counts_as_send=True,
    ),
    Operation(
        method="GET",
        path="/api/jobs/{id}/comments",
        handler=comments.page,
        policy=ANYBODY,
        query=PageQuery,
        response=Page[Comment],
    ),
    Operation(method="GET", path="/api/stats", handler=statistics.show, policy=ANYBODY, response=Statistics),
    Operation(method="GET", path="/api/users/{id}", handler=users.show, policy=ANYBODY, response=Profile),
    Operation(method="GET", path="/api/wallet", handler=wallet.show, policy=USER, response=Wallet),
    Operation(
        method="GET",
        path="/api/wallet/entries",
        handler=wallet.entries,
        policy=USER,
        query=PageQuery,
        response=Page[WalletEntry],
    ),
    Operation(
        method="POST",
        path="/api/wallet/deposits",
        handler=wallet.deposit,
        policy=service("deposit"),
        body=wallet.Deposit,
        response=WalletEntry,
        status=201,
    ),
    Operation(
        method="POST",
        path="/api/wallet/withdrawals",
        handler=wallet.withdraw,
        policy=USER,
        body=wallet.Withdrawal,
        response=WalletEntry,
        status=201,
    ),
)
