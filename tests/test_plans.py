"""What MongoDB does for each filter and each order of a list: it goes through an index, and sorts nothing."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from beanie import init_beanie

from students_api.mongodb.client import open_database
from students_api.mongodb.driver import cursor_of
from students_api.odm.indexes import create_indexes, declared_indexes
from students_api.odm.queries import fetch_raw
from students_api.resources.lists.cursors import encode
from students_api.resources.lists.keyset import KeysetPosition
from students_api.settings import Settings
from students_api.students.student import Student, StudentQuery, StudentRead
from tests.conftest import JANE
from tests.resources import STUDENTS

pytestmark = pytest.mark.mongod

MANY = 4000
LIMIT = 50
COURSES = [f"Course {number}" for number in range(8)]
WHERE = {**JANE, "course": COURSES[3], "gpa": 2.0, "name": "Name 7", "email": "7@example.com"}
FOUND = {key: value[:1] if isinstance(value, list) else [value] for key, value in WHERE.items() if value is not None}
"""Of each field the values that a filter looks for; of a list its first element."""
EQUALITIES = {
    parameter: FOUND[key]
    for parameter, (key, operator) in StudentQuery.filters.items()
    if operator == "$in" and FOUND.get(key)
}
WITH_ID = {index.keys[0][0] for index in declared_indexes(Student) if index.options.keys() == {"name"}}
"""The fields with an index without options, which has the id behind the field."""
RANGES = [
    (name, parameter) for name in EQUALITIES for parameter in StudentQuery.filters if parameter.startswith(f"{name}__")
]


@pytest.fixture(scope="module", autouse=True)
async def many_students(mongodb_url: str) -> AsyncIterator[None]:
    """Students as a school has them: many in a course, some with the same name, some without a GPA."""
    chance = random.Random(1)
    async with open_database(mongodb_url, Settings().model_copy(update={"mongodb_database": "plans"})) as database:
        await init_beanie(database, document_models=[Student], skip_indexes=True)
        documents = []
        for place, document in enumerate(STUDENTS.documents(MANY)):
            number = chance.randrange(MANY // 2)
            named = document | {"name": f"Name {number}", "email": f"{number}@example.com"}
            graded = {"course": chance.choice(COURSES), "gpa": chance.choice([None, 1, 2, 2.5, 3])}
            documents.append(named | graded | STUDENTS.own(place))
        await database["students"].insert_many(documents)
        await create_indexes(Student)
        yield
        await database.client.drop_database("plans")


def stages(plan: Any) -> list[str]:
    """The names of all stages of a plan."""
    if isinstance(plan, list):
        return [name for each in plan for name in stages(each)]
    if not isinstance(plan, dict):
        return []
    own = [plan["stage"]] if "stage" in plan else []
    return own + [name for key, each in plan.items() if key != "rejectedPlans" for name in stages(each)]


async def explain(**parameters: Any) -> tuple[set[str], int, int]:
    """What MongoDB did for a list: the stages, how many keys it examined, and how many documents it found."""
    given = {name: value for name, value in parameters.items() if value is not None}
    listing = StudentQuery.model_validate({"limit": LIMIT, **given})
    names, keys, found = set[str](), 0, 0
    for query in listing.queries(Student, StudentRead):
        explained = await (await cursor_of(query.limit(LIMIT + 1 - found))).explain()
        assert explained["executionStats"]["executionSuccess"]
        keys += explained["executionStats"]["totalKeysExamined"]
        found += explained["executionStats"]["nReturned"]
        names |= set(stages(explained["queryPlanner"]["winningPlan"]))
        if found > LIMIT:
            break
    return names, keys, found


async def cursor_after(count: int, **parameters: Any) -> str | None:
    """The cursor of the page that comes after so many students."""
    listing = StudentQuery.model_validate(parameters)
    (query,) = listing.queries(Student, StudentRead)
    if not count:
        return None
    found = await fetch_raw(query.limit(count))
    if not found:
        return None
    last = found[-1]
    return encode(KeysetPosition([last.get(key) for key, _ in listing.order]), listing.fingerprint())


def is_served(names: set[str], keys: int, found: int) -> bool:
    """Whether an index gave just the documents that were asked for, in their order; a branch needs a key to end."""
    return "IXSCAN" in names and not names & {"COLLSCAN", "SORT"} and keys <= max(2 * found, found + 10)


@pytest.mark.parametrize("sort", list(StudentQuery.orders))
async def test_every_order_is_served_from_the_first_page_to_the_last(sort: str) -> None:
    for count in (0, MANY // 2, MANY - 10):
        plan = await explain(sort=sort, cursor=await cursor_after(count, sort=sort))
        assert is_served(*plan), (count, plan)
        assert plan[2] == min(LIMIT + 1, MANY - count)


@pytest.mark.parametrize("parameter", EQUALITIES)
async def test_every_equality_is_served_in_the_order_of_the_ids(parameter: str) -> None:
    matching = {parameter: EQUALITIES[parameter]}
    key, _ = StudentQuery.filters[parameter]
    for count in (0, 30):
        names, keys, found = await explain(**matching, cursor=await cursor_after(count, **matching))
        sorted_by_mongodb = set() if key in WITH_ID else {"SORT"}
        assert is_served(names - sorted_by_mongodb, keys, found), (count, names, keys, found)


@pytest.mark.parametrize(("name", "parameter"), RANGES)
async def test_every_range_is_served_in_the_order_of_its_key_and_goes_through_an_index_in_any(
    name: str, parameter: str
) -> None:
    matching = {parameter: EQUALITIES[name][0]}
    for sort in (name, f"-{name}"):
        for count in (0, 300):
            plan = await explain(**matching, sort=sort, cursor=await cursor_after(count, **matching, sort=sort))
            assert is_served(*plan), (sort, count, plan)
    for sort in StudentQuery.orders:
        names, _, found = await explain(**matching, sort=sort)
        assert "IXSCAN" in names
        assert "COLLSCAN" not in names, sort
        assert "SORT" not in names or found <= LIMIT, sort  # the few that there are


@pytest.mark.parametrize("sort", ["id", "-id", "gpa", "-gpa", "name", "-name", "course", "-course", "course,-gpa"])
async def test_a_course_is_served_in_each_order_that_an_index_has_for_it(sort: str) -> None:
    for count in (0, 200, 450):
        course = COURSES[:1]
        plan = await explain(course=course, sort=sort, cursor=await cursor_after(count, course=course, sort=sort))
        assert is_served(*plan), (count, plan)
        courses = COURSES[:3]  # for so many of all, MongoDB may go through the order and pass over the others
        names, _, _ = await explain(
            course=courses, sort=sort, cursor=await cursor_after(count, course=courses, sort=sort)
        )
        assert not names & {"COLLSCAN", "SORT"}, count


async def test_no_combination_of_filters_and_order_scans_the_collection() -> None:
    for sort in StudentQuery.orders:
        for matching in [{name: values} for name, values in EQUALITIES.items()] + [
            {parameter: EQUALITIES[name][0]} for name, parameter in RANGES
        ]:
            names, _, _ = await explain(**{"course": COURSES[:1], **matching}, sort=sort)
            assert "COLLSCAN" not in names, (sort, matching)


async def test_words_are_found_in_the_text_index() -> None:
    names, _, found = await explain(q="name 7")
    assert "TEXT_MATCH" in names
    assert "COLLSCAN" not in names
    assert found > 0
