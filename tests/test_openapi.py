"""The OpenAPI document and the pages that show it."""

import re
from http import HTTPStatus
from typing import Any

import httpx2
import pytest

from students_api.documentation import CONTENT_SECURITY_POLICY
from students_api.main import create_app
from students_api.problems import Problem, ValidationProblem
from students_api.students.student import StudentFields

ERRORS = {
    "create_student": {"406", "408", "413", "415"},
    "list_students": {"406"},
    "get_student": {"404", "406"},
    "update_student": {"404", "406", "412", "408", "413", "415"},
    "patch_student": {"404", "406", "412", "408", "413", "415"},
    "delete_student": {"404", "412"},
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app().openapi()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()}


def test_it_describes_the_students_routes_and_nothing_else(document: dict[str, Any]) -> None:
    assert {path: set(methods) for path, methods in document["paths"].items()} == {
        "/students/": {"post", "get"},
        "/students/{id}": {"get", "put", "patch", "delete"},
    }
    assert set(operations(document)) == {
        "create_student",
        "list_students",
        "get_student",
        "update_student",
        "patch_student",
        "delete_student",
    }


def test_every_operation_has_a_summary_a_description_a_tag_and_its_errors(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"] == ["students"], name
        errors = {status for status in operation["responses"] if status >= "400"}
        assert errors == ERRORS[name] | {"422", "500", "503"}, name
        for status in errors:
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"], name


def test_every_problem_has_an_example_that_is_one(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for name, operation in methods.items():
            for status, response in operation["responses"].items():
                if status < "400":
                    continue
                content = response["content"]["application/problem+json"]
                shape = {"422": ValidationProblem}.get(status, Problem)
                assert content["schema"] == {"$ref": f"#/components/schemas/{shape.__name__}"}
                example = shape.model_validate(content["example"], extra="forbid", strict=True)
                assert (str(example.status), example.title) == (status, HTTPStatus(int(status)).phrase)
                assert example.instance.startswith(path.split("{")[0])
                assert (example.outcome == "unknown") == (status == "503" and name != "get")


def test_every_header_of_an_answer_has_a_description_and_an_example(document: dict[str, Any]) -> None:
    headers = {
        (name, status): response["headers"]
        for name, operation in operations(document).items()
        for status, response in operation["responses"].items()
    }
    for described in headers.values():
        assert "X-Request-ID" in described
        for header in described.values():
            assert header["description"]
            assert header["example"]
    assert {key for key, described in headers.items() if "ETag" in described} == {
        ("create_student", "201"),
        *(("get_student", status) for status in ("200", "304")),
        *((name, status) for name in ("update_student", "patch_student") for status in ("200", "412")),
        ("delete_student", "412"),
    }
    assert "Location" in headers["create_student", "201"]
    assert "Link" in headers["list_students", "200"]
    assert "Accept" in headers["create_student", "415"]
    assert all("Retry-After" in described for (_, status), described in headers.items() if status == "503")


def test_a_patch_is_described_in_both_forms(document: dict[str, Any]) -> None:
    bodies = {
        name: list(one["requestBody"]["content"]) for name, one in operations(document).items() if "requestBody" in one
    }
    assert bodies["patch_student"] == ["application/json", "application/merge-patch+json"]
    assert bodies["update_student"] == bodies["create_student"] == ["application/json"]


def test_every_parameter_and_property_has_a_description_and_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for parameter in operation.get("parameters", []):
            assert parameter["description"], name
            assert parameter["schema"]["examples"], name
    for shape in ("StudentCreate", "StudentUpdate", "StudentRead"):
        properties = document["components"]["schemas"][shape]["properties"]
        assert set(properties) - {"id"} == set(StudentFields.model_fields)
        for name in ("name", "email", "course", "gpa"):
            assert properties[name]["description"], (shape, name)
            assert properties[name]["examples"], (shape, name)
    assert document["components"]["schemas"]["StudentCreate"]["properties"]["name"]["examples"] == ["Jane Doe"]


def test_a_student_in_an_answer_has_exactly_the_contracts_keys(document: dict[str, Any]) -> None:
    read = document["components"]["schemas"]["StudentRead"]
    assert list(read["properties"]) == read["required"] == ["id", *StudentFields.model_fields]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for name in re.findall(r"'#/components/schemas/(\w+)'", str(document)):
        assert name in document["components"]["schemas"]


async def test_the_pages_and_all_they_need_come_from_the_service(client: httpx2.AsyncClient) -> None:
    root = await client.get("/")
    assert (root.is_redirect, root.headers["Location"]) == (True, "docs")
    for path in ("/docs", "/redoc"):
        page = await client.get(path)
        assert page.status_code == 200
        assert page.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        needed = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(needed) >= 2
        for address in [*needed, "/openapi.json"]:
            assert address.startswith("/")
            assert (await client.get(address)).status_code == 200


async def test_the_pages_work_behind_a_prefix() -> None:
    app = create_app()
    transport = httpx2.ASGITransport(app, root_path="/college")
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
        for path in ("/college/docs", "/college/redoc"):
            page = await client.get(path)
            assert page.status_code == 200
            for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
                assert address.startswith("/college/")
                assert (await client.get(address)).status_code == 200
        document = (await client.get("/college/openapi.json")).json()
        assert document["servers"] == [{"url": "/college"}]
