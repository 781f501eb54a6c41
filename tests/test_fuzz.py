"""Bodies that nobody would think of: each is stored as it is answered, or refused without a trace."""

import json
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from students_api.mongodb.driver import Database
from tests.conftest import JANE
from tests.test_bad_input import send

TEXT = st.text(st.characters(), max_size=210) | st.sampled_from(
    ["", " ", "\x00", "\ud800", "3.0", "NaN", "a@b.org", "٣"]
)
NUMBERS = st.floats() | st.integers() | st.sampled_from([-0.0, 0, 4, 4.0000001, 1e308, 2**63, 10**400, 5e-324])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from([*JANE, *JANE, "id", "_id", "version", "$set", "name.first", "__proto__"]) | TEXT
BODIES = st.builds(lambda base, other: {**base, **other}, st.sampled_from([{}, JANE]), st.dictionaries(KEYS, VALUES))


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


@pytest.mark.mongod
@pytest.mark.slow
@pytest.mark.parametrize("method", ["POST", "PUT"])
@settings(
    max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.any_driver
@given(body=BODIES.map(encoded) | VALUES.map(encoded) | st.binary(max_size=300))
async def test_whatever_a_body_holds_it_is_stored_as_it_is_answered_or_refused(
    real_client: httpx2.AsyncClient, real_database: Database, method: str, body: bytes
) -> None:
    students = real_database["students"]
    await students.delete_many({})
    jane = (await real_client.post("/students/", json=JANE)).json()
    before = await students.find().to_list(None)
    answer = await send(real_client, method, "/students/" if method == "POST" else f"/students/{jane['id']}", body)
    if answer.status_code in {200, 201}:
        student = answer.json()
        assert (await real_client.get(f"/students/{student['id']}")).json() == student
        assert student in (await real_client.get("/students/")).json()["students"]
        assert 0 <= student["gpa"] <= 4
    else:
        assert answer.status_code == 422, answer.text
        assert await students.find().to_list(None) == before
