"""What can go wrong, by meaning. Users import these names from ``airflow_provider_fivetran.exceptions``.

FivetranError
    FivetranUnreachable             no usable answer: refused, reset, timed out
    FivetranUnexpectedAnswer        an answer, but not in the documented shape
    FivetranApiError                an answer that says no
        FivetranUnauthorized        401: the key is wrong, expired or revoked
        FivetranForbidden           403: the key lacks the right
        FivetranNotFound            404
        FivetranConflict            409
        FivetranRateLimited         429
        FivetranServerError         5xx
    FivetranArgumentMissing         the template of an argument, or the task it comes from, found no value
    FivetranLookupError             no connection, or more than one, has that name
    FivetranRefused                 a policy of the task forbids to start
        FivetranConnectionPaused    also: paused while a task waited
        FivetranConnectionBroken    its setup is broken or incomplete
        FivetranSyncRunning         a sync is running and ``when_running="fail"``
        FivetranTransformationRunning   a run is under way and ``when_running="fail"``
        FivetranResyncRefused       a re-sync that is not confirmed, or whose tables cannot be re-synced
    FivetranSyncError               the awaited sync itself
        FivetranSyncFailed          it ended badly
        FivetranSyncCancelled       it was stopped before its end
        FivetranSyncRescheduled     Fivetran put it off and ``when_rescheduled="fail"``
        FivetranSyncNeverStarted    the trigger was accepted, but no sync showed itself
        FivetranSyncTimeout         the deadline passed first
        FivetranConnectionDeleted   the connection is gone
    FivetranTransformationError     the awaited run of a transformation itself
        FivetranTransformationFailed        it ended badly, or only in part well
        FivetranTransformationCancelled     it was cancelled
        FivetranTransformationBlocked       Fivetran keeps the transformation from running
        FivetranTransformationNeverStarted  the trigger was accepted, but no run showed itself
        FivetranTransformationTimeout       the deadline passed first
        FivetranTransformationDeleted       the transformation is gone
    FivetranTriggerUncertain        the answer to a trigger was lost, and nothing tells whether it took
    FivetranNotFresh                connections are not as fresh, or not as healthy, as is demanded
        FivetranNeedsAttention      and some of them will not be before a person has looked at them
    FivetranSnapshotIncomplete      the requests that a snapshot may make did not suffice
    FivetranSnapshotTooLarge        a snapshot that is to be held in memory, or in an XCom, is too large for that
    FivetranSyncsFailed             of many syncs that one task started, more failed than it bears
        FivetranSyncsNeedAttention  and no retry mends any of those
    FivetranWebhookTestFailed       the receiver of a webhook took no test delivery
    FivetranWrongDescription        what is described does not exist, or Fivetran does not let it be so
    FivetranNotAsDescribed          something is not as described, and is not to be changed, or did not change
    FivetranSetupTestFailed         a connection is as described, but its setup tests fail
    FivetranKeyNotUsable            a pair of keys is not one that can be rotated; nothing was changed
    FivetranKeyNotStored            a rotated key did not arrive in its Airflow connection
    FivetranSchemaDrift             a schema configuration is not as described, or not as it was before

Each error takes its message first and everything else by keyword, so that it survives pickling and copying.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypedDict

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Unpack

__all__ = [
    "FivetranApiError",
    "FivetranArgumentMissing",
    "FivetranConflict",
    "FivetranConnectionBroken",
    "FivetranConnectionDeleted",
    "FivetranConnectionPaused",
    "FivetranError",
    "FivetranForbidden",
    "FivetranKeyNotStored",
    "FivetranKeyNotUsable",
    "FivetranLookupError",
    "FivetranNeedsAttention",
    "FivetranNotAsDescribed",
    "FivetranNotFound",
    "FivetranNotFresh",
    "FivetranRateLimited",
    "FivetranRefused",
    "FivetranResyncRefused",
    "FivetranSchemaDrift",
    "FivetranServerError",
    "FivetranSetupTestFailed",
    "FivetranSnapshotIncomplete",
    "FivetranSnapshotTooLarge",
    "FivetranSyncCancelled",
    "FivetranSyncError",
    "FivetranSyncFailed",
    "FivetranSyncNeverStarted",
    "FivetranSyncRescheduled",
    "FivetranSyncRunning",
    "FivetranSyncTimeout",
    "FivetranSyncsFailed",
    "FivetranSyncsNeedAttention",
    "FivetranTransformationBlocked",
    "FivetranTransformationCancelled",
    "FivetranTransformationDeleted",
    "FivetranTransformationError",
    "FivetranTransformationFailed",
    "FivetranTransformationNeverStarted",
    "FivetranTransformationRunning",
    "FivetranTransformationTimeout",
    "FivetranTriggerUncertain",
    "FivetranUnauthorized",
    "FivetranUnexpectedAnswer",
    "FivetranUnreachable",
    "FivetranWebhookTestFailed",
    "FivetranWrongDescription",
]


class Facts(TypedDict, total=False):
    """What any error may know."""

    status: int | None
    code: str | None
    connection_id: str | None
    link: str | None
    transformation_id: str | None


class FivetranError(Exception):
    """Anything that this provider reports.

    :ivar status: HTTP status of the answer, where there was one.
    :ivar code: Fivetran's own error code, such as ``NotFound_Connection``.
    :ivar connection_id: the Fivetran connection concerned, where known.
    :ivar link: where to look in the Fivetran dashboard, where known.
    :ivar transformation_id: the transformation concerned, where known.
    :cvar permanent: whether trying the task again without changing anything is pointless.
    """

    permanent: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        connection_id: str | None = None,
        link: str | None = None,
        transformation_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.connection_id = connection_id
        self.link = link
        self.transformation_id = transformation_id


class FivetranUnreachable(FivetranError):
    """No usable answer came: connection refused or reset, or the time limit passed.

    :ivar maybe_received: whether Fivetran may have received and carried out the request all the same.
    """

    def __init__(self, message: str = "", *, maybe_received: bool = True, **facts: Unpack[Facts]) -> None:
        super().__init__(message, **facts)
        self.maybe_received = maybe_received


class FivetranUnexpectedAnswer(FivetranError):
    """An answer came, but not in the shape that Fivetran documents (for instance a proxy's HTML page)."""


class FivetranApiError(FivetranError):
    """Fivetran answered with an error."""

    permanent = True


class FivetranUnauthorized(FivetranApiError):
    """401: Fivetran does not know the key, or the key has expired or was revoked."""


class FivetranForbidden(FivetranApiError):
    """403: the key is valid but lacks the right that the request needs."""


class FivetranNotFound(FivetranApiError):
    """404: what was asked for does not exist, or the key may not see it."""


class FivetranConflict(FivetranApiError):
    """409: the state of the connection does not allow the request now."""

    permanent = False


class FivetranRateLimited(FivetranApiError):
    """429: the account has spent its requests.

    :ivar retry_after: seconds after which Fivetran wants to be asked again, where it said so.
    """

    permanent = False

    def __init__(
        self, message: str = "", *, retry_after: float | None = None, **facts: Unpack[Facts]
    ) -> None:
        facts.setdefault("status", 429)
        super().__init__(message, **facts)
        self.retry_after = retry_after


class FivetranServerError(FivetranApiError):
    """5xx: Fivetran, or something on the way to it, failed."""

    permanent = False


class FivetranArgumentMissing(FivetranError, ValueError):
    """The template of an argument, or the task that it comes from, found no value. Nothing was asked of Fivetran."""

    permanent = True


class FivetranLookupError(FivetranError):
    """No connection has the name that was looked up, or more than one has."""

    permanent = True


class FivetranRefused(FivetranError):
    """The task forbids to start a sync in the state that the connection is in, or with what templates made of it."""

    permanent = True


class FivetranConnectionPaused(FivetranRefused):
    """The connection is paused, or was paused while a task waited for its sync."""


class FivetranConnectionBroken(FivetranRefused):
    """The setup of the connection is broken or was never completed."""


class FivetranSyncRunning(FivetranRefused):
    """A sync is already running and the task must not share it."""

    permanent = False


class FivetranTransformationRunning(FivetranRefused):
    """A run of the transformation is under way and the task must not share it."""

    permanent = False


class FivetranResyncRefused(FivetranRefused):
    """The re-sync is not the one that was meant, or cannot be.

    It is of everything and was not confirmed; or its tables are none, do not exist or are disabled; or the type of
    the connection cannot re-sync single tables.
    """


class FivetranSyncError(FivetranError):
    """What became of the awaited sync, when that was not a success."""


class FivetranSyncFailed(FivetranSyncError):
    """The sync ended badly."""


class FivetranSyncCancelled(FivetranSyncError):
    """The sync was stopped before its end, by a person or by another start."""


class FivetranSyncRescheduled(FivetranSyncError):
    """Fivetran put the sync off and the task must not wait for that.

    :ivar rescheduled_for: until when (UTC), where Fivetran announced it.
    """

    def __init__(
        self, message: str = "", *, rescheduled_for: datetime | None = None, **facts: Unpack[Facts]
    ) -> None:
        super().__init__(message, **facts)
        self.rescheduled_for = rescheduled_for


class FivetranSyncNeverStarted(FivetranSyncError):
    """Fivetran accepted the trigger, but no sync showed itself in time."""


class FivetranSyncTimeout(FivetranSyncError):
    """The deadline of the wait passed before the sync ended."""


class FivetranConnectionDeleted(FivetranSyncError):
    """The connection no longer exists."""

    permanent = True


class FivetranTransformationError(FivetranError):
    """What became of the awaited run of a transformation, when that was not a success."""


class FivetranTransformationFailed(FivetranTransformationError):
    """The run ended badly, or only in part well (``PARTIALLY_SUCCEEDED``) where that is not enough."""


class FivetranTransformationCancelled(FivetranTransformationError):
    """The run was cancelled before its end."""


class FivetranTransformationBlocked(FivetranTransformationError):
    """Fivetran keeps the transformation from running."""


class FivetranTransformationNeverStarted(FivetranTransformationError):
    """Fivetran accepted the trigger, but no run showed itself in time."""


class FivetranTransformationTimeout(FivetranTransformationError):
    """The deadline of the wait passed before the run ended."""


class FivetranTransformationDeleted(FivetranTransformationError):
    """The transformation no longer exists."""

    permanent = True


class FivetranTriggerUncertain(FivetranError):
    """The answer to a trigger was lost, and nothing that can be read tells whether the trigger took.

    A person has to look before the task runs again, so it is not retried.
    """

    permanent = True


class FivetranNotFresh(FivetranError):
    """Connections are not as fresh, or not as healthy, as is demanded; the text lists them.

    ``connection_id`` and ``link`` are those of the one that matters most.
    """


class FivetranNeedsAttention(FivetranNotFresh):
    """Some of those that are not as demanded are broken, paused or missing: a retry would find them so again."""

    permanent = True


class FivetranSnapshotIncomplete(FivetranError):
    """The requests that a snapshot may make did not suffice. Another try goes on where this one stopped."""


class FivetranSnapshotTooLarge(FivetranError):
    """A snapshot without a target is larger than is allowed for an XCom: give it a target, or fewer tables."""

    permanent = True


class FivetranSyncsFailed(FivetranError):
    """Of many syncs that one task started, more did not end well than it bears; the text lists them.

    ``connection_id`` and ``link`` are those of the first of them.
    """


class FivetranSyncsNeedAttention(FivetranSyncsFailed):
    """No retry mends any of those that did not end well: a person has to look at them."""

    permanent = True


class FivetranWebhookTestFailed(FivetranError):
    """The receiver of a webhook did not take a test delivery of Fivetran's."""


class FivetranWrongDescription(FivetranError):
    """What is described has a type, a name or a value that does not exist, lacks something, or is not allowed.

    The text names all that is wrong. Nothing was changed.
    """

    permanent = True


class FivetranNotAsDescribed(FivetranError):
    """Something is not as described, and the task must not change it, or Fivetran did not let it be changed."""

    permanent = True


class FivetranSetupTestFailed(FivetranError):
    """A connection is set up as described, but with that Fivetran does not get into the source."""


class FivetranKeyNotUsable(FivetranError):
    """The keys of two Airflow connections are not a pair that can be rotated. Nothing was changed."""

    permanent = True


class FivetranKeyNotStored(FivetranError):
    """A key was rotated, but its new secret could not be stored, or Airflow does not hand it out.

    The other key of the pair works; the next rotation mends this one first.
    """


class FivetranSchemaDrift(FivetranError):
    """The schema configuration of a connection is not as described, or not as it was before; the text lists how."""

    permanent = True
