"""What a program does with the client that openapi-python-client generates: `client.py <url> <a student as JSON>`."""

import json
import sys

from students_api_client import Client
from students_api_client.api.students import (
    create_student,
    delete_student,
    get_student,
    list_students,
    patch_student,
    update_student,
)
from students_api_client.models import (
    ListStudentsSort,
    Problem,
    StudentCreate,
    StudentPage,
    StudentPatch,
    StudentRead,
    StudentUpdate,
    ValidationProblem,
)

client, jane = Client(sys.argv[1]), json.loads(sys.argv[2])

ids = []
for gpa in (1.5, 2.5, 3.5):
    created = create_student.sync_detailed(client=client, body=StudentCreate.from_dict(jane | {"gpa": gpa}))
    assert created.status_code == 201
    assert isinstance(created.parsed, StudentRead)
    assert created.parsed.gpa == gpa
    ids.append(created.parsed.id)
    assert created.headers["Location"].endswith(created.parsed.id)

found: list[str] = []
page = list_students.sync(client=client, gpa_gte=2, sort=ListStudentsSort.GPA_DESCENDING, limit=1, count=True)
while True:
    assert isinstance(page, StudentPage)
    assert page.total == 2
    found += [student.id for student in page.students]
    if page.next_cursor is None:
        break
    page = list_students.sync(
        client=client, gpa_gte=2, sort=ListStudentsSort.GPA_DESCENDING, limit=1, count=True, cursor=page.next_cursor
    )
assert found == [ids[2], ids[1]]

some = list_students.sync(client=client, fields="name", gpa=[1.5, 2.5])
assert isinstance(some, StudentPage)
assert [student.to_dict() for student in some.students] == [{"id": one, "name": jane["name"]} for one in ids[:2]]

read = get_student.sync_detailed(ids[0], client=client)
tag = read.headers["ETag"]
assert get_student.sync_detailed(ids[0], client=client, if_none_match=tag).status_code == 304
changed = update_student.sync(ids[0], client=client, body=StudentUpdate(gpa=4), if_match=tag)
assert isinstance(changed, StudentRead)
assert changed.gpa == 4
patched = patch_student.sync(ids[0], client=client, body=StudentPatch(name="Jane Roe"))
assert isinstance(patched, StudentRead)
assert (patched.name, patched.gpa) == ("Jane Roe", 4)
late = update_student.sync(ids[0], client=client, body=StudentUpdate(gpa=1), if_match=tag)
assert isinstance(late, Problem)
assert late.status == 412
wrong = update_student.sync(ids[0], client=client, body=StudentUpdate(gpa=5))
assert isinstance(wrong, ValidationProblem)
assert wrong.errors[0].loc == ["body", "gpa"]

for one in ids:
    assert delete_student.sync_detailed(one, client=client).status_code == 204
gone = get_student.sync(ids[0], client=client)
assert isinstance(gone, Problem)
assert gone.detail == f"Student {ids[0]} not found"
