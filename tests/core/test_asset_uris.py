"""What an asset URI stands for, and how it is spelt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.core.asset_uris import Subject, host_of

IDS = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True).filter(
    lambda text: text not in {"account", "failures", "groups"}
)
HOSTS = st.sampled_from(
    ["api.fivetran.com", "127.0.0.1:8080", "localhost", "[::1]:8000", "fivetran_sim:8080"]
)
SUBJECTS = st.one_of(
    st.builds(Subject, connection_id=IDS, failures=st.booleans(), host=HOSTS),
    st.builds(Subject, group_id=IDS, failures=st.booleans(), host=HOSTS),
    st.builds(Subject, failures=st.booleans(), host=HOSTS),
)


@pytest.mark.parametrize(
    ("subject", "uri"),
    [
        pytest.param(Subject(connection_id="a_b"), "fivetran://api.fivetran.com/a_b", id="one connection"),
        pytest.param(Subject(group_id="g_h"), "fivetran://api.fivetran.com/groups/g_h", id="a group"),
        pytest.param(Subject(), "fivetran://api.fivetran.com/account", id="the account"),
        pytest.param(
            Subject(connection_id="a_b", failures=True),
            "fivetran://api.fivetran.com/failures/a_b",
            id="failures of one connection",
        ),
        pytest.param(
            Subject(group_id="g_h", failures=True),
            "fivetran://api.fivetran.com/failures/groups/g_h",
            id="failures in a group",
        ),
        pytest.param(
            Subject(failures=True),
            "fivetran://api.fivetran.com/failures/account",
            id="failures in the account",
        ),
        pytest.param(
            Subject(connection_id="a_b", host="http://127.0.0.1:8080"),
            "fivetran://127.0.0.1:8080/a_b",
            id="a port that is not the usual one is kept",
        ),
    ],
)
def test_each_subject_has_one_uri(subject, uri):
    assert subject.uri == uri
    assert Subject.of(uri) == subject


@given(subject=SUBJECTS)
def test_a_uri_says_what_it_stands_for(subject):
    assert Subject.of(subject.uri) == subject


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/key",
        "orders",
        "",
        "fivetran://api.fivetran.com",
        "fivetran://api.fivetran.com/",
        "fivetran://api.fivetran.com/a_b/orders",
        "fivetran://api.fivetran.com/groups",
        "fivetran://api.fivetran.com/groups/",
        "fivetran://api.fivetran.com/groups/a/b",
        "fivetran://api.fivetran.com/failures",
        "fivetran://api.fivetran.com/failures/failures",
        "fivetran://api.fivetran.com/a_b?since=today",
        "fivetran://key:secret@api.fivetran.com/a_b",
        "fivetran://[::1/a_b",
        "fivetran:///a_b",
    ],
)
def test_other_uris_stand_for_nothing_here(uri):
    assert Subject.of(uri) is None


@given(uri=st.text())
def test_any_text_can_be_asked_about(uri):
    Subject.of(uri)
    Subject.of(f"fivetran://{uri}")


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://api.fivetran.com", "api.fivetran.com"),
        ("https://API.Fivetran.com:443/v1/", "api.fivetran.com"),
        ("api.fivetran.com", "api.fivetran.com"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://localhost:80", "localhost"),
        ("http://[::1]:8000/v1", "[::1]:8000"),
        ("https://proxy.example.com:8443/fivetran", "proxy.example.com:8443"),
    ],
)
def test_the_host_is_that_of_the_airflow_connection(address, host):
    assert host_of(address) == host


@pytest.mark.parametrize(
    "address", ["", "  ", None, 7, "two words", "a/b?c@d", "ftp://host", "api..", "{{ host }}"]
)
def test_what_is_no_host_is_refused_by_name(address):
    with pytest.raises(ValueError, match=r"^host is .* such as 'api\.fivetran\.com'$"):
        host_of(address)


def test_a_host_with_credentials_is_not_repeated():
    with pytest.raises(ValueError, match="host is something with credentials") as caught:
        host_of("https://key:s3cret@api.fivetran.com")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"connection_id": ""}, "connector_id is ''; allowed is an id"),
        ({"connection_id": "a b"}, "connector_id is 'a b'; allowed is an id"),
        ({"connection_id": "a/b"}, "connector_id is 'a/b'; allowed is an id"),
        ({"connection_id": 7}, "connector_id is 7; allowed is an id"),
        ({"connection_id": "{{ var.value.shop }}"}, "before templates are rendered"),
        ({"connection_id": "groups"}, "connector_id is 'groups', which no Fivetran connection is called"),
        ({"connection_id": "a" * 201}, "allowed is an id"),
        ({"group_id": "g\n"}, r"group_id is 'g\\n'; allowed is an id"),
        ({"connection_id": "a", "group_id": "g"}, "give connector_id or group_id, not both"),
    ],
)
def test_what_cannot_be_an_id_is_refused_by_name(wrong, said):
    with pytest.raises(ValueError, match=said):
        Subject(**wrong)
