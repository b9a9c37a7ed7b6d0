"""Deliveries of webhooks: signed, sent, sent again as documented, given up; and the record of all of it."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from .mishaps import Mishaps
from .payloads import TEST_EVENT, event_body, probe_body, sync_data

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from datetime import datetime

    from .clock import Clock
    from .mishaps import Mishap
    from .postman import Postman, Receipt
    from .records import Connection, Run
    from .switches import Switches
    from .webhooks import Webhook, Webhooks

SIGNATURE_HEADER = "X-Fivetran-Signature-256"
# How long after the first attempt each of the others follows; after the last one the delivery is given up.
RETRIES = tuple(timedelta(minutes=minutes) for minutes in (6, 27, 105, 385, 1393))
# A webhook to which nothing has arrived for so long is deactivated.
PATIENCE = timedelta(days=3)
# A simulator that serves for days remembers the latest deliveries only.
_LONGEST_LOG = 20_000


@dataclass(kw_only=True)
class Attempt:
    """One time that a delivery was put on its way. Neither a status nor an error: the answer has not come yet."""

    at: datetime
    mishap: str | None = None
    signature: str | None = None
    status: int | None = None
    error: str | None = None


@dataclass(kw_only=True, eq=False)
class Delivery:
    """One event for one webhook."""

    number: int
    webhook: Webhook
    event: str
    connection_id: str
    sync_id: str | None
    created_at: datetime
    body: bytes
    # The secret of the webhook when the event happened.
    secret: str | None = field(repr=False)
    state: Literal["waiting", "delivered", "failed", "dropped"] = "waiting"
    attempts: list[Attempt] = field(default_factory=list)
    # Attempts that failed and count; copies and replays do not.
    failures: int = 0
    first_sent_at: datetime | None = None
    # Its place in the queue; an older one no longer counts.
    entry: int = 0


class Deliveries:
    """Takes events in, sends what is due, and remembers what became of it.

    Nothing here waits for a receiver. Whoever calls may hold the account's lock.
    """

    def __init__(self, clock: Clock, switches: Switches, webhooks: Webhooks, *, seed: int = 0) -> None:
        self.mishaps = Mishaps(seed)
        # Set while the simulator is served; without one, deliveries wait.
        self.postman: Postman | None = None
        self._clock = clock
        self._switches = switches
        self._webhooks = webhooks
        self._lock = threading.RLock()
        self._log: deque[Delivery] = deque(maxlen=_LONGEST_LOG)
        # Due time, a number that keeps their order, the delivery, and whether a mishap may strike.
        self._queue: list[tuple[datetime, int, Delivery, bool]] = []
        # Those held back until a later one has been answered.
        self._held: list[Delivery] = []
        self._entries, self._numbers = count(), count(1)

    def clear(self) -> None:
        with self._lock:
            self.mishaps.clear()
            self._log.clear()
            self._queue.clear()
            self._held.clear()

    def all(self) -> list[Delivery]:
        """What was ever to be delivered, oldest first."""
        with self._lock:
            return list(self._log)

    # -- what is to be delivered --

    def tell_of_sync(self, event: str, connection: Connection, run: Run, at: datetime) -> None:
        """Deliver the start or the end of a sync to every webhook that wants it."""
        if webhooks := self._webhooks.wanting(event, connection.group_id):
            data = sync_data(connection, run)
            self._take(webhooks, event, at, connection, sync_id=run.sync_id, data=data)

    def tell(
        self,
        event: str,
        connection: Connection,
        *,
        sync_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Deliver any event, as if it had happened now."""
        webhooks = self._webhooks.wanting(event, connection.group_id)
        self._take(webhooks, event, self._clock.now(), connection, sync_id=sync_id, data=data)

    def test(self, webhook: Webhook, event: str = TEST_EVENT) -> Future[Receipt]:
        """Send a test payload once, whatever came of earlier ones, and whether the webhook is active or not."""
        now = self._clock.now()
        with self._lock:
            delivery = self._new(webhook, event, now, probe_body(event, now))
            attempt = self._attempt(delivery, None)
            if not self._switches.webhook_tests_signed:
                attempt.signature = None
        sent = self._post(delivery, attempt, delivery.body)
        sent.add_done_callback(lambda future: self._note_test(delivery, attempt, future))
        return sent

    def replay(self, number: int) -> None:
        """Send a delivery once more, byte for byte with the signature it had, as somebody who overheard it could.

        :raises ValueError: there is no such delivery, or it was never sent.
        """
        with self._lock:
            sent = {delivery.number: delivery for delivery in self._log if delivery.attempts}
            if number not in sent:
                raise ValueError(f"delivery is {number!r}; allowed: the number of one that was sent")
            delivery = sent[number]
            self._send_copy(delivery, delivery.attempts[0].signature, "replay")

    def _take(
        self, webhooks: list[Webhook], event: str, at: datetime, connection: Connection, **rest: Any
    ) -> None:
        body = event_body(event, at, connection, **rest)
        with self._lock:
            for webhook in webhooks:
                delivery = self._new(
                    webhook, event, at, body, connection_id=connection.id, sync_id=rest["sync_id"]
                )
                self._put(delivery, at)
        self.send_due()

    def _new(
        self,
        webhook: Webhook,
        event: str,
        at: datetime,
        body: bytes,
        *,
        connection_id: str = "",
        sync_id: str | None = None,
    ) -> Delivery:
        delivery = Delivery(
            number=next(self._numbers),
            webhook=webhook,
            event=event,
            connection_id=connection_id,
            sync_id=sync_id,
            created_at=at,
            body=body,
            secret=webhook.secret,
        )
        self._log.append(delivery)
        return delivery

    def _put(self, delivery: Delivery, due: datetime, *, fresh: bool = True) -> None:
        delivery.entry = next(self._entries)
        heappush(self._queue, (due, delivery.entry, delivery, fresh))

    # -- sending --

    def send_due(self) -> None:
        """Put on its way what is due by now."""
        if self.postman is None:
            return
        with self._lock:
            now = self._clock.now()
            while self._queue and self._queue[0][0] <= now:
                _due, entry, delivery, fresh = heappop(self._queue)
                if delivery.entry != entry:
                    continue
                if not (delivery.webhook.active and self._webhooks.has(delivery.webhook)):
                    delivery.state = "dropped"
                    continue
                self._send(delivery, self.mishaps.strike(delivery.event) if fresh else None, now)

    def _send(self, delivery: Delivery, mishap: Mishap | None, now: datetime) -> None:
        if mishap is not None and mishap.kind in ("delay", "reorder"):
            self._put(delivery, now + timedelta(seconds=mishap.delay), fresh=False)
            if mishap.kind == "reorder":
                self._held.append(delivery)
            return
        if delivery in self._held:
            self._held.remove(delivery)
        attempt = self._attempt(delivery, None if mishap is None else mishap.kind)
        delivery.first_sent_at = delivery.first_sent_at or attempt.at
        if mishap is not None and mishap.kind == "lost":
            self._failed(delivery, attempt, "lost on its way")
            return
        body = delivery.body
        if mishap is not None and mishap.kind == "truncated":
            body = body[: len(body) // 2]
        sent = self._post(delivery, attempt, body)
        sent.add_done_callback(lambda future: self._note(delivery, attempt, future))
        if mishap is not None and mishap.kind == "duplicate":
            self._send_copy(delivery, attempt.signature, "duplicate")

    def _send_copy(self, delivery: Delivery, signature: str | None, why: str) -> None:
        """Send what was sent before. Whatever comes of it changes nothing."""
        attempt = self._attempt(delivery, why)
        attempt.signature = signature
        sent = self._post(delivery, attempt, delivery.body)
        sent.add_done_callback(lambda future: _note_receipt(attempt, future))

    def _attempt(self, delivery: Delivery, mishap: str | None) -> Attempt:
        secret = delivery.secret if self._switches.webhook_retries_keep_secret else delivery.webhook.secret
        if mishap == "wrong_signature":
            secret = "not the secret"  # noqa: S105 - it must not be
        signature = None if secret is None or mishap == "unsigned" else self._sign(delivery.body, secret)
        attempt = Attempt(at=self._clock.now(), mishap=mishap, signature=signature)
        delivery.attempts.append(attempt)
        return attempt

    def _sign(self, body: bytes, secret: str) -> str:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return digest.upper() if self._switches.webhook_signature_case == "upper" else digest

    def _post(self, delivery: Delivery, attempt: Attempt, body: bytes) -> Future[Receipt]:
        headers = {"Content-Type": "application/json"}
        if attempt.signature is not None:
            headers[SIGNATURE_HEADER] = attempt.signature
        if self.postman is None:
            raise RuntimeError("deliveries are sent only while the simulator is served")
        return self.postman.post(delivery.webhook.url, body, headers, self._switches.webhook_timeout)

    # -- what came of it --

    def _note(self, delivery: Delivery, attempt: Attempt, future: Future[Receipt]) -> None:
        receipt = _note_receipt(attempt, future)
        if receipt is None:  # the simulator is no longer served
            return
        with self._lock:
            if receipt.arrived:
                delivery.state, delivery.webhook.failing_since = "delivered", None
            else:
                self._failed(delivery, attempt, receipt.error)
            overtaken = [held for held in self._held if held.webhook is delivery.webhook]
            for held in overtaken:
                self._put(held, self._clock.now(), fresh=False)
                self._held.remove(held)
        if overtaken:
            self.send_due()

    def _failed(self, delivery: Delivery, attempt: Attempt, error: str | None) -> None:
        """Plan the next attempt, or give up; and with a webhook that never works, on the webhook."""
        attempt.error = error
        factor = self._switches.webhook_retry_factor
        webhook, now = delivery.webhook, self._clock.now()
        webhook.failing_since = webhook.failing_since or attempt.at
        if now - webhook.failing_since >= PATIENCE * factor:
            webhook.active = False
        delivery.failures += 1
        if delivery.failures > len(RETRIES):
            delivery.state = "failed"
        else:
            first = delivery.first_sent_at or attempt.at
            self._put(delivery, first + RETRIES[delivery.failures - 1] * factor)

    def _note_test(self, delivery: Delivery, attempt: Attempt, future: Future[Receipt]) -> None:
        receipt = _note_receipt(attempt, future)
        delivery.state = "delivered" if receipt is not None and receipt.arrived else "failed"


def _note_receipt(attempt: Attempt, future: Future[Receipt]) -> Receipt | None:
    if future.cancelled():
        return None
    receipt = future.result()
    attempt.status, attempt.error = receipt.status, receipt.error
    return receipt
