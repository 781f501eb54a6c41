"""What the service asks of MongoDB's driver."""

import os
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from beanie import UpdateResponse, init_beanie
from beanie.migrations.runner import MigrationNode
from beanie.operators import Set
from pydantic import ValidationError
from pymongo import ReadPreference, _csot
from pymongo.errors import OperationFailure

from students_api.main import MODELS
from students_api.mongodb.client import connect, open_database
from students_api.mongodb.driver import ON_MOTOR, Database, time_limit
from students_api.mongodb.errors import error_message
from students_api.odm import migrations
from students_api.operations import lifespan
from students_api.settings import Settings, StartUpError
from students_api.students.student import Student, StudentRead
from tests.conftest import JANE
from tests.service import Service


async def options(url: str, **settings: Any) -> Any:
    async with open_database(url, Settings().model_copy(update=settings)) as database:
        return database.client.options


async def test_it_connects_with_the_stable_api_a_name_and_limits() -> None:
    chosen = await options("mongodb://127.0.0.1", pool_size=7, deadline_seconds=2.5)
    api = chosen.pool_options.server_api
    assert (api.version, api.deprecation_errors, api.strict) == ("1", True, None)
    assert chosen.pool_options.appname == "students-api"
    assert chosen.pool_options.max_pool_size == 7
    assert chosen.timeout == 2.5
    assert chosen.codec_options.tz_aware


async def test_what_is_acknowledged_or_read_is_what_no_failure_can_undo() -> None:
    chosen = await options("mongodb://127.0.0.1")
    assert chosen.write_concern.document == {"w": "majority", "j": True}
    assert (chosen.retry_writes, chosen.retry_reads) == (True, True)
    assert chosen.read_concern.level == "majority"
    assert chosen.read_preference == ReadPreference.PRIMARY


async def test_the_url_overrides_them() -> None:
    chosen = await options(
        "mongodb://127.0.0.1/?appname=school&timeoutMS=3000&MAXPOOLSIZE=9&w=3&readPreference=nearest"
    )
    assert chosen.pool_options.appname == "school"
    assert chosen.pool_options.max_pool_size == 9
    assert chosen.timeout == 3
    assert chosen.write_concern.document == {"w": 3, "j": True}
    assert chosen.read_preference == ReadPreference.NEAREST


@pytest.mark.parametrize("option", ["w=0", "w=1", "w=%30", "w=01", "w=1%20", "JOURNAL=false", "retryWrites=false"])
async def test_a_url_with_which_acknowledged_writes_can_be_lost_is_refused_unless_a_setting_allows_it(
    option: str,
) -> None:
    url = f"mongodb://127.0.0.1/?appname=school&{option}"
    with pytest.raises(StartUpError, match="STUDENTS_API_ALLOW_WEAK_WRITES") as error:
        await options(url)
    assert option.split("=", maxsplit=1)[0].lower() in str(error.value).lower()
    assert (await options(url, allow_weak_writes=True)).pool_options.appname == "school"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "mongodb://",
        "mongodb://a:b@c@127.0.0.1",
        "mongodb://127.0.0.1:x/",
        "mongodb+srv://no.invalid/",
        "mongodb://127.0.0.1/?tlsCAFile=/nowhere",
        "mongodb://user:pa/SECRET@host/",
    ],
)
async def test_a_url_that_cannot_be_used_is_a_clear_error(url: str) -> None:
    with pytest.raises(StartUpError, match="MONGODB_URL") as error:
        async with open_database(url, Settings()) as database:
            await connect(database)
    assert "SECRET" not in str(error.value)


@pytest.mark.mongod
async def test_the_document_after_an_update_is_read_through_the_projection(real_database: Database) -> None:
    await init_beanie(real_database, document_models=[Student], skip_indexes=True)
    await real_database["students"].insert_one({"_id": 1, "gpa": 9})
    query = Student.find_one({"_id": 1}, projection_model=StudentRead)
    after = await query.update(Set({"name": "Jane"}), response_type=UpdateResponse.NEW_DOCUMENT)
    assert isinstance(after, StudentRead)
    assert after.model_dump(exclude_none=True) == {"id": "1", "name": "Jane", "gpa": 9}


@pytest.mark.mongod
async def test_updates_without_a_projection_are_beanies_own(real_database: Database) -> None:
    await init_beanie(real_database, document_models=[Student], skip_indexes=True)
    jane = await Student.model_validate(JANE).insert()
    new = UpdateResponse.NEW_DOCUMENT
    answer: Any = await Student.find_one(Student.id == jane.id).update(Set({"gpa": 1}), response_type=new)
    assert (type(answer), answer.gpa) == (Student, 1)
    answer = await Student.find_one(Student.id == jane.id).update(Set({"gpa": 2}))
    assert answer.modified_count == 1
    answer = await Student.find_one(Student.id == jane.id).upsert(Set({"gpa": 3}), on_insert=jane, response_type=new)
    assert answer.gpa == 3
    await real_database["students"].update_one({}, {"$set": {"gpa": 9}})
    with pytest.raises(ValidationError):
        await Student.find_one(Student.id == jane.id).update(Set({"name": "Jane"}), response_type=new)


@pytest.mark.mongod
async def test_index_builds_and_migrations_may_take_longer_than_an_operation(
    real_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float | None] = []

    async def note(*_: object, **__: object) -> None:
        limits.append(_csot.get_timeout())  # no public name tells it

    async def create_indexes(_: object) -> list[str]:
        await note()
        return []

    monkeypatch.setattr(lifespan, "create_indexes", create_indexes)
    await lifespan.init_database(real_database, MODELS)
    monkeypatch.setattr(MigrationNode, "run", note)
    with time_limit(7):
        await migrations.run(real_database, backward=False, distance=0)
    assert set(limits[:-1]) == {lifespan.INDEX_BUILD_SECONDS}
    assert limits[-1] is None


@pytest.mark.mongod
async def test_what_an_operator_is_told_of_a_value_that_is_there_twice_does_not_repeat_it(
    real_database: Database,
) -> None:
    await real_database["pupils"].insert_many([{"email": "SECRET"}, {"email": "SECRET"}])
    with pytest.raises(OperationFailure, match="SECRET") as error:
        await real_database["pupils"].create_index("email", unique=True)
    assert "SECRET" not in error_message(error.value)
    assert "email_1" in error_message(error.value)


@pytest.mark.mongod
@pytest.mark.slow
def test_beanie_decides_on_the_driver_and_without_motor_nothing_imports_it(
    start_service: Callable[..., Service], mongodb_url: str, pytestconfig: pytest.Config
) -> None:
    """Neither the service, whose imports Python logs, nor a test that runs on a real MongoDB."""
    on_beanie2 = ".beanie2" in os.environ.get("PYTHONPATH", "")
    assert not (on_beanie2 and ON_MOTOR)
    service = start_service(MONGODB_URL=mongodb_url, STUDENTS_API_METRICS="true", PYTHONPROFILEIMPORTTIME="1")
    student = httpx2.post(f"{service.url}/students/", json=JANE).json()
    assert httpx2.put(f"{service.url}/students/{student['id']}", json={"gpa": 1}).status_code == 200
    assert httpx2.get(f"{service.url}/students/?count=true").status_code == 200
    assert service.stop() == 0
    imports = [line for line in service.log.read_text().splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in imports}
    assert {"beanie", "pymongo"} <= imported
    assert ("motor" in imported) == ON_MOTOR
    if on_beanie2 and pytestconfig.option.markexpr == "mongod":  # as `make test-beanie2` runs them
        assert "motor" not in sys.modules
