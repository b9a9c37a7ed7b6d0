"""System keys really let requests in, for as long as they do with Fivetran."""

from __future__ import annotations

import pytest

DAY = 24 * 3600
SYNCS = [{"resource_type": "CONNECTOR", "access_level": "MANAGE"}]


def create(api, **fields):
    body = {"name": "k", "permissions": SYNCS} | fields
    answer = api.post("/v1/system-keys", body)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


@pytest.fixture
def status_with(api):
    """What an answer says to a key and a secret."""

    def ask(key, secret, method="GET", path="/v1/account/info", **options):
        auth = (key, secret)
        return api.session.request(method, api.url + path, auth=auth, timeout=10, **options).status_code

    return ask


def test_a_key_lets_in_until_it_is_rotated_and_then_only_with_the_new_secret(api, status_with):
    made = create(api)
    assert status_with(made["key"], made["secret"]) == 200
    rotated = api.post(f"/v1/system-keys/{made['id']}/rotate").json()["data"]
    assert rotated["key"] == made["key"]
    assert status_with(made["key"], made["secret"]) == 401
    assert status_with(made["key"], rotated["secret"]) == 200
    assert api.delete(f"/v1/system-keys/{made['id']}").status_code == 200
    assert status_with(made["key"], rotated["secret"]) == 401


@pytest.mark.parametrize(("period", "days"), [("ONE_WEEK", 7), ("ONE_MONTH", 30), ("SIX_MONTHS", 180)])
def test_a_key_expires_and_a_rotation_revives_it(sim, api, status_with, period, days):
    made = create(api, expiration_period=period)
    sim.clock.advance(days * DAY - 1)
    assert status_with(made["key"], made["secret"]) == 200
    sim.clock.advance(1)
    assert status_with(made["key"], made["secret"]) == 401
    rotated = api.post(f"/v1/system-keys/{made['id']}/rotate").json()["data"]
    assert status_with(made["key"], rotated["secret"]) == 200
    assert rotated.get("expired_at") is None


def test_the_secret_shows_in_two_answers_only(api):
    made = create(api)
    assert made["secret"]
    path = f"/v1/system-keys/{made['id']}"
    for answer in (
        api.get(path),
        api.get("/v1/system-keys"),
        api.session.patch(api.url + path, json={}, timeout=10),
    ):
        assert answer.status_code == 200
        assert "secret" not in answer.text


@pytest.mark.parametrize("rights", [{"system": True}, {"administrator": False}])
def test_only_an_administrators_own_key_manages_system_keys(sim, api, status_with, rights):
    made = create(api)
    sim.add_key("other", "secret", **rights)
    for method, path in (
        ("GET", "/v1/system-keys"),
        ("POST", "/v1/system-keys"),
        ("DELETE", f"/v1/system-keys/{made['id']}"),
        ("POST", f"/v1/system-keys/{made['id']}/rotate"),
    ):
        assert status_with("other", "secret", method, path, json={}) == 403
    assert len(sim.system_keys.all()) == 1


@pytest.mark.parametrize(
    ("level", "reading", "changing"), [("NONE", 403, 403), ("READ", 200, 403), ("MANAGE", 200, 201)]
)
def test_a_permission_opens_what_it_names_and_nothing_else(api, status_with, level, reading, changing):
    made = create(api, permissions=[{"resource_type": "TEAM", "access_level": level}])
    key = made["key"], made["secret"]
    assert status_with(*key, path="/v1/teams") == reading
    body = {"name": "T", "role": "Account Analyst"}
    assert status_with(*key, "POST", "/v1/teams", json=body) == changing
    assert status_with(*key) == 200
    for path in ("/v1/users", "/v1/roles", "/v1/groups", "/v1/connections", "/v1/webhooks"):
        assert status_with(*key, path=path) == 403


def test_the_account_and_the_last_use_tell_which_key_it_is(sim, api):
    made = sim.add_system_key("k")
    assert made.last_used_at is None
    api.session.auth = (made.key, made.secret)
    assert api.get("/v1/account/info").json()["data"]["system_key_id"] == made.id
    assert made.last_used_at == sim.clock.now()


def test_an_account_file_describes_them(sim, api):
    row = {"name": "k", "id": "key_1", "key": "ft_x", "secret": "s", "permissions": SYNCS}
    assert api.post("/_control/account", {"system_keys": [row]}).ok
    api.session.auth = ("ft_x", "s")
    assert api.get("/v1/connections").ok
    assert api.get("/v1/users").status_code == 403
    sim.reset()
    assert sim.system_keys.all() == []
    assert api.get("/v1/connections").status_code == 401


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"permissions": SYNCS}, "'name' is required"),
        ({"name": "k"}, "'permissions' is required"),
        ({"name": "k", "permissions": ["all"]}, "holds 'all'; allowed: objects"),
        ({"name": "k", "permissions": [{"resource_type": "X"}]}, "'resource_type' is 'X'; allowed: ACCOUNT"),
    ],
)
def test_a_wrong_key_is_refused(sim, api, body, words):
    answer = api.post("/v1/system-keys", body)
    assert answer.status_code == 400
    assert words in answer.json()["message"]
    assert sim.system_keys.all() == []
