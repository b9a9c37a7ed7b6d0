"""Webhooks: managed through the API, delivered to a real receiver, sent again, and disturbed on demand."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import datetime, timedelta

import pytest
import requests

from airflow_provider_fivetran.simulator import Mishap, Simulator, SyncPlan
from airflow_provider_fivetran.simulator.deliveries import PATIENCE, RETRIES
from webhook_receiver import listening

SECRET = "a-secret-of-a-webhook"
BOTH = ["sync_start", "sync_end"]
TASK = {"code": "reconnect", "message": "Reconnect", "details": ""}
HEAD = ["event", "created", "connector_type", "connector_id", "connector_name"]


@pytest.fixture
def receiver():
    with listening() as receiver:
        yield receiver


@pytest.fixture
def hook(sim, api, receiver):
    """An active webhook of the account, whose test payload has arrived and is forgotten."""
    answer = create(api, receiver.url)
    receiver.forget()
    return sim.webhooks.get(answer.json()["data"]["id"])


def create(api, url, *, where="account", **body):
    return api.post(f"/v1/webhooks/{where}", {"url": url, "events": BOTH, "secret": SECRET, **body})


def change(api, hook, **body):
    return api.session.request("PATCH", f"{api.url}/v1/webhooks/{hook.id}", json=body, timeout=10)


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def delivery(sim, number=-1):
    """A delivery whose latest attempt has been answered."""
    found = sim.deliveries.all()[number]
    until(lambda: found.attempts and (found.attempts[-1].status or found.attempts[-1].error))
    return found


def sync(sim, *plans, connection_id="c", seconds=1, **fields):
    """Add a connection and let it sync once; the time is moved by hand."""
    sim.add_connection(connection_id, plans=plans or [SyncPlan(duration=1)], **fields)
    run = sim.start_sync(connection_id)
    sim.clock.advance(seconds)
    sim.tick()
    return run


class TestManaging:
    @pytest.mark.parametrize(("where", "group"), [("account", None), ("group/sim_group", "sim_group")])
    def test_a_webhook_is_made_shown_changed_and_deleted(self, sim, api, receiver, where, group):
        made = create(api, receiver.url, where=where)
        data = made.json()["data"]
        assert made.status_code == 200
        assert (data["type"], data["group_id"]) == (where.partition("/")[0], group)
        assert (data["secret"], data["active"], data["created_by"]) == ("******", True, "sim_user")
        path = f"/v1/webhooks/{data['id']}"
        assert api.get(path).json()["data"] == data
        assert api.get("/v1/webhooks").json()["data"]["items"] == [data]
        changed = api.session.request("PATCH", sim.url + path, json={"events": ["sync_end"]}, timeout=10)
        assert changed.json()["data"] == {**data, "events": ["sync_end"]}
        assert api.delete(path).status_code == 200
        assert api.get(path).json()["code"] == "NotFound_Webhook"

    def test_they_are_listed_in_pages(self, api):
        for number in range(3):
            create(api, f"https://airflow.example/{number}", active=False)
        first = api.get("/v1/webhooks", limit=2).json()["data"]
        rest = api.get("/v1/webhooks", limit=2, cursor=first["next_cursor"]).json()["data"]
        assert [row["url"][-1] for row in first["items"] + rest["items"]] == ["0", "1", "2"]
        assert "next_cursor" not in rest

    @pytest.mark.parametrize(
        ("body", "word"),
        [
            ({"url": "http://airflow.example/hook"}, "HTTPS"),
            ({"url": "http://10.0.0.1/hook"}, "HTTPS"),
            ({"url": "ftp://127.0.0.1/hook"}, "HTTPS"),
            ({"url": "https://"}, "HTTPS"),
            ({"url": "http://[::1/hook"}, "HTTPS"),
            ({"events": []}, "empty"),
            ({"events": ["sync_ended"]}, "sync_end,"),
            ({"events": [["sync_end"]]}, "allowed"),
            ({"events": "sync_end"}, "list"),
        ],
    )
    def test_what_fivetran_would_refuse_is_refused_in_words(self, sim, api, body, word):
        whole = {"url": "https://airflow.example/hook", "events": BOTH, "active": False}
        answer = api.post("/v1/webhooks/account", whole | body)
        assert (answer.status_code, answer.json()["code"]) == (400, "InvalidInput")
        assert word in answer.json()["message"]
        assert sim.webhooks.all() == []

    @pytest.mark.parametrize("missing", ["url", "events"])
    def test_an_address_and_events_are_required(self, api, missing):
        body = {"url": "https://airflow.example/hook", "events": BOTH}
        del body[missing]
        answer = api.post("/v1/webhooks/account", body)
        assert (answer.status_code, answer.json()["message"]) == (400, f"Field '{missing}' is required")

    def test_plain_http_even_to_this_machine_is_refused_where_the_switch_says_so(self, sim, api, receiver):
        sim.switches.webhook_http_to_loopback = False
        assert create(api, receiver.url).status_code == 400
        assert receiver.arrivals == []

    def test_a_group_that_does_not_exist_has_no_webhook(self, api, receiver):
        assert create(api, receiver.url, where="group/nowhere").json()["code"] == "NotFound_Group"
        assert receiver.arrivals == []


class TestRights:
    @pytest.mark.parametrize("right", ["read", "none"])
    def test_a_key_without_the_right_changes_nothing(self, sim, api, hook, right):
        sim.add_key("narrow", "s", webhooks=right)
        api.session.auth = ("narrow", "s")
        path = f"/v1/webhooks/{hook.id}"
        assert api.get("/v1/webhooks").status_code == (200 if right == "read" else 403)
        assert api.get(path).status_code == (200 if right == "read" else 403)
        assert create(api, hook.url).status_code == 403
        assert change(api, hook, active=False).status_code == 403
        assert api.post(f"{path}/test", {"event": "sync_end"}).status_code == 403
        assert api.delete(path).status_code == 403
        assert sim.webhooks.all() == [hook]

    def test_a_key_of_one_group_sees_only_its_webhooks(self, sim, api, hook, receiver):
        sim.add_group("other")
        sim.add_key("narrow", "s", groups=["other"])
        api.session.auth = ("narrow", "s")
        assert create(api, receiver.url).status_code == 403
        assert create(api, receiver.url, where="group/sim_group").status_code == 404
        made = create(api, receiver.url, where="group/other").json()["data"]
        assert api.get("/v1/webhooks").json()["data"]["items"] == [made]
        assert api.get(f"/v1/webhooks/{hook.id}").status_code == 404

    def test_a_right_that_does_not_exist_is_refused(self, sim):
        with pytest.raises(ValueError, match="webhooks is 'write'; allowed: manage, read, none"):
            sim.add_key("k", "s", webhooks="write")


class TestTestPayloads:
    def test_creating_sends_one_without_a_sync(self, api, receiver):
        create(api, receiver.url)
        [arrival] = receiver.arrivals
        body = arrival.json
        assert list(body) == ["event", "created", "connector_type", "connector_id", "group_id"]
        assert (body["event"], body["connector_id"]) == ("test_event", "_connection_1")
        assert arrival.is_signed_with(SECRET)

    def test_it_is_unsigned_where_the_switch_says_so(self, sim, api, receiver):
        sim.switches.webhook_tests_signed = False
        create(api, receiver.url)
        assert receiver.arrivals[0].signature is None

    @pytest.mark.parametrize("status", [301, 401, 500])
    def test_a_receiver_that_refuses_it_gets_no_webhook(self, sim, api, receiver, status):
        receiver.statuses = [status]
        answer = create(api, receiver.url)
        assert answer.status_code == 400
        assert str(status) in answer.json()["message"]
        assert sim.webhooks.all() == []

    def test_nor_does_an_address_where_nobody_listens(self, sim, api):
        answer = create(api, "http://127.0.0.1:1/hook")
        assert answer.status_code == 400
        assert "127.0.0.1" in answer.json()["message"]
        assert sim.webhooks.all() == []

    def test_nor_one_that_does_not_answer_in_time(self, sim, api, receiver):
        done = threading.Event()
        receiver.before_answer = lambda: done.wait(10)
        sim.switches.webhook_timeout = 0.1
        assert "within 0.1 s" in create(api, receiver.url).json()["message"]
        done.set()

    def test_one_that_is_not_active_is_tested_when_it_becomes_so(self, sim, api, receiver):
        made = create(api, receiver.url, active=False).json()["data"]
        hook = sim.webhooks.get(made["id"])
        assert (made["active"], receiver.arrivals) == (False, [])
        receiver.statuses = [500]
        assert change(api, hook, active=True, events=["sync_end"]).status_code == 400
        assert (hook.active, hook.events) == (False, BOTH)
        assert change(api, hook, active=True).json()["data"]["active"] is True
        assert change(api, hook, active=True).ok
        assert len(receiver.arrivals) == 2

    def test_activating_tests_the_address_and_secret_that_are_to_be(self, sim, api, receiver):
        hook = sim.webhooks.get(create(api, "https://x.example", active=False).json()["data"]["id"])
        assert change(api, hook, active=True, url=receiver.url, secret="another").ok
        assert receiver.arrivals[0].is_signed_with("another")

    @pytest.mark.parametrize(("status", "succeeds"), [(204, True), (503, False)])
    def test_testing_tells_what_the_receiver_said(self, api, hook, receiver, status, succeeds):
        receiver.statuses = [status]
        answer = api.post(f"/v1/webhooks/{hook.id}/test", {"event": "sync_end"})
        assert answer.status_code == 200
        data = answer.json()["data"]
        assert (data["succeed"], data["status"]) == (succeeds, status)
        assert receiver.arrivals[0].json["event"] == "sync_end"
        assert receiver.arrivals[0].json["connector_id"] == "_connection_1"

    @pytest.mark.parametrize("body", [{}, {"event": "sync_ended"}, {"event": 7}])
    def test_testing_needs_an_event_that_exists(self, api, hook, body):
        assert api.post(f"/v1/webhooks/{hook.id}/test", body).status_code == 400

    def test_nothing_else_waits_for_a_receiver(self, sim, api, receiver):
        done, answers = threading.Event(), []
        receiver.before_answer = lambda: done.wait(10)
        creating = threading.Thread(target=lambda: answers.append(create(api, receiver.url)))
        creating.start()
        receiver.wait_for(1)
        sync(sim)
        assert sim.account.connection("c").succeeded_at is not None
        assert type(api)(sim.url).get("/v1/webhooks").json()["data"]["items"] == []
        done.set()
        creating.join()
        assert answers[0].ok


class TestDeliveries:
    def test_the_start_and_the_end_of_a_sync_are_told(self, sim, hook, receiver):
        run = sync(sim, service="google_sheets", schema="shop")
        start, end = sorted((a.json for a in receiver.wait_for(2)), key=lambda body: body["created"])
        assert list(end) == [*HEAD, "sync_id", "destination_group_id", "data"]
        assert list(start) == list(end)[:-1]
        assert end == {
            "event": "sync_end",
            "created": end["created"],
            "connector_type": "google_sheets",
            "connector_id": "c",
            "connector_name": "shop",
            "sync_id": run.sync_id,
            "destination_group_id": "sim_group",
            "data": {"status": "SUCCESSFUL"},
        }
        assert start["event"] == "sync_start"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", end["created"])
        ended = datetime.fromisoformat(end["created"])
        assert timedelta(0) <= run.ended_at - ended < timedelta(milliseconds=1)

    def test_the_body_has_no_blanks_and_is_json(self, sim, hook, receiver):
        sync(sim, schema="Größe")
        body = receiver.wait_for(2)[-1].body
        assert b'", "' not in body
        assert "Größe".encode() in body
        assert receiver.arrivals[0].headers["Content-Type"] == "application/json"

    @pytest.mark.parametrize(
        ("plan", "data"),
        [
            (SyncPlan(outcome="failure", reason="no"), {"status": "FAILURE", "reason": "no"}),
            (
                SyncPlan(outcome="failure", tasks=[TASK], reason="no"),
                {"status": "FAILURE_WITH_TASK", "reason": "no", "taskType": "reconnect"},
            ),
            (
                SyncPlan(outcome="rescheduled", reschedule_after=60, reason="quota"),
                {"status": "RESCHEDULED", "reason": "quota", "rescheduledAt": ...},
            ),
            (
                SyncPlan(outcome="rescheduled", reschedule_after=None, reason="quota"),
                {"status": "RESCHEDULED", "reason": "quota"},
            ),
            (SyncPlan(outcome="canceled", reason="a person"), {"status": "CANCELED", "reason": "a person"}),
            (SyncPlan(outcome="incomplete", reason="x"), {"status": "CANCELED", "reason": "x"}),
        ],
    )
    def test_the_end_says_how(self, sim, hook, receiver, plan, data):
        run = sync(sim, plan)
        [end] = [a.json for a in receiver.wait_for(2) if a.json["event"] == "sync_end"]
        if "rescheduledAt" in data:
            at = datetime.fromisoformat(end["data"]["rescheduledAt"])
            assert timedelta(0) <= run.rescheduled_for - at < timedelta(milliseconds=1)
            data = {**data, "rescheduledAt": end["data"]["rescheduledAt"]}
        assert end["data"] == data
        assert list(end["data"]) == list(data)

    @pytest.mark.parametrize(("case", "changed"), [("upper", str.upper), ("lower", str.lower)])
    def test_the_raw_body_is_signed(self, sim, hook, receiver, case, changed):
        sim.switches.webhook_signature_case = case
        sync(sim)
        for arrival in receiver.wait_for(2):
            assert arrival.is_signed_with(SECRET)
            assert len(arrival.signature) == 64
            assert arrival.signature == changed(arrival.signature)

    def test_without_a_secret_there_is_no_signature(self, sim, api, receiver):
        create(api, receiver.url, secret="")
        sync(sim)
        assert [arrival.signature for arrival in receiver.wait_for(3)] == [None] * 3

    def test_only_who_wants_it_hears_of_it(self, sim, api, receiver):
        sim.add_group("other")
        for where, events in {
            "account": ["sync_end"],
            "group/sim_group": ["sync_end"],
            "group/other": BOTH,
        }.items():
            create(api, f"{receiver.url}/{where}", where=where, events=events)
        create(api, receiver.url, active=False)
        receiver.forget()
        sync(sim)
        told = [(d.webhook.url.partition("/hook/")[2], d.event) for d in sim.deliveries.all()[3:]]
        assert told == [("account", "sync_end"), ("group/sim_group", "sync_end")]

    def test_a_connection_that_keeps_its_own_schedule_tells_of_every_sync(self, receiver):
        simulator = Simulator(speed=600)
        simulator.switches.follow_sync_frequency = True
        with simulator.serving() as url:
            body = {"url": receiver.url, "events": ["sync_end"]}
            requests.post(f"{url}/v1/webhooks/account", json=body, auth=("sim-key", "sim-secret"), timeout=10)
            simulator.add_connection("c", sync_frequency=1, default_plan=SyncPlan(duration=10))
            arrivals = receiver.wait_for(4)
        told = [arrival.json["sync_id"] for arrival in arrivals[1:]]
        assert told == [run.sync_id for run in simulator.runs("c")[: len(told)]]
        assert {run.cause for run in simulator.runs("c")} == {"schedule"}

    def test_a_slow_receiver_holds_up_no_other_delivery(self, sim, api, hook, receiver):
        done = threading.Event()
        receiver.before_answer = lambda: done.wait(10)
        for number in range(20):
            sync(sim, connection_id=f"c{number}")
        assert len(receiver.wait_for(40)) == 40
        done.set()

    def test_any_event_is_told_on_demand(self, sim, api, receiver):
        create(api, receiver.url, events=["transformation_succeeded"])
        sim.add_connection("c")
        sent = {"event": "transformation_succeeded", "connection_id": "c", "data": {"id": "t"}}
        assert api.post("/_control/deliveries", sent).status_code == 201
        body = receiver.wait_for(2)[1].json
        assert (body["event"], body["data"]) == ("transformation_succeeded", {"id": "t"})
        assert "sync_id" not in body

    @pytest.mark.parametrize(
        "body", [{}, {"event": "sync_end"}, {"event": 1, "connection_id": "c"}, {"what": 1}]
    )
    def test_what_cannot_be_told_is_refused(self, sim, api, body):
        sim.add_connection("c")
        assert api.post("/_control/deliveries", body).status_code == 400


class TestRetries:
    def test_a_delivery_that_fails_is_repeated_when_documented(self, sim, hook, receiver):
        receiver.statuses = [500] * 5
        hook.events = ["sync_end"]
        sync(sim)
        receiver.wait_for(1)
        found = delivery(sim)
        begun = sim.clock.now()
        for number, pause in enumerate(RETRIES, start=1):
            until(lambda n=number: found.failures == n)
            sim.clock.advance((begun + pause - sim.clock.now()).total_seconds() - 1)
            assert len(found.attempts) == number
            sim.clock.advance(2)
            receiver.wait_for(number + 1)
        until(lambda: found.state == "delivered")
        assert len({arrival.body for arrival in receiver.arrivals}) == 1
        assert [attempt.status for attempt in found.attempts] == [500] * 5 + [200]

    def test_after_the_last_one_it_is_given_up(self, sim, hook, receiver):
        receiver.statuses = [503] * 20
        hook.events = ["sync_end"]
        sync(sim)
        found = delivery(sim)
        begun = sim.clock.now()
        for number, pause in enumerate(RETRIES, start=1):
            until(lambda n=number: found.failures == n)
            sim.clock.advance((begun + pause - sim.clock.now()).total_seconds() + 1)
            receiver.wait_for(number + 1)
        until(lambda: found.state == "failed")
        sim.clock.advance(48 * 3600)
        sim.tick()
        assert len(receiver.arrivals) == 6

    def test_the_pauses_can_be_shortened(self, sim, hook, receiver):
        sim.switches.webhook_retry_factor = 0.001
        receiver.statuses = [500]
        hook.events = ["sync_end"]
        sync(sim)
        until(lambda: delivery(sim).failures == 1)
        sim.clock.advance(0.37)
        assert len(receiver.wait_for(2)) == 2

    def test_a_webhook_to_which_nothing_arrives_for_three_days_is_deactivated(self, sim, hook, receiver):
        receiver.statuses = [500] * 100
        hook.events = ["sync_end"]
        sync(sim)
        until(lambda: hook.failing_since is not None)
        sim.clock.advance(PATIENCE.total_seconds() - 60)
        until(lambda: delivery(sim).state == "failed")
        assert hook.active
        sim.clock.advance(120)
        sim.start_sync("c")
        sim.clock.advance(1)
        until(lambda: not hook.active)
        sim.start_sync("c")
        sim.clock.advance(48 * 3600)
        until(lambda: [found.state for found in sim.deliveries.all()[1:]] == ["failed", "dropped"])
        assert len(receiver.arrivals) == 7

    def test_activated_again_it_has_its_patience_back(self, sim, api, hook, receiver):
        hook.active, hook.failing_since = False, sim.clock.now() - 2 * PATIENCE
        assert change(api, hook, active=True).ok
        receiver.statuses = [500, 500]
        sync(sim)
        until(lambda: hook.failing_since is not None)
        assert hook.active

    def test_one_success_ends_a_row_of_failures(self, sim, hook, receiver):
        receiver.statuses = [500]
        sync(sim)
        receiver.wait_for(2)
        until(lambda: {found.state for found in sim.deliveries.all()[1:]} == {"waiting", "delivered"})
        sim.start_sync("c")
        receiver.wait_for(3)
        until(lambda: hook.failing_since is None)

    def test_nothing_more_is_sent_to_a_webhook_that_was_deleted(self, sim, api, hook, receiver):
        receiver.statuses = [500, 500]
        sync(sim)
        until(lambda: all(found.failures == 1 for found in sim.deliveries.all()[1:]))
        api.delete(f"/v1/webhooks/{hook.id}")
        sim.clock.advance(3600)
        sim.tick()
        assert [found.state for found in sim.deliveries.all()[1:]] == ["dropped", "dropped"]
        assert len(receiver.arrivals) == 2

    @pytest.mark.parametrize("keeps", [False, True])
    def test_a_repetition_after_a_rotation_is_signed_as_the_switch_says(
        self, sim, api, hook, receiver, keeps
    ):
        sim.switches.webhook_retries_keep_secret = keeps
        receiver.statuses = [500]
        hook.events = ["sync_end"]
        sync(sim)
        until(lambda: delivery(sim).failures == 1)
        assert change(api, hook, secret="new").ok
        sim.clock.advance(7 * 60)
        first, second = receiver.wait_for(2)
        assert first.is_signed_with(SECRET)
        assert second.is_signed_with(SECRET if keeps else "new")


class TestMishaps:
    @pytest.fixture(autouse=True)
    def only_ends(self, hook):
        hook.events = ["sync_end"]

    def strike(self, sim, kind, **rule):
        sim.deliveries.mishaps.add(Mishap(kind, **rule))
        return sync(sim)

    def test_a_duplicate_arrives_twice_alike(self, sim, receiver):
        self.strike(sim, "duplicate")
        first, second = receiver.wait_for(2)
        assert (first.body, first.signature) == (second.body, second.signature)
        assert [attempt.mishap for attempt in delivery(sim).attempts] == ["duplicate", "duplicate"]

    def test_a_delayed_one_arrives_later(self, sim, receiver):
        self.strike(sim, "delay", delay=30)
        sim.clock.advance(29)
        sim.tick()
        assert receiver.arrivals == []
        sim.clock.advance(2)
        assert len(receiver.wait_for(1)) == 1

    def test_a_reordered_one_arrives_after_the_next(self, sim, receiver):
        first = self.strike(sim, "reorder", delay=3600)
        second = sim.start_sync("c")
        sim.clock.advance(1)
        told = [arrival.json["sync_id"] for arrival in receiver.wait_for(2)]
        assert told == [second.sync_id, first.sync_id]
        sim.clock.advance(3600)
        sim.tick()
        assert len(receiver.arrivals) == 2

    def test_a_reordered_one_that_nothing_follows_arrives_all_the_same(self, sim, receiver):
        self.strike(sim, "reorder", delay=5)
        sim.clock.advance(5)
        assert len(receiver.wait_for(1)) == 1

    def test_a_lost_one_is_sent_again(self, sim, receiver):
        self.strike(sim, "lost")
        assert delivery(sim).attempts[0].error == "lost on its way"
        assert receiver.arrivals == []
        sim.clock.advance(6 * 60)
        assert receiver.wait_for(1)[0].is_signed_with(SECRET)

    def test_a_wrong_signature_looks_like_a_right_one(self, sim, receiver):
        self.strike(sim, "wrong_signature")
        [arrival] = receiver.wait_for(1)
        assert re.fullmatch("[0-9A-F]{64}", arrival.signature)
        assert not arrival.is_signed_with(SECRET)

    def test_an_unsigned_one_has_none(self, sim, receiver):
        self.strike(sim, "unsigned")
        assert receiver.wait_for(1)[0].signature is None

    def test_a_truncated_one_is_half_a_body_with_the_signature_of_the_whole(self, sim, receiver):
        self.strike(sim, "truncated")
        [arrival] = receiver.wait_for(1)
        with pytest.raises(json.JSONDecodeError):
            json.loads(arrival.body)
        assert not arrival.is_signed_with(SECRET)
        assert delivery(sim).body.startswith(arrival.body)

    def test_a_replay_is_the_same_once_more(self, sim, api, hook, receiver):
        sync(sim)
        [first] = receiver.wait_for(1)
        change(api, hook, secret="rotated since")
        number = delivery(sim).number
        assert api.post(f"/_control/deliveries/{number}/replay").ok
        assert receiver.wait_for(2)[1].body == first.body
        assert receiver.arrivals[1].signature == first.signature
        assert api.post("/_control/deliveries/999/replay").status_code == 400

    def test_a_rule_strikes_only_its_event_and_only_so_often(self, sim, hook, receiver):
        hook.events = BOTH
        self.strike(sim, "unsigned", event="sync_end", times=1)
        sim.start_sync("c")
        sim.clock.advance(1)
        arrivals = receiver.wait_for(4)
        assert sorted(a.json["event"] for a in arrivals if a.signature is None) == ["sync_end"]

    def test_chance_is_the_same_with_the_same_seed(self):
        def struck(seed):
            simulator = Simulator(seed=seed)
            simulator.deliveries.mishaps.add(Mishap("lost", times=None, probability=0.5))
            return [simulator.deliveries.mishaps.strike("sync_end") is None for _ in range(50)]

        assert struck(1) == struck(1) != struck(2)

    @pytest.mark.parametrize(
        "rule",
        [
            {},
            {"kind": "eaten"},
            {"kind": "lost", "times": 0},
            {"kind": "delay", "delay": -1},
            {"kind": "lost", "probability": 2},
            {"kind": "lost", "event": 7},
            {"kind": "lost", "color": "red"},
        ],
    )
    def test_a_rule_that_makes_no_sense_is_refused(self, api, rule):
        assert api.post("/_control/mishaps", rule).status_code == 400

    def test_rules_and_what_came_of_them_are_within_reach_of_other_processes(self, sim, api, receiver):
        assert api.post("/_control/mishaps", {"kind": "unsigned", "times": None}).status_code == 201
        run = sync(sim)
        receiver.wait_for(1)
        delivery(sim)
        [row] = [r for r in api.get("/_control/deliveries").json()["deliveries"] if r["connection_id"]]
        assert (row["event"], row["sync_id"], row["state"]) == ("sync_end", run.sync_id, "delivered")
        assert row["attempts"][0] | {"at": ""} == {
            "at": "",
            "mishap": "unsigned",
            "signature": None,
            "status": 200,
            "error": None,
        }
        assert SECRET not in json.dumps(row)
        assert api.delete("/_control/mishaps").ok
        sim.start_sync("c")
        sim.clock.advance(1)
        assert receiver.wait_for(2)[1].is_signed_with(SECRET)


def test_a_reset_forgets_webhooks_and_what_waits(sim, api, hook, receiver):
    receiver.statuses = [500, 500]
    sync(sim)
    until(lambda: all(found.failures == 1 for found in sim.deliveries.all()[1:]))
    sim.reset()
    sim.clock.advance(3600)
    sim.tick()
    assert (sim.webhooks.all(), sim.deliveries.all(), len(receiver.arrivals)) == ([], [], 2)
