"""The OpenAPI document and the pages that show it."""

import re
from http import HTTPStatus
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from openapi_spec_validator import OpenAPIV31SpecValidator

from students_api.http.documentation import CONTENT_SECURITY_POLICY
from students_api.http.problems import Problem, ValidationProblem, problem_responses
from students_api.main import create_app
from tests.resources import STUDENTS, Resource

OPERATIONS = {
    "create": ("/", "post"),
    "list": ("/", "get"),
    "get": ("/{id}", "get"),
    "update": ("/{id}", "put"),
    "patch": ("/{id}", "patch"),
    "delete": ("/{id}", "delete"),
}
ERRORS = {
    "create": {"406", "408", "413", "415"},
    "list": {"406"},
    "get": {"404", "406"},
    "update": {"404", "406", "412", "408", "413", "415"},
    "patch": {"404", "406", "412", "408", "413", "415"},
    "delete": {"404", "412"},
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app().openapi()


def operations(document: dict[str, Any], resource: Resource) -> dict[str, dict[str, Any]]:
    return {name: document["paths"][f"{resource.prefix}{path}"][method] for name, (path, method) in OPERATIONS.items()}


def test_it_describes_the_six_operations_of_each_resource(document: dict[str, Any], resource: Resource) -> None:
    assert list(operations(document, resource)) == list(OPERATIONS)


def test_it_describes_every_route_but_those_for_whoever_runs_the_service_and_the_documentation(
    document: dict[str, Any],
) -> None:
    not_for_clients = ("students_api.operations.", "students_api.http.", "fastapi.")
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == {
        (route.path, method.lower())
        for route in iter_route_contexts(create_app().routes)
        for method in route.methods or ()
        if route.include_in_schema and not route.endpoint.__module__.startswith(not_for_clients)
    }


def test_the_names_of_the_operations_differ_and_those_on_students_are_the_clients(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    assert {name: operation["operationId"] for name, operation in operations(document, STUDENTS).items()} == {
        "create": "create_student",
        "list": "list_students",
        "get": "get_student",
        "update": "update_student",
        "patch": "patch_student",
        "delete": "delete_student",
    }


def test_every_operation_has_a_summary_a_description_a_tag_and_its_errors(
    document: dict[str, Any], resource: Resource
) -> None:
    for name, operation in operations(document, resource).items():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"] == [resource.tag], name
        errors = {status for status in operation["responses"] if status >= "400"}
        taken = {"409"} if resource.unique_indexes and "requestBody" in operation else set()
        assert errors == ERRORS[name] | taken | {"422", "500", "503"}, name
        for status in errors:
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"], name


def test_every_problem_has_an_example_that_is_one(document: dict[str, Any], resource: Resource) -> None:
    for name, operation in operations(document, resource).items():
        for status, response in operation["responses"].items():
            if status < "400":
                continue
            content = response["content"]["application/problem+json"]
            shape = {"422": ValidationProblem}.get(status, Problem)
            assert content["schema"] == {"$ref": f"#/components/schemas/{shape.__name__}"}
            example = shape.model_validate(content["example"], extra="forbid", strict=True)
            assert (str(example.status), example.title) == (status, HTTPStatus(int(status)).phrase)
            assert example.instance.startswith(resource.path)
            assert (example.outcome == "unknown") == (status == "503" and name not in {"list", "get"})


def test_the_422_of_a_route_that_says_nothing_of_it_is_the_problem_too(
    document: dict[str, Any], resource: Resource
) -> None:
    router = APIRouter(prefix=resource.prefix, tags=[resource.tag])

    @router.post("/count")
    def count(above: int) -> int:
        return above

    app = create_app()
    app.include_router(router)
    extended = app.openapi()
    added = extended["paths"][f"{resource.prefix}/count"]["post"]["responses"]["422"]
    example = added["content"]["application/problem+json"]["example"]
    assert example["instance"] == f"{resource.prefix}/count"
    example["instance"] = resource.path
    assert added == operations(document, resource)["list"]["responses"]["422"]
    assert extended["components"] == document["components"]


def test_every_header_of_an_answer_has_a_description_and_an_example(
    document: dict[str, Any], resource: Resource
) -> None:
    headers = {
        (name, status): response["headers"]
        for name, operation in operations(document, resource).items()
        for status, response in operation["responses"].items()
    }
    for described in headers.values():
        assert "X-Request-ID" in described
        for header in described.values():
            assert header["description"]
            assert header["example"]
    assert {key for key, described in headers.items() if "ETag" in described} == {
        ("create", "201"),
        *(("get", status) for status in ("200", "304")),
        *((name, status) for name in ("update", "patch") for status in ("200", "412")),
        ("delete", "412"),
    }
    assert "Location" in headers["create", "201"]
    assert "Link" in headers["list", "200"]
    assert "Accept" in headers["create", "415"]
    assert all("Retry-After" in described for (_, status), described in headers.items() if status == "503")


def test_a_patch_is_described_in_both_forms(document: dict[str, Any], resource: Resource) -> None:
    described = operations(document, resource)
    bodies = {name: list(described[name]["requestBody"]["content"]) for name in ("create", "update", "patch")}
    assert bodies["patch"] == ["application/json", "application/merge-patch+json"]
    assert bodies["update"] == bodies["create"] == ["application/json"]


def test_every_parameter_has_a_description_and_an_example(document: dict[str, Any], resource: Resource) -> None:
    without = {name for name, field in resource.declared.items() if not field.examples}
    for name, operation in operations(document, resource).items():
        for parameter in operation.get("parameters", []):
            assert parameter["description"], name
            field, _ = resource.query.filters.get(parameter["name"], ("", ""))
            assert parameter["schema"]["examples"] or field in without, name


def test_every_property_has_the_description_and_the_examples_of_its_field(
    document: dict[str, Any], resource: Resource
) -> None:
    for shape in (resource.create, resource.update, resource.read):
        properties = document["components"]["schemas"][shape.__name__]["properties"]
        assert [name for name in properties if name != "id"] == resource.fields
        for name, field in resource.declared.items():
            assert properties[name].get("description") == field.description, (shape, name)
            assert properties[name].get("examples") == field.examples, (shape, name)


def test_the_fields_of_a_student_are_described(document: dict[str, Any]) -> None:
    for shape in ("StudentCreate", "StudentUpdate", "StudentRead"):
        properties = document["components"]["schemas"][shape]["properties"]
        for name in ("name", "email", "course", "gpa"):
            assert properties[name]["description"], (shape, name)
            assert properties[name]["examples"], (shape, name)
    assert document["components"]["schemas"]["StudentCreate"]["properties"]["name"]["examples"] == ["Jane Doe"]


def test_what_is_answered_has_exactly_the_contracts_keys(document: dict[str, Any], resource: Resource) -> None:
    schemas = document["components"]["schemas"]
    read, page = schemas[resource.read.__name__], schemas[resource.page.__name__]
    assert list(read["properties"]) == read["required"] == ["id", *resource.fields]
    assert list(page["properties"]) == [resource.items, "next_cursor", "total"]
    item = schemas[page["properties"][resource.items]["items"]["$ref"].rpartition("/")[2]]
    assert list(item["properties"]) == ["id", *resource.fields]
    assert item["required"] == ["id"]  # the others can be left out by `fields`


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


def test_a_route_of_no_resource_is_described_as_fastapi_declares_it_and_its_422_as_it_is() -> None:
    app = create_app()
    plain = APIRouter()

    @plain.get("/report", responses=problem_responses(403, HTTPStatus.NOT_FOUND))
    async def report(year: int) -> list[str]:
        return [str(year)]

    @app.post("/hook", tags=["elsewhere"])
    async def hook(body: dict[str, int]) -> None: ...

    app.include_router(plain)
    document = app.openapi()
    OpenAPIV31SpecValidator(document).validate()
    assert set(document["paths"]["/report"]["get"]["responses"]) == {"200", "403", "404", "422"}
    for path, method in (("/report", "get"), ("/hook", "post")):
        problem = document["paths"][path][method]["responses"]["422"]["content"]["application/problem+json"]
        assert problem["schema"] == {"$ref": "#/components/schemas/ValidationProblem"}
