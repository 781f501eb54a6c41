"""Hostile requests, byte by byte, each with the statuses that the contract and the RFCs let it be answered with.

A case sends `sent` over a connection of its own and expects one answer for each set in `answers`. `CLOSED` is in a set
where the server may close the connection without one. `holds` is what an accepted student has to hold.

Where HTTP's own rules decide, the comment names them: RFC 9110 is HTTP's semantics, RFC 9112 is HTTP/1.1.
"""

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import bson
from bson import Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from students_api.resources.lists import cursors
from students_api.students.student import StudentQuery
from tests.resources import STUDENTS

CLOSED = 0
MARK = "zq9MARK9qz"
"""No refusal may repeat it."""

VICTIM = "65a1b2c3d4e5f60718293a4b"
BYSTANDER = "65a1b2c3d4e5f60718293a4c"
NOBODY = "65a1b2c3d4e5f60718293a4d"
HAL = {"name": "Hostile Hal", "email": "hal@example.com", "course": "Siegecraft", "gpa": 2.5}
STUDENT: dict[str, Any] = STUDENTS.body | HAL  # with what a school has added

KIB = 1024
LIMIT = 64 * KIB
"""The largest body, and the largest head."""

REFUSED = {422}
EITHER = {201, 422}
"""For a POST that nothing decides: it is stored as it is answered, or refused."""


class Case(NamedTuple):
    name: str
    sent: bytes
    answers: tuple[set[int], ...]
    holds: Mapping[str, Any] = {}


def encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def raw(start: str | bytes, *headers: str | bytes, body: bytes = b"") -> bytes:
    """A request of exactly these lines."""
    return b"\r\n".join([encoded(start), *map(encoded, headers), b"", body])


def request(method: str, target: str | bytes, *headers: str | bytes, body: bytes | None = None) -> bytes:
    """A request as it should be, but for what the arguments make of it."""
    start = encoded(method) + b" " + encoded(target) + b" HTTP/1.1"
    own = [] if body is None else ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return raw(start, "Host: students", *headers, *own, body=body or b"")


def get(target: str | bytes, *headers: str | bytes) -> bytes:
    return request("GET", target, *headers)


def text_of(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def post(body: Any, *headers: str | bytes) -> bytes:
    return request("POST", "/students/", *headers, body=text_of(body))


def put(body: Any, *headers: str | bytes, method: str = "PUT") -> bytes:
    return request(method, f"/students/{VICTIM}", *headers, body=text_of(body))


def post_as(content: bytes, *headers: str | bytes, method: str = "POST", target: str = "/students/") -> bytes:
    """A body with exactly these headers about it."""
    return raw(f"{method} {target} HTTP/1.1", "Host: students", *headers, body=content)


def with_field(field: str, value: str) -> bytes:
    """A student whose field is written as this text of JSON."""
    return json.dumps(STUDENT | {field: "HERE"}).replace('"HERE"', value).encode()


def with_more(text: str | bytes) -> bytes:
    """A valid student with more keys, as text of JSON."""
    return json.dumps(STUDENT).encode()[:-1] + b", " + encoded(text) + b"}"


def sized(size: int, **fields: Any) -> bytes:
    """A student whose body has this many bytes."""
    body = json.dumps(STUDENT | fields | {"pad": ""}).encode()
    return body[:-2] + b"x" * (size - len(body)) + b'"}'


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


def chunked(framed: bytes, *headers: str, method: str = "POST", target: str = "/students/") -> bytes:
    """A body that is framed already."""
    own = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    return post_as(framed, *own, *headers, method=method, target=target)


BODY = json.dumps(STUDENT).encode()
CHUNKS = chunk(BODY) + b"0\r\n\r\n"
JSON_BODY = ("Content-Type: application/json", f"Content-Length: {len(BODY)}")
MARKED = json.dumps(STUDENT | {"name": MARK}).encode()


def ids() -> Iterator[Case]:
    refused = {
        "a short one": VICTIM[:-1],
        "a long one": VICTIM + "0",
        "not hex": "g" * 24,
        "a number": "1",
        "NUL": "%00",
        "NUL behind an id": f"{VICTIM}%00",
        "a line break behind an id": f"{VICTIM}%0A",
        "a space before an id": f"%20{VICTIM}",
        "CR LF and a header": f"{VICTIM}%0D%0ASet-Cookie:%20a=b",
        "digits of another script": quote("\u0661" * 24),
        "full-width digits": quote("\uff11" * 24),
        "an emoji": quote("\U0001f393"),
        "no UTF-8": "%FF%FE",
        "a surrogate": "%ED%A0%80",
        "overlong slashes": "%C0%AF%C0%AF",
        "an operator": quote('{"$ne": null}'),
        "an operator in brackets": "[$ne]=1",
        "an ObjectId call": f"ObjectId('{VICTIM}')",
        "a parameter behind it": f"{VICTIM};v=1",
        "twice encoded": VICTIM.replace("6", "%2536", 1),
        "a percent sign alone": "%",
        "half an escape": f"{VICTIM[:-1]}%4",
        "a regular expression": "(a%2B)%2B$",
        "a template": "%7B%7B7*7%7D%7D",
        "three dots": "...",
        "a star": "*",
        "very long": "a" * 4000,
        "16 bytes of text": "a" * 12,
        "null": "null",
        "markup": quote(f"<script>{MARK}<script>"),
    }
    for name, text in refused.items():
        yield Case(f"get an id that is {name}", get(f"/students/{text}"), (REFUSED,))
    some = ("an operator", "NUL behind an id", "a line break behind an id", "a parameter behind it")
    for method, body in (("PUT", b'{"gpa": 1}'), ("PATCH", b'{"gpa": 1}'), ("DELETE", None)):
        for name in some:
            sent = request(method, f"/students/{refused[name]}", body=body)
            yield Case(f"{method.lower()} an id that is {name}", sent, (REFUSED,))
    yield Case("get an id in upper case", get(f"/students/{VICTIM.upper()}"), ({200},))
    yield Case("get an id with an escaped digit", get("/students/%36" + VICTIM[1:]), ({200},))
    yield Case("get an id of nobody", get(f"/students/{NOBODY}"), ({404},))
    yield Case("get an id that is 24 zeros", get("/students/" + "0" * 24), ({404},))
    yield Case("delete an id that is 24 f", request("DELETE", "/students/" + "f" * 24), ({404},))


def paths() -> Iterator[Case]:
    elsewhere = {
        "a slash in an id": f"/students/{VICTIM}%2F",
        "an escaped slash between ids": f"/students/{VICTIM}%2F{VICTIM}",
        "two segments": f"/students/{VICTIM}/{VICTIM}",
        "two slashes before": f"//students/{VICTIM}",
        "two slashes between": f"/students//{VICTIM}",
        "two slashes behind an id": f"/students/{VICTIM}//",
        "upper case": f"/STUDENTS/{VICTIM}",
        "a prefix": f"/api/students/{VICTIM}",
        "a traversal": "/../../../../etc/passwd",
        "an escaped traversal": "/%2e%2e/%2e%2e/etc/passwd",
        "a traversal from the assets": "/docs-assets/../../../../../../etc/passwd",
        "an escaped traversal from the assets": "/docs-assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "escaped slashes from the assets": "/docs-assets/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "backslashes from the assets": "/docs-assets/..%5c..%5c..%5cetc%5cpasswd",
        "an absolute file from the assets": "/docs-assets//etc/passwd",
        "NUL in an asset": "/docs-assets/swagger-ui.css%00.png",
        "only NUL as an asset": "/docs-assets/%00",
        "a long asset": "/docs-assets/" + "a" * 300,
        "a deep asset": "/docs-assets/" + "a/" * 2500,
        "no UTF-8 as an asset": "/docs-assets/%FF%FE",
        "a surrogate as an asset": "/docs-assets/%ED%A0%80",
        "the assets' folder": "/docs-assets/",
        "a file as a folder": "/docs-assets/swagger-ui.css/",
        "the module of the assets": "/docs-assets/../__init__.py",
        "another's files": "/.env",
        "markup": quote(f"/<script>{MARK}</script>"),
        "line breaks": "/%0D%0ASet-Cookie:%20a=b",
        "an escape sequence of terminals": "/%1b%5b31m",
    }
    # What a slash is worth that is escaped, or at the end of a file, nobody has decided.
    either = {"a slash in an id": {200, 404, 422}, "a file as a folder": {200, 404}, "two slashes between": {404, 422}}
    for name, target in elsewhere.items():
        statuses = either.get(name, {404})
        yield Case(f"path with {name}", get(target), (statuses,))
    yield Case("path with three slashes behind", get("/students///"), ({200, 404, 422},))
    yield Case("path with dot segments", get(f"/students/../students/{VICTIM}"), ({200, 404},))
    yield Case("path with a dot segment as an id", get("/students/."), ({200, 404, 422},))
    yield Case("path with escaped letters", get("/%73tudents/"), ({200},))  # RFC 9110, section 4.2.3: the same
    yield Case("path with parameters behind the collection", get("/students;v=1/"), ({404},))
    yield Case("path of 60 KiB", get("/students/" + "a" * 60 * KIB), ({414, 422, 431},))
    yield Case("path of 70 KiB", get("/students/" + "a" * 70 * KIB), ({414, 431},))
    yield Case("path of 60 KiB of escapes", get("/" + "%25" * 20 * KIB), ({404, 414, 431},))
    yield Case("path with a byte beyond ASCII", get(b"/students/\xe9"), ({400, 404, 422},))
    yield Case("path with raw quotes and braces", get('/students/{"$ne":"' + MARK + '"}'), ({400, 422},))
    yield Case("path with a fragment", get("/students/#fragment"), ({200, 400},))
    yield Case("path that is relative", get("students/"), ({400, 404},))
    yield Case("path that begins with a backslash", get("\\students\\"), ({400, 404},))
    yield Case("path that is only a query", get("?limit=1"), ({400, 404},))
    yield Case("path with a space", get("/students/ /"), ({400},))
    yield Case("path with a tab", get("/students/\t"), ({400},))
    yield Case("path with a raw NUL", get("/students/\0"), ({400},))
    # RFC 9112, section 3.2.2: a server has to take the absolute form; without a path it is "/", RFC 9110, 4.2.3.
    yield Case("path in absolute form", get("http://students/students/"), ({200},))
    yield Case(
        "path in absolute form of another host", get(f"http://evil.example/students/{VICTIM}"), ({200, 400, 421},)
    )
    yield Case("path in absolute form that is empty", get("http://students"), ({307, 400},))
    yield Case("path in absolute form with a user", get("http://root:pw@students/students/"), ({200, 400},))
    yield Case("path in absolute form of no HTTP", get("file:///etc/passwd"), ({400, 404, 421},))
    yield Case("path in absolute form with a broken port", get("http://students:99999999/students/"), ({200, 400},))
    yield Case("path in absolute form with brackets", get("http://[::1/students/"), ({400},))


def methods() -> Iterator[Case]:
    for method in ("OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND", "PURGE", "QUERY", "M-SEARCH"):
        statuses = {400, 405, 501} if method in {"QUERY", "M-SEARCH"} else {405}
        yield Case(f"method {method} of the list", request(method, "/students/"), (statuses,))
    for method in ("POST", "OPTIONS", "TRACE", "LINK", "REPORT"):
        yield Case(f"method {method} of a student", request(method, f"/students/{VICTIM}"), ({405},))
    # RFC 9110, section 9.1: 501 is for methods that are not known; a parser that knows them all refuses with 400.
    for method in ("FOO", "get", "GeT", "GETGET", "G\xcbT", "{}", "G" * 5000):
        yield Case(f"method {method[:10]!a}", request(method, "/students/"), ({400, 405, 501},))
    yield Case("method CONNECT", raw("CONNECT example.com:443 HTTP/1.1", "Host: example.com:443"), ({400, 405, 501},))
    yield Case("method CONNECT of a path", request("CONNECT", "/students/"), ({400, 405, 501},))
    yield Case("method PRI", request("PRI", "/students/"), ({400, 405, 501, 505},))
    yield Case("method OPTIONS of the server", request("OPTIONS", "*"), ({200, 204, 404, 405},))
    yield Case("method GET of the server", get("*"), ({400, 404},))
    yield Case("method HEAD of the list", request("HEAD", "/students/"), ({200},))
    yield Case("method HEAD of nobody", request("HEAD", f"/students/{NOBODY}"), ({404},))
    yield Case("method HEAD of no id", request("HEAD", "/students/1"), (REFUSED,))
    yield Case("method HEAD with a body", request("HEAD", "/students/", body=BODY), ({200},))
    yield Case("method GET with a body", request("GET", "/students/", body=MARKED), ({200},))
    yield Case("method GET with a chunked body", chunked(CHUNKS, method="GET"), ({200},))
    yield Case("method DELETE with a body", request("DELETE", f"/students/{VICTIM}", body=b'{"_id": 1}'), ({204},))
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        yield Case(f"method in {header}", get(f"/students/{VICTIM}", f"{header}: DELETE"), ({200},))
    yield Case("method in the query", request("POST", "/students/?_method=DELETE", body=BODY), (REFUSED,))


def json_texts() -> Iterator[Case]:
    refused: dict[str, bytes] = {
        "empty": b"",
        "a space": b" ",
        "a list of a student": b"[" + BODY + b"]",
        "a number": b"1",
        "text": json.dumps(MARK).encode(),
        "true": b"true",
        "null": b"null",
        "NaN": b"NaN",
        "an unclosed object": MARKED[:-1],
        "an unclosed string": MARKED[:20],
        "trailing text": MARKED + MARK.encode(),
        "two students": MARKED + MARKED,
        "a trailing comma": MARKED[:-1] + b",}",
        "a trailing NUL": MARKED + b"\0",
        "a comment": MARKED[:-1] + b"/* c */}",
        "a line comment": b"// c\n" + MARKED,
        "single quotes": MARKED.replace(b'"', b"'"),
        "keys without quotes": MARKED.replace(b'"name"', b"name"),
        "a raw line break in a string": with_field("name", f'"{MARK}\n"'),
        "a raw NUL in a string": with_field("name", f'"{MARK}\0"'),
        "a raw DEL and ESC in a string": with_field("name", f'"\x7f\x1b{MARK}"'),
        "a bad escape": with_field("name", r'"\x41"'),
        "half a \\u": with_field("name", r'"\u00"'),
        "a \\u with no digits": with_field("name", r'"\uzzzz"'),
        "a colon too many": BODY.replace(b":", b"::", 1),
        "bytes that are no UTF-8": with_field("name", f'"\xff\xfe{MARK}"').replace(b"\xc3", b"").replace(b"\xc2", b"")
        + b"\xff",
        "Latin-1": '{"name": "J\xe9r\xf4me"}'.encode("latin-1"),
        "an overlong slash": with_field("name", '"HERE"').replace(b"HERE", b"\xc0\xaf"),
        "a surrogate in UTF-8": with_field("name", '"HERE"').replace(b"HERE", b"\xed\xa0\x80"),
        "a pair of surrogates in UTF-8": with_field("name", '"HERE"').replace(b"HERE", b"\xed\xa0\xbd\xed\xb8\x80"),
        "beyond Unicode": with_field("name", '"HERE"').replace(b"HERE", b"\xf4\x90\x80\x80"),
        "half a character": with_field("name", '"HERE"').replace(b"HERE", b"\xe2\x82"),
        "UTF-7": b"+AHsAIg-",
        "half of UTF-16": BODY.decode().encode("utf-16")[:-1],
        "UTF-16 with a lone surrogate": with_field("name", '"\\ud800"').decode().encode("utf-16-le").replace(
            "\\ud800".encode("utf-16-le"), b"\x00\xd8"
        ),
        "UTF-32 beyond Unicode": BODY.decode().encode("utf-32-le") + b"\xff\xff\xff\xff",
        "gzip": gzip.compress(BODY, mtime=0),
        "BSON": bson.encode(STUDENT),
        "a form": b"name=a&email=b",
        "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "YAML": b"name: !!python/object/apply:os.system ['true']",
        "a pickle": b"\x80\x04cos\nsystem\n",
        "lists without end": b"[" * 65000,
        "objects without end": b'{"a":' * 13000,
        "lists deep": b"[" * 32000 + b"]" * 32000,
        "objects deep": b'{"a":' * 10000 + b"1" + b"}" * 10000,
        "an endless number": b'{"gpa": ' + b"9" * 60000 + b"}",
    }  # fmt: skip
    for name, body in refused.items():
        yield Case(f"json that is {name}", post(body), (REFUSED,))
    on_put = ("a number", "null", "a list of a student", "lists deep", "an endless number", "half a character", "BSON")
    for name in on_put:
        yield Case(f"json that is {name}, to change", put(refused[name]), (REFUSED,))
    # RFC 8259, section 8.1: it is UTF-8; a parser may ignore a byte order mark. Python's reads UTF-16 and UTF-32 too.
    text = json.dumps(STUDENT | {"name": "Jos\xe9 \U0001f393"}, ensure_ascii=False)
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        yield Case(f"json in {encoding}", post(text.encode(encoding)), (EITHER,), {"name": "Jos\xe9 \U0001f393"})
    yield Case(
        "json with spaces all over",
        post(BODY.replace(b": ", b" \t: \r\n ").replace(b", ", b"\n,\t") + b"\n" * 999),
        ({201},),
        STUDENT,
    )
    yield Case("json with escapes for all letters", post(with_field("name", '"' + r"\u0041" * 200 + '"')), ({201},),
               {"name": "A" * 200})  # fmt: skip


def json_strings() -> Iterator[Case]:
    surrogates = {
        "a high surrogate": r"\ud800",
        "a low surrogate": r"\udc00",
        "surrogates reversed": r"\ude00\ud83d",
        "two high surrogates": r"\ud83d\ud83d",
        "half a pair at the end": r"Jane \ud83d",
    }
    for name, escape in surrogates.items():
        for field in ("name", "email", "gpa"):
            yield Case(f"string with {name} in {field}", post(with_field(field, f'"{escape}"')), (REFUSED,))
    yield Case("string with a lone surrogate, to change", put(rb'{"course": "\udfff"}'), (REFUSED,))
    yield Case("string with a lone surrogate in a key", post(with_more(rf'"\ud800{MARK}": 1')), (EITHER,), STUDENT)
    yield Case(
        "string with a lone surrogate under an unknown key", post(with_more(r'"a": "\ud800"')), (EITHER,), STUDENT
    )
    yield Case(
        "string with a whole pair", post(with_field("name", r'"\ud83c\udf93"')), ({201},), {"name": "\U0001f393"}
    )
    yield Case("string with an escaped NUL", post(with_field("name", r'"a\u0000b"')), (EITHER,), {"name": "a\0b"})
    yield Case("string that is an escaped NUL", post(with_field("name", r'"\u0000"')), (EITHER,), {"name": "\0"})
    yield Case(
        "string with noncharacters", post(with_field("name", r'"a\ufffe\uffff"')), (EITHER,), {"name": "a\ufffe\uffff"}
    )
    yield Case(
        "string with the replacement character", post(with_field("name", '"\\ufffd"')), ({201},), {"name": "\ufffd"}
    )


def json_keys() -> Iterator[Case]:
    more = {
        "__proto__": '"__proto__": {"gpa": 4}',
        "constructor": '"constructor": {"prototype": {}}',
        "$set": '"$set": {"gpa": 4}',
        "$where": '"$where": "sleep(10000)"',
        "a dotted key": '"name.first": "Jane"',
        "_id": f'"_id": "{VICTIM}"',
        "_id as an operator": '"_id": {"$oid": "' + VICTIM + '"}',
        "id": f'"id": "{BYSTANDER}"',
        "version": '"version": 99',
        "created_at": '"created_at": "1970-01-01T00:00:00Z"',
        "updated_at": '"updated_at": null',
        "revision_id": '"revision_id": "00000000-0000-0000-0000-000000000000"',
        "_class_id": '"_class_id": "Student"',
        "an empty key": '"": 1',
        "NUL in a key": r'"name\u0000": 1',
        "a key in upper case": '"NAME": 1',
        "a key with spaces": '" name ": 1',
        "model_config": '"model_config": {"extra": "allow"}',
        "__class__": '"__class__": {"__init__": {}}',
        "NaN": '"a": NaN',
        "Infinity": '"a": [-Infinity]',
        "1e999": '"a": 1e999',
        "an endless number": '"a": ' + "9" * 5000,
        "lists deep": '"a": ' + "[" * 30000 + "]" * 30000,
        "objects deep": '"a": ' + '{"a":' * 9000 + "1" + "}" * 9000,
        "lists 500 deep": '"a": ' + "[" * 500 + "]" * 500,
        "a long key": f'"{"k" * 60000}": 1',
        "9000 keys": ", ".join(f'"{number:x}": 1'[:9] for number in range(5000)),
    }
    undecided = {"NaN", "Infinity", "1e999", "an endless number", "lists deep", "objects deep"}
    for name, text in more.items():
        statuses = EITHER if name in undecided else {201}
        yield Case(f"unknown key: {name}", post(with_more(text)), (statuses,), STUDENT)
    for name in ("$set", "_id", "id", "version", "created_at", "a dotted key", "__proto__"):
        untouched = {"id": VICTIM, "gpa": 3.0}
        yield Case(f"unknown key alone, to change: {name}", put(f"{{{more[name]}}}".encode()), ({200},), untouched)
        both = {"id": VICTIM, "gpa": 1.5}
        yield Case(
            f"unknown key beside a change: {name}", put(f'{{"gpa": 1.5, {more[name]}}}'.encode()), ({200},), both
        )
    yield Case("key given twice, the last is good", post(with_more('"gpa": 1')), ({201},), STUDENT | {"gpa": 1})
    yield Case("key given twice, the first is good", post(with_more('"gpa": 9')), (REFUSED,))
    twice = f'{{"gpa": "{MARK}",'.encode() + BODY[1:]
    yield Case("key given twice, the first is bad", post(twice), (EITHER,), STUDENT)
    yield Case("keys with a space behind", post(BODY.replace(b'"name"', b'"name "')), (REFUSED,))
    yield Case("keys in upper case", post(BODY.replace(b'"gpa"', b'"GPA"')), (REFUSED,))
    yield Case("keys that are escaped", post(BODY.replace(b'"name"', rb'"\u006eame"')), ({201},), STUDENT)
    yield Case("keys with a byte order mark", post(BODY.replace(b'"name"', b'"\xef\xbb\xbfname"')), (REFUSED,))
    yield Case("keys of another script", post(BODY.replace(b'"name"', b'"n\xd0\xb0me"')), (REFUSED,))


def values() -> Iterator[Case]:
    for field, good in HAL.items():
        yield Case(f"null as {field}", post(with_field(field, "null")), (REFUSED,))
        yield Case(f"null as {field}, to change", put({field: None}), ({200},), {"id": VICTIM, "gpa": 3.0})
        yield Case(f"null as {field}, to patch", put({field: None}, method="PATCH"), (REFUSED,))
        for name, value in {
            "true": True,
            "false": False,
            "a list": [good],
            "an operator": {"$gt": ""},
            "an object": {MARK: MARK},
            "an empty list": [],
        }.items():
            yield Case(f"{name} as {field}", post(STUDENT | {field: value}), (REFUSED,))
            yield Case(f"{name} as {field}, to change", put({"course": "Changed", field: value}), (REFUSED,))
    for field in ("name", "course", "email"):
        yield Case(f"a number as {field}", post(STUDENT | {field: 7}), (REFUSED,))
        yield Case(f"nothing as {field}, to change", put({field: ""}), (REFUSED,))


def numbers() -> Iterator[Case]:
    # Of a numeric string, the contract names "3.0"; how far beyond that it goes is not decided. `None`: refused.
    written: dict[str, float | None] = {
        "NaN": None, "Infinity": None, "-Infinity": None, "1e999": None, "-1e999": None, "1E400": None,
        "1e99999999999999999999": None, "4.1": None, "4.000000000000001": None, "-0.1": None, "-5e-324": None,
        "9" * 400: None, "-" + "9" * 30: None, "18446744073709551616": None,
        "+3": None, "03": None, "3.": None, ".5": None, "0x3": None, "3_0": None, "3f": None, "1e": None, "--1": None,
        "\uff13": None, "0b11": None, "3,0": None, "nan": None, "None": None, "undefined": None, "1/2": None,
        "-0": 0.0, "-0.0": 0.0, "3e0": 3.0, "30E-1": 3.0, "1e-400": 0.0, "-1e-400": 0.0, "0e999999999999": 0.0,
        "4": 4.0, "4.0000000000000001": 4.0, "3." + "0" * 50000: 3.0, "0." + "0" * 50000 + "1": 0.0,
        "5e-324": 5e-324, "3.9999999999999996": 3.9999999999999996,
    }  # fmt: skip
    for text, number in written.items():
        statuses, holds = (REFUSED, {}) if number is None else ({201}, {"gpa": number})
        yield Case(f"number {text[:24]} ({len(text)})", post(with_field("gpa", text)), (statuses,), holds)
    spelled: dict[str, tuple[set[int], float | None]] = {
        "3.0": ({201}, 3.0), "3": ({201}, 3.0), "0": ({201}, 0.0), "3e0": (EITHER, 3.0), "+3": (EITHER, 3.0),
        " 3 ": (EITHER, 3.0), "\\u30003": (EITHER, 3.0), "3\\n": (EITHER, 3.0), "0_3": (EITHER, 3.0),
        "\u0663": (EITHER, 3.0), "\uff13": (EITHER, 3.0), "1e-400": (EITHER, 0.0), ".5": (EITHER, 0.5), "3.": (EITHER,
        3.0),
        "-0": (EITHER, 0.0), "4.0000000000000001": (EITHER, 4.0),
        "3_0": (REFUSED, None), "0x3": (REFUSED, None), "0b11": (REFUSED, None), "3,0": (REFUSED, None),
        "1e999": (REFUSED, None), "nan": (REFUSED, None), "\\u00003": (REFUSED, None), "3\\u0000": (REFUSED, None),
        "infinity": (REFUSED, None), "three": (REFUSED, None), "3.0.0": (REFUSED, None), "\u00bd": (REFUSED, None),
        "\u2462": (REFUSED, None), "\u0f33": (REFUSED, None), "9" * 50000: (REFUSED, None), "1" + "0" * 400: (REFUSED,
        None),
        "true": (REFUSED, None), "null": (REFUSED, None), "": (REFUSED, None), " ": (REFUSED, None), "1 2": (REFUSED,
        None),
        MARK: (REFUSED, None), "{}": (REFUSED, None), "1e" + "9" * 5000: (REFUSED, None),
    }  # fmt: skip
    for text, (statuses, number) in spelled.items():
        holds = {} if number is None else {"gpa": number}
        yield Case(f"number as text {ascii(text)[:24]} ({len(text)})",
                   post(with_field("gpa", f'"{text}"')), (statuses,), holds)  # fmt: skip
    yield Case("number as text, to change", put({"gpa": "1e999"}), (REFUSED,))
    yield Case("number NaN, to change", put(b'{"gpa": NaN}'), (REFUSED,))
    yield Case("number 1e999 beside a good one, to patch", put(b'{"gpa": 1, "gpa": 1e999}', method="PATCH"), (REFUSED,))


def texts() -> Iterator[Case]:
    spaces = {
        "spaces": " ",
        "tabs": "\t",
        "line breaks": "\r\n",
        "NEL": "\x85",
        "no-break spaces": "\xa0",
        "ideographic spaces": "\u3000",
        "em spaces": "\u2003",
        "line separators": "\u2028",
        "ogham spaces": "\u1680",
    }
    for name, space in spaces.items():
        yield Case(f"text of nothing but {name}", post(STUDENT | {"name": space * 3}), (REFUSED,))
        padded = space * 20 + "n" * 200 + space * 20
        yield Case(f"text of 200 between {name}", post(STUDENT | {"name": padded}), ({201},), {"name": "n" * 200})
        yield Case(f"text of 201 between {name}", post(STUDENT | {"name": f"{space}{'n' * 201}{space}"}), (REFUSED,))
    # No space in Unicode, though most of them show nothing.
    invisible = {"zero width spaces": "\u200b", "byte order marks": "\ufeff", "word joiners": "\u2060",
                 "Braille blanks": "\u2800", "file separators": "\x1c", "Hangul fillers": "\u3164",
                 "soft hyphens": "\xad", "tags": "\U000e0041"}  # fmt: skip
    for name, letter in invisible.items():
        yield Case(f"text of nothing but {name}", post(STUDENT | {"name": letter}), (EITHER,))
        yield Case(f"text of 200 and {name}", post(STUDENT | {"name": "n" * 200 + letter}), (REFUSED,))
    stored = {
        "199 letters": "n" * 199,
        "200 letters": "n" * 200,
        "200 emoji": "\U0001f393" * 200,
        "200 combining accents": "e" + "\u0301" * 199,
        "an override of direction": "\u202egpj.exe",
        "Arabic": "\u0645\u062d\u0645\u062f",
        "a decomposed letter": "Jose\u0301",
        "a ligature": "\ufb01\u017f\u0130\u0131",
        "markup": "<script>alert(1)</script>",
        "SQL": "Robert'); DROP TABLE students;--",
        "an operator": '{"$gt": ""}',
        "a variable": "$name",
        "a format": "%s%n{0.__class__.__init__.__globals__}${jndi:ldap://a}",
        "line breaks": "a\r\nSet-Cookie: b=c\r\n\r\n<html>",
        "a formula": "=cmd|' /C calc'!A0",
        "a regular expression": "(a+)+$",
        "control characters": "\x01\x1b[31m\x7f\x08",
        "backslashes": "\\\\server\\share\\",
        "null": "null",
        "a template": "{{7*7}}<%= 7*7 %>",
        "Unicode's last": "\U0010ffff",
        "interlinear anchors": "a\ufff9b\ufffb",
    }
    for name, text in stored.items():
        yield Case(f"text with {name}", post(STUDENT | {"name": text}), ({201},), {"name": text})
        if name in {"an operator", "a variable", "line breaks"}:
            yield Case(f"text with {name}, to change", put({"course": text}), ({200},), {"course": text})
    yield Case("text of 201 letters", post(STUDENT | {"course": MARK + "n" * 191}), (REFUSED,))
    yield Case("text of 201 emoji", post(STUDENT | {"name": "\U0001f393" * 201}), (REFUSED,))
    yield Case("text of 201 emoji, to change", put({"name": "\U0001f393" * 201}), (REFUSED,))
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
    yield Case("text of 29 families", post(STUDENT | {"name": family * 29}), (REFUSED,))
    yield Case("text of 60 KiB", post(STUDENT | {"name": MARK * 6000}), (REFUSED,))
    yield Case(
        "text of 60 KiB of spaces and a letter", post(STUDENT | {"name": " " * 60000 + "n"}), ({201},), {"name": "n"}
    )


def addresses() -> Iterator[Case]:
    refused = {
        "quoted": '"jane doe"@example.com',
        "quoted with an at": '"jane@doe"@example.com',
        "of an IP address": "jane@[127.0.0.1]",
        "of an IPv6 address": "jane@[IPv6:::1]",
        "of a bare IP address": "jane@127.0.0.1",
        "with a trailing dot": "jane@example.com.",
        "with a leading dot": ".jane@example.com",
        "with a dot before the at": "jane.@example.com",
        "with two dots": "jane..doe@example.com",
        "with two dots in the domain": "jane@example..com",
        "with a display name": f"{MARK} <jane@example.com>",
        "with a quoted display name": f'"{MARK}" <jane@example.com>',
        "in angle brackets": "<jane@example.com>",
        "in nested angle brackets": "<<<<jane@example.com>>>>",
        "of a group": "a: jane@example.com;",
        "that are two": "jane@example.com, joe@example.com",
        "with a comment": "jane(comment)@example.com",
        "with a comment in the domain": "jane@(comment)example.com",
        "with a header": "jane@example.com\r\nBcc: joe@example.com",
        "with a line break inside": "jane\n@example.com",
        "with NUL": "jane\0@example.com",
        "with NUL in the domain": "jane@example\0.com",
        "with a space": "jane doe@example.com",
        "with a full-width at": "jane\uff20example.com",
        "with two ats": "jane@evil@example.com",
        "without a name": "@example.com",
        "without a domain": "jane@",
        "that is an at": "@",
        "without a dot": "jane@example",
        "of localhost": "jane@localhost",
        "of a reserved name": "jane@students.invalid",
        "of an onion": "jane@students.local",
        "with 60000 letters": "j" * 60000 + "@example.com",
        "with a label of 64": "jane@" + "e" * 64 + ".com",
        "with 30000 dots": "jane@" + "a." * 30000 + "com",
        "with 30000 ats": "@" * 30000,
        "with 20000 angle brackets": "<" * 20000 + MARK,
        "with spaces and an angle bracket": " " * 30000 + "<" + MARK,
        "with an underscore in the domain": "jane@exa_mple.com",
        "with a hyphen first": "jane@-example.com",
        "with a broken A-label": "jane@xn--a.com",
        "with an empty A-label": "jane@xn--.com",
        "with a scheme": "mailto:jane@example.com",
        "with a path": "jane@example.com/../",
        "with a port": "jane@example.com:25",
        "with an override of direction": "\u202ejane@example.com",
        "with a zero width space": "jane\u200b@example.com",
        "with a pipe of shells": "jane@example.com|id",
        "with a byte order mark": "\ufeffjane@example.com",
    }
    for name, address in refused.items():
        yield Case(f"address {name}", post(STUDENT | {"email": address}), (REFUSED,))
    for name in ("with a display name", "with a header", "that are two", "with NUL"):
        yield Case(f"address {name}, to change", put({"email": refused[name]}), (REFUSED,))
    stored = {
        "with 64 letters": ("j" * 64 + "@example.com", None),
        "with a plus": ("jane+a=b@example.com", None),
        "with all signs": ("!#$%&'*+-/=?^_`{|}~@example.com", None),
        "in upper case": ("JANE@EXAMPLE.COM", "JANE@example.com"),
        "with an international domain": ("jane@m\xfcnchen.de", "jane@m\xfcnchen.de"),
        "with an A-label": ("jane@xn--mnchen-3ya.de", "jane@m\xfcnchen.de"),
        "with an international name": ("jos\xe9@example.com", None),
        "with a decomposed name": ("jose\u0301@example.com", "jos\xe9@example.com"),
        "with a full-width domain": ("jane@\uff45xample.com", "jane@example.com"),
        "with a label of 63": ("jane@" + "e" * 63 + ".com", None),
        "with a comment of SQL": ("jane'--@example.com", None),
    }
    for name, (address, normal) in stored.items():
        yield Case(f"address {name}", post(STUDENT | {"email": address}), ({201},), {"email": normal or address})
    for name, address in {
        "between spaces": "  jane@example.com\t",
        "with an ideographic dot": "jane@example\u3002com",
        "with an emoji as its name": "\U0001f393@example.com",
        "in Arabic": "\u0645@\u0645\u062b\u0627\u0644.\u0625\u062e\u062a\u0628\u0627\u0631",
        "with an eszett": "jane@fa\xdf.de",
        "with 65 letters": "j" * 65 + "@example.com",
        "of 254": "jane@" + ".".join(["e" * 61] * 4)[:245] + ".com",
    }.items():
        yield Case(f"address {name}", post(STUDENT | {"email": address}), (EITHER,))


def sizes() -> Iterator[Case]:
    for size, statuses in ((LIMIT - 1, {201}), (LIMIT, {201}), (LIMIT + 1, {413})):
        body = sized(size)
        yield Case(f"body of {size} bytes", post(body), (statuses,))
        yield Case(f"body of {size} bytes in a chunk", chunked(chunk(body) + b"0\r\n\r\n"), (statuses,))
        pieces = b"".join(chunk(body[start : start + 1000]) for start in range(0, size, 1000))
        yield Case(f"body of {size} bytes in many chunks", chunked(pieces + b"0\r\n\r\n"), (statuses,))
        changed = {200} if statuses == {201} else statuses
        yield Case(f"body of {size} bytes, to change", put(body), (changed,))
        yield Case(f"body of {size} bytes, to patch", put(body, method="PATCH"), (changed,))
    yield Case("body of 10 MiB", post(b" " * 10 * KIB * KIB), ({413},))
    yield Case("body of 10 MiB in chunks", chunked(chunk(b" " * 16 * KIB) * 640 + b"0\r\n\r\n"), ({413},))
    yield Case("body of 20000 chunks of a byte",
               chunked(b"".join(chunk(b" ") for _ in range(20000)) + CHUNKS), ({201},), STUDENT)  # fmt: skip
    yield Case("body of 70 KiB of another type", post_as(b"a" * 70 * KIB, "Content-Type: text/plain",
               f"Content-Length: {70 * KIB}"), ({413, 415},))  # fmt: skip
    yield Case("body of 70 KiB to nowhere", request("POST", "/nowhere", body=b" " * 70 * KIB), ({404, 413},))
    yield Case("body of 70 KiB with GET", request("GET", "/students/", body=b" " * 70 * KIB), ({200, 413},))
    yield Case("body of 70 KiB with DELETE", request("DELETE", "/students/1", body=b" " * 70 * KIB), ({413, 422},))
    yield Case("body of 70 KiB with a method that is not taken", request("PUT", "/students/", body=b" " * 70 * KIB),
               ({405, 413},))  # fmt: skip
    yield Case("body of 70 KiB to the assets", request("POST", "/docs-assets/a", body=b" " * 70 * KIB), ({405, 413},))
    yield Case("body of 70 KiB to nobody", request("PUT", f"/students/{NOBODY}", body=sized(70 * KIB)), ({404, 413},))


def lengths() -> Iterator[Case]:
    kind = "Content-Type: application/json"
    # RFC 9112, section 6.3: whatever is no number is an error that cannot be mended.
    for text in ("-1", "+5", "0x40", "5.0", "", "abc", "5 5", "5;5", "\u00b2", "5_0", "1" * 5000, str(2**64), "1e2"):
        sent = post_as(MARKED, kind, f"Content-Length: {text}")
        yield Case(f"length {text[:20]!a}", sent, ({400, 413} if len(text) > 10 else {400},))
    size = len(BODY)
    yield Case("length of a terabyte", post_as(BODY, kind, f"Content-Length: {10**12}"), ({413},))
    yield Case("length of 2**63 - 1", post_as(BODY, kind, f"Content-Length: {2**63 - 1}"), ({413},))
    yield Case("length with zeros before it", post_as(BODY, kind, f"Content-Length: 000{size}"), ({201},), STUDENT)
    yield Case("length between spaces", post_as(BODY, kind, f"Content-Length: \t {size} \t "), ({201},), STUDENT)
    # RFC 9110, section 8.6: the same number given twice may be taken for one, or refused.
    yield Case("length twice in a line", post_as(BODY, kind, f"Content-Length: {size}, {size}"), ({201, 400},), STUDENT)
    twice = post_as(BODY, kind, f"Content-Length: {size}", f"Content-Length: {size}")
    yield Case("length in two lines", twice, ({201, 400},), STUDENT)
    yield Case("length in two lines that differ", post_as(BODY, kind, f"Content-Length: {size}", "Content-Length: 0"),
               ({400},))  # fmt: skip
    yield Case("length in a line that differs", post_as(BODY, kind, f"Content-Length: {size}, 0"), ({400},))
    shorter = post_as(MARKED, kind, f"Content-Length: {len(MARKED) - 1}")
    yield Case("length that is one less", shorter, (REFUSED, {400}))
    yield Case("length 0 of a body", post_as(MARKED, kind, "Content-Length: 0"), (REFUSED, {400}))
    yield Case("length that hides a request",
               post_as(BODY + get(f"/students/{VICTIM}"), *JSON_BODY), ({201}, {200}), STUDENT)  # fmt: skip
    hidden = request("DELETE", f"/students/{VICTIM}")
    yield Case("length that hides a DELETE", post_as(hidden, f"Content-Length: {len(hidden)}", method="GET"), ({200},))


def smuggling() -> Iterator[Case]:
    kind = "Content-Type: application/json"
    hidden = request("DELETE", f"/students/{VICTIM}")
    both = ("Transfer-Encoding: chunked", f"Content-Length: {len(CHUNKS)}")
    # RFC 9112, section 6.1: both may be refused.
    yield Case("smuggling: both lengths", post_as(CHUNKS, kind, *both), ({400},))
    yield Case("smuggling: both lengths the other way round", post_as(CHUNKS, kind, *both[::-1]), ({400},))
    yield Case("smuggling: no length and chunks", post_as(b"0\r\n\r\n" + hidden, kind, "Content-Length: 5",
               "Transfer-Encoding: chunked"), ({400},))  # fmt: skip
    # RFC 9112, sections 6.1 and 6.3: a coding that is not known gets 501 or 400, and so does one that does not end it.
    for coding in ("gzip", "identity", "xchunked", "chunkedx", "chunked, gzip", "gzip, chunked", "chunked, chunked",
                   "chunked, identity", '"chunked"', "chunked;a=b", "\x0bchunked", "chun\0ked", "nonsense",
                   "identity, chunked", "deflate, chunked"):  # fmt: skip
        yield Case(
            f"smuggling: coding {coding!a}", post_as(CHUNKS, kind, f"Transfer-Encoding: {coding}"), ({400, 501},)
        )
    yield Case(
        "smuggling: coding in upper case", post_as(CHUNKS, kind, "Transfer-Encoding: CHUNKED"), ({201},), STUDENT
    )
    yield Case("smuggling: no coding", post_as(CHUNKS, kind, "Transfer-Encoding:"), ({400, 501},))
    yield Case("smuggling: an empty coding more", post_as(CHUNKS, kind, "Transfer-Encoding: , chunked"), ({201, 400},))
    yield Case("smuggling: coding in two lines", post_as(CHUNKS, kind, "Transfer-Encoding: chunked",
               "Transfer-Encoding: identity"), ({400, 501},))  # fmt: skip
    yield Case("smuggling: coding in two lines, both chunked", post_as(CHUNKS, kind, "Transfer-Encoding: chunked",
               "Transfer-Encoding: chunked"), ({400, 501},))  # fmt: skip
    yield Case("smuggling: coding behind a space", post_as(CHUNKS, kind, "Transfer-Encoding : chunked"), ({400},))
    yield Case("smuggling: coding in a folded line", post_as(CHUNKS, kind, "Transfer-Encoding:\r\n chunked"),
               ({201, 400, 501},), STUDENT)  # fmt: skip
    yield Case("smuggling: coding with another letter", post_as(BODY, kind, f"Content-Length: {len(BODY)}",
               "Transfer_Encoding: chunked"), ({201, 400},), STUDENT)  # fmt: skip
    # RFC 9112, section 6.1: with HTTP/1.0 the framing counts as faulty.
    old = raw("POST /students/ HTTP/1.0", "Host: students", kind, "Transfer-Encoding: chunked", body=CHUNKS)
    yield Case("smuggling: chunks in HTTP/1.0", old, ({201, 400},), STUDENT)
    yield Case("smuggling: a length in the trailer", chunked(chunk(BODY) + b"0\r\nContent-Length: 0\r\n\r\n"),
               ({201, 400},), STUDENT)  # fmt: skip
    yield Case("smuggling: a request behind the last chunk", chunked(CHUNKS + hidden), ({201}, {204}), STUDENT)


def chunks() -> Iterator[Case]:
    body, end = chunk(BODY), b"0\r\n\r\n"
    size = b"%x" % len(BODY)
    accepted = {
        "an extension": chunk(BODY, b";a=b") + end,
        "an extension without a value": chunk(BODY, b";a") + end,
        "a quoted extension": chunk(BODY, b';a="b c"') + end,
        "a trailer": body + b"0\r\nX-Trailer: " + MARK.encode() + b"\r\n\r\n",
        "upper case": chunk(BODY).upper()[: len(size)] + body[len(size) :] + end,
        "an extension at the end": body + b"0;a=b\r\n\r\n",
    }
    for name, framed in accepted.items():
        yield Case(f"chunks with {name}", chunked(framed), ({201},), STUDENT)
    either = {
        "zeros before the size": b"0000000" + body + end,
        "spaces behind the size": size + b"  \r\n" + BODY + b"\r\n" + end,
        "a quoted extension with escapes": chunk(BODY, b';a="\\""') + end,
        "an extension of 70 KiB": chunk(BODY, b";a=" + b"b" * 70 * KIB) + end,
        "a hundred thousand extensions": chunk(BODY, b";a" * 100_000) + end,
        "a trailer of 70 KiB": body + b"0\r\nX-Trailer: " + b"t" * 70 * KIB + b"\r\n\r\n",
        "ten thousand trailers": body + b"0\r\n" + b"X-Trailer: t\r\n" * 10_000 + b"\r\n",
        "line feeds alone": size + b"\n" + BODY + b"\n0\n\n",
    }
    for name, framed in either.items():
        yield Case(f"chunks with {name}", chunked(framed), ({201, 400, 413, 431},), STUDENT)
    refused = {
        "no hex": b"zz\r\n" + BODY + b"\r\n" + end,
        "no size": b"\r\n" + BODY + b"\r\n" + end,
        "a negative size": b"-5\r\n" + BODY + b"\r\n" + end,
        "a size with a plus": b"+" + body + end,
        "a size with 0x": b"0x" + body + end,
        "a size beyond 64 bits": b"1" + b"0" * 16 + b"\r\n" + BODY + b"\r\n" + end,
        "a size beyond 64 bits that wraps": b"1" + b"0" * 14 + size + b"\r\n" + BODY + b"\r\n" + end,
        "a size that is too small": b"5\r\n" + BODY + b"\r\n" + end,
        "no line break behind the data": size + b"\r\n" + BODY + b"0\r\n\r\n",
        "CR alone": size + b"\r" + BODY + b"\r" + b"0\r\r",
        "a bare CR in an extension": chunk(BODY, b";a\rb") + end,
        "NUL in the size": size + b"\0\r\n" + BODY + b"\r\n" + end,
        "a broken trailer": body + b"0\r\nno trailer\r\n\r\n",
        "a trailer with a space in its name": body + b"0\r\nX Trailer: a\r\n\r\n",
    }
    for name, framed in refused.items():
        yield Case(f"chunks with {name}", chunked(framed), ({400, 413} if "64 bits" in name else {400},))
    # RFC 9110, section 6.5.1: a trailer is no header, whenever it comes.
    yield Case("chunks with a condition as a trailer",
               chunked(chunk(b'{"gpa": 1}') + b'0\r\nIf-Match: "99"\r\n\r\n', method="PUT",
               target=f"/students/{VICTIM}"),
               ({200, 400},), {"gpa": 1})  # fmt: skip
    yield Case(
        "chunks with their type as a trailer",
        post_as(body + b"0\r\nContent-Type: application/json\r\n\r\n", "Transfer-Encoding: chunked"),
        ({400, 415},),
    )
    yield Case("chunks with an Accept as a trailer", chunked(body + b"0\r\nAccept: text/html\r\n\r\n"), ({201, 400},))
    yield Case("chunks with an id of the request as a trailer",
               chunked(body + b"0\r\nX-Request-ID: trailer\r\n\r\n", "X-Request-ID: head"), ({201, 400},))  # fmt: skip
    yield Case("chunks with an Upgrade as a trailer",
               chunked(body + b"0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), ({201, 400},))  # fmt: skip
    yield Case("chunks of nothing", chunked(end), (REFUSED,))


def lines() -> Iterator[Case]:
    """Request lines and versions."""
    host = "Host: students"
    yield Case("line of HTTP/1.0", raw("GET /students/ HTTP/1.0"), ({200},))
    yield Case(
        "line of HTTP/1.0 with a body", raw("POST /students/ HTTP/1.0", *JSON_BODY, body=BODY), ({201},), STUDENT
    )
    yield Case("line of HTTP/1.0 that is kept alive", raw("GET /students/ HTTP/1.0", host, "Connection: keep-alive"),
               ({200},))  # fmt: skip
    # RFC 9110, section 2.5: a higher minor version may be read as 1.1; another major one may not.
    yield Case("line of HTTP/1.2", raw("GET /students/ HTTP/1.2", host), ({200, 400, 505},))
    for version in ("HTTP/2.0", "HTTP/2", "HTTP/0.9", "HTTP/9.9", "HTTP/11", "HTTP/1.10", "HTTP/-1.1", "http/1.1",
                    "HTTPS/1.1", "HTTP /1.1", "HTTP/1,1", "HTTP/1.", "ICE/1.0", "FTP/1.1",
                    MARK):  # fmt: skip
        yield Case(f"line of {version}", raw(f"GET /students/ {version}", host), ({400, 505},))
    yield Case("line without a version", raw("GET /students/", host), ({200, 400, 505, CLOSED},))
    yield Case("line of an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", ({400, 505},))
    yield Case("line without a target", raw("GET HTTP/1.1", host), ({400},))
    yield Case("line with a space more", raw("GET  /students/ HTTP/1.1", host), ({200, 400},))
    yield Case("line with a space before it", raw(" GET /students/ HTTP/1.1", host), ({400},))
    yield Case("line with a space behind it", raw("GET /students/ HTTP/1.1 ", host), ({200, 400},))
    yield Case("line with tabs", raw("GET\t/students/\tHTTP/1.1", host), ({200, 400},))
    yield Case("line with a word more", raw(f"GET /students/ HTTP/1.1 {MARK}", host), ({400},))
    # RFC 9112, section 2.2: empty lines before a request are passed over.
    yield Case("lines that are empty before it", b"\r\n\r\n" + get("/students/"), ({200},))
    yield Case("lines of line feeds alone", get("/students/").replace(b"\r\n", b"\n"), ({200, 400},))
    yield Case("lines of CR alone", get("/students/").replace(b"\r\n", b"\r") + b"\r\n\r\n", ({400},))
    yield Case("line with a bare CR", raw("GET /students/\r HTTP/1.1", host), ({400},))
    yield Case("line of an answer", raw("HTTP/1.1 200 OK", "Content-Length: 0"), ({400},))
    yield Case("line of SSH", b"SSH-2.0-OpenSSH_9.6\r\n", ({400},))
    yield Case("line of SMTP", b"EHLO example.com\r\n", ({400},))
    yield Case("line of Redis", b"*1\r\n$4\r\nPING\r\n", ({400},))
    yield Case("line of SIP", b"OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/TCP nm\r\n\r\n", ({400, 505},))
    yield Case("line of NUL", b"\0" * 100 + b"\r\n\r\n", ({400},))
    yield Case("line of random bytes", bytes(range(128, 256)) + b"\r\n\r\n", ({400},))
    yield Case("line of MongoDB", b"\x3f\0\0\0\1\0\0\0\0\0\0\0\xd4\7\0\0\0\0\0\0admin.$cmd\0", ({400},))
    yield Case("line of TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(64)), ({400},))
    yield Case("line of a proxy", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get("/students/"), ({400},))
    yield Case("line of 70 KiB of a method", b"A" * 70 * KIB + b" / HTTP/1.1\r\n\r\n", ({400, 431},))


def headers() -> Iterator[Case]:
    # RFC 9112, section 5: what is no header is refused; a fold, and CR, LF or NUL in a value, may become spaces.
    for name, line, statuses in (
        ("without a colon", MARK, {400}),
        ("without a name", f": {MARK}", {400}),
        ("with a space before the colon", f"X-A : {MARK}", {400}),
        ("with a tab before the colon", f"X-A\t: {MARK}", {400}),
        ("with a space in its name", f"X A: {MARK}", {400}),
        ("with NUL in its name", f"X\0A: {MARK}", {400}),
        ("with a byte beyond ASCII in its name", f"X-\xe9: {MARK}", {400}),
        ("with a bracket in its name", f"X[A]: {MARK}", {400}),
        ("with a quote in its name", f'"X": {MARK}', {400}),
        ("with NUL in its value", f"X-A: {MARK}\0b", {200, 400}),
        ("with ESC in its value", f"X-A: {MARK}\x1b[31m", {200, 400}),
        ("with DEL in its value", f"X-A: {MARK}\x7f", {200, 400}),
        ("with a bare CR in its value", f"X-A: {MARK}\rX-B: c", {200, 400}),
        ("with a bare LF in its value", f"X-A: {MARK}\nX-B: c", {200, 400}),
        ("with bytes beyond ASCII in its value", f"X-A: {MARK}\xff\xfe", {200}),
        ("that is folded", f"X-A: a\r\n {MARK}", {200, 400}),
        ("without a value", "X-A:", {200}),
        ("without a space", "X-A:b", {200}),
        ("with an odd name", "!#$%&'*+-.^_`|~09: b", {200}),
        ("of 60 KiB", "X-A: " + "a" * 60 * KIB, {200, 431}),
        ("of 70 KiB", "X-A: " + MARK * 7 * KIB, {431}),
        ("of a MiB", "X-A: " + "a" * KIB * KIB, {431}),
        ("with a name of 70 KiB", "X" * 70 * KIB + ": a", {431}),
    ):
        yield Case(f"header {name}", get("/students/", line), (statuses,))
        if statuses == {400}:
            yield Case(f"header {name} on a POST", post(MARKED, line), (statuses,))
    first = raw("GET /students/ HTTP/1.1", f" X-A: {MARK}", "Host: students")
    yield Case("header that is folded and the first", first, ({200, 400},))
    yield Case("headers, 101 of them", get("/students/", *[f"X-{n}: {n}" for n in range(101)]), ({200, 431},))
    yield Case("headers, 5000 of one name", get("/students/", *["X-A: b"] * 5000), ({200, 431},))
    yield Case("headers, 10000 of them", get("/students/", *[f"X-{n}: {n}" for n in range(10_000)]), ({431},))
    yield Case("headers of 70 KiB on a POST", post(BODY, *[f"X-{n}: {'a' * 700}" for n in range(100)]), ({431},))
    # RFC 9112, section 3.2: HTTP/1.1 without exactly one valid Host gets 400.
    for name, hosts in {
        "no": (),
        "two": ("Host: students", "Host: evil.example"),
        "two of the same": ("Host: students", "Host: students"),
        "spaces in the": ("Host: stu dents",),
        "markup as": (f"Host: <script>{MARK}</script>",),
        "a path as": (f"Host: students/{MARK}",),
        "a user as": ("Host: root@students",),
        "a list as": ("Host: students, evil.example",),
    }.items():
        sent = raw("GET /students/ HTTP/1.1", *hosts)
        yield Case(f"header: {name} Host", sent, ({400},))
    for name, host in {
        "an empty": "",
        "a foreign": f"{MARK}.example",
        "an IPv6": "[::1]:8000",
        "a strange": "a:b:c",
    }.items():
        statuses = {200, 400} if name in {"an empty", "a strange"} else {200}
        yield Case(f"header: {name} Host", raw("GET /students/ HTTP/1.1", f"Host: {host}"), (statuses,))
    for line in ("X-Forwarded-For: ' OR 1=1 --", 'X-Forwarded-For: a" 200 - "GET /admin',
    "X-Forwarded-For: " + "1," * 9000,
                 "X-Forwarded-For: [::1", "X-Forwarded-For: \xff\xfe",
        "X-Forwarded-For: \x9b31mred", "X-Forwarded-Proto: javascript",
                 "X-Forwarded-Proto: \xff", "X-Forwarded-Host: evil.example", "X-Forwarded-Prefix: /evil",
                 "X-Forwarded-Port: nonsense", "X-Script-Name: /evil", 'Forwarded: for="_evil";proto=x',
                 "X-Original-URL: /docs", "X-Rewrite-URL: /docs"):  # fmt: skip
        yield Case(f"header {line[:32]!a}", get(f"/students/{VICTIM}", line), ({200},))
    yield Case(
        "header X-Forwarded-Prefix on a POST", post(BODY, "X-Forwarded-Prefix: //evil.example"), ({201},), STUDENT
    )
    own: dict[str, str | bytes] = {
        "a line break that is encoded": "X-Request-ID: a%0d%0aSet-Cookie:%20b=c",
        "a forged line": 'X-Request-ID: a] 1.2.3.4 - "GET / HTTP/1.1" 200',
        "129 letters": "X-Request-ID: " + "x" * 129,
        "60 KiB": "X-Request-ID: " + "x" * 60 * KIB,
        "bytes beyond ASCII": "X-Request-ID: \xe9\xff",
        "digits of another script": b"X-Request-ID: " + "\u0663".encode(),
        "nothing": "X-Request-ID:",
        "markup": "X-Request-ID: <script>",
    }
    for name, given in own.items():
        statuses = {404, 431} if name == "60 KiB" else {404}
        yield Case(f"header X-Request-ID of {name}", get("/nowhere", given), (statuses,))
    yield Case("header X-Request-ID twice", get("/nowhere", "X-Request-ID: a", "X-Request-ID: b"), ({404},))
    for line in ("Cookie: " + "a=b; " * 9000, "Authorization: Bearer " + "e" * 9000, "Authorization: Basic \xff",
                 "Range: bytes=0-1", "If-Modified-Since: nonsense", 'If-Range: "1"', "If-Unmodified-Since: 0",
                 "Accept-Language: " + "a;q=1," * 5000, "Accept-Encoding: gzip;q=nan", "Accept-Charset: utf-7",
                 "Max-Forwards: -1", "Date: nonsense", "Content-Type: \xff", "Keep-Alive: timeout=-1",
                 "Connection: keep-alive", "Connection: close, keep-alive", "Connection: host", "Connection: \xff",
                 "TE: trailers, deflate;q=nan", "Via: " + "1.1 a, " * 5000, "Origin: null", "HTTP2-Settings: AAMAAABk",
                 "Content-Length: 0", "Expect:", "Trailer: Content-Length"):  # fmt: skip
        statuses = {200, 417} if line == "Expect:" else {200}
        yield Case(f"header {line[:32]!a}", get(f"/students/{VICTIM}", line), (statuses,))


def media_types() -> Iterator[Case]:
    length = f"Content-Length: {len(BODY)}"
    for kind, statuses in {
        "text/plain": {415},
        "application/x-www-form-urlencoded": {415},
        "multipart/form-data": {415},
        "multipart/form-data; boundary=" + "b" * 5000: {415},
        "application/merge-patch+json": {415},
        "application/json-patch+json": {415},
        "application/vnd.api+json": {415},
        "application/json+protobuf": {415},
        "text/json": {415},
        "application/jsonp": {415},
        "application / json": {415},
        "application/json, text/plain": {415},
        "application/json/json": {415},
        "*/*": {415},
        "": {415},
        MARK: {415},
        "/": {415},
        ";": {415},
        "; charset=utf-8": {415},
        "application/json\xff": {415},
        "\xa0application/json": {415},
        "application/json; charset=utf-16": {201, 415},
        "application/json; charset=nonsense": {201, 415},
        "application/json;;;": {201},
        'application/json; a="b;c"': {201},
        "Application/JSON": {201},
        "application/json\t": {201},
        "application/json; " + "a=b; " * 9000: {201, 431},
    }.items():
        sent = post_as(BODY, f"Content-Type: {kind}", length)
        yield Case(f"type {kind[:40]!a}", sent, (statuses,), STUDENT)
    change = b'{"gpa": 1.5}'
    for method, kind, statuses in (
        ("PUT", "application/merge-patch+json", {415}),
        ("PATCH", "application/merge-patch+json", {200}),
        ("PATCH", "application/merge-patch+json; a=b", {200}),
        ("PATCH", "application/json-patch+json", {415}),
        ("PATCH", "text/plain", {415}),
        ("PUT", "text/plain", {415}),
    ):
        about = (f"Content-Type: {kind}", f"Content-Length: {len(change)}")
        sent = post_as(change, *about, method=method, target=f"/students/{VICTIM}")
        yield Case(f"type {kind} to {method.lower()}", sent, (statuses,), {"gpa": 1.5})
    yield Case("type that is missing", post_as(BODY, length), ({415},))
    yield Case("type that is missing with chunks", post_as(CHUNKS, "Transfer-Encoding: chunked"), ({415},))
    yield Case(
        "types, the first is good", post_as(BODY, *JSON_BODY, "Content-Type: text/plain"), ({201, 400, 415},), STUDENT
    )
    yield Case(
        "types, the last is good", post_as(BODY, "Content-Type: text/plain", *JSON_BODY), ({201, 400, 415},), STUDENT
    )
    packed = gzip.compress(BODY, mtime=0)
    # RFC 9110, section 8.4: a coding that is not taken may get 415.
    yield Case("coding gzip", post(packed, "Content-Encoding: gzip"), ({415, 422},))
    bomb = gzip.compress(b" " * 20 * KIB * KIB, mtime=0)
    yield Case("coding gzip of 20 MiB", post(bomb, "Content-Encoding: gzip"), ({415, 422},))
    yield Case("coding gzip that is none", post(BODY, "Content-Encoding: gzip"), ({201, 415, 422},), STUDENT)
    yield Case("coding identity", post(BODY, "Content-Encoding: identity"), ({201, 415},), STUDENT)
    form = b"--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n" + MARKED + b"\r\n--b--\r\n"
    about = ("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {len(form)}")
    yield Case("type of an upload", post_as(form, *about), ({415},))


def accepted_types() -> Iterator[Case]:
    for text, statuses in {
        "text/html": {406},
        MARK: {406},
        "a/b;q=0.1," * 6000: {406, 431},
        "a/b;" * 9000: {406, 431},
        "application/json;q=0": {406},
        "*/*;q=-1": {200, 406},
        "*/*;q=nan": {200, 406},
        "*/*;q=1e999": {200, 406},
        "*/*;q=\u00b2": {200, 406},
        "application/json;q=1_0": {200, 406},
        '"application/json"': {406},
        "application/json;q=" + "9" * 5000: {200, 406},
        ",,,;;;===": {406},
        "\xff\xfe": {406},
        "*" * 5000: {406},
        "application/json" + " " * 9000: {200},
    }.items():
        yield Case(f"accept {text[:24]!a} ({len(text)})", get("/students/", f"Accept: {text}"), (statuses,))
    yield Case("accept no JSON on a POST", post(MARKED, "Accept: text/html"), ({406},))
    yield Case("accept no JSON on a PUT", put({"gpa": 1}, "Accept: text/html"), ({406},))
    yield Case("accept in 500 lines", get("/students/", *["Accept: text/html"] * 500), ({406},))


def conditions() -> Iterator[Case]:
    many = ",".join(f'"{number}"' for number in range(2, 9000))
    for text, on_write, on_read in (
        ("garbage", {422}, {422}),
        ('"1', {422}, {422}),
        ("1", {422}, {422}),
        ('"1" "2"', {422}, {422}),
        ('*, "1"', {422}, {422}),
        ('"\x7f"', {400, 422}, {400, 422}),
        ("'1'", {422}, {422}),
        ('"1"; DROP TABLE', {422}, {422}),
        ('{"$ne": 1}', {422}, {422}),
        (MARK, {422}, {422}),
        ("", {200, 422}, {200, 422}),
        ('"' + "a" * 60000 + '"', {412, 431}, {200, 431}),
        ('"' + "9" * 5000 + '"', {412}, {200}),
        ('"-1"', {412}, {200}),
        ('"1.0"', {412}, {200}),
        ('"' + str(2**63 - 1) + '"', {412}, {200}),
        ('"\xe9"', {412}, {200}),
        ('"{$ne:null}"', {412}, {200}),
        (many, {412, 431}, {200, 431}),
        ('"1",' * 15000, {200, 431}, {304, 431}),
        ("W/" * 20000, {422, 431}, {422, 431}),
        (", " * 30000 + "x", {422, 431}, {422, 431}),
        ('"a" ,\t, ' * 7500 + "x", {422, 431}, {422, 431}),
        ('"' * 59999, {422, 431}, {422, 431}),
        (" " * 60000 + '"1"', {200, 431}, {304, 431}),
        ('"a"' + "\t ," * 20000 + "x", {422, 431}, {422, 431}),
    ):
        label = f"{text[:16]!a} ({len(text)})"
        yield Case(f"If-Match {label}", put({"gpa": 1}, f"If-Match: {text}"), (on_write,), {"gpa": 1})
        yield Case(f"If-None-Match {label}", get(f"/students/{VICTIM}", f"If-None-Match: {text}"), (on_read,))
    yield Case(
        "If-Match of another version on DELETE", request("DELETE", f"/students/{VICTIM}", 'If-Match: "2"'), ({412},)
    )
    yield Case("If-Match of nobody", request("PUT", f"/students/{NOBODY}", "If-Match: *", body=b'{"gpa": 1}'), ({404},))
    yield Case("If-Match in two lines", put({"gpa": 1}, 'If-Match: "9"', "If-Match: x"), (REFUSED,))
    yield Case("If-None-Match * on PUT", put({"gpa": 1}, "If-None-Match: *"), ({412},))
    yield Case("If-None-Match and If-Match", put({"gpa": 1}, 'If-Match: "1"', 'If-None-Match: "1"'), ({412},))


def expectations() -> Iterator[Case]:
    # RFC 9110, section 10.1.1: another expectation may get 417.
    yield Case("expect nonsense", post(BODY, f"Expect: {MARK}"), ({201, 417},), STUDENT)
    yield Case("expect 100-continue and send at once", post(BODY, "Expect: 100-continue"), ({201},), STUDENT)
    yield Case("expect 100-continue in upper case", post(BODY, "Expect: 100-CONTINUE"), ({201},), STUDENT)
    yield Case("expect 100-continue without a body", get("/students/", "Expect: 100-continue"), ({200},))
    yield Case("expect 100-continue in HTTP/1.0",
               raw("POST /students/ HTTP/1.0", "Expect: 100-continue", *JSON_BODY, body=BODY), ({201},),
               STUDENT)  # fmt: skip
    yield Case("expect 100-continue for too much",
               post_as(b"", "Expect: 100-continue", "Content-Type: application/json", f"Content-Length: {LIMIT + 1}"),
               ({413},))  # fmt: skip
    # RFC 9110, section 7.8: who does not switch protocols answers as if Upgrade were not there.
    key = ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
    for protocol in ("h2c", "websocket", "TLS/1.0", "HTTP/3.0", MARK, "websocket, h2c", ""):
        upgrade = ("Connection: Upgrade", f"Upgrade: {protocol}", *(key if "websocket" in protocol else ()))
        yield Case(f"upgrade to {protocol!r} on POST", post(BODY, *upgrade), ({201},), STUDENT)
        yield Case(f"upgrade to {protocol!r} on POST in chunks", chunked(CHUNKS, *upgrade), ({201},), STUDENT)
        yield Case(f"upgrade to {protocol!r} on GET", get("/students/", *upgrade), ({200},))
    half = ("Connection: Upgrade", "Upgrade: websocket")
    yield Case("upgrade to half a websocket", get("/students/", *half), ({200},))
    yield Case("upgrade to a websocket of nowhere", get("/nowhere", *half, *key), ({404},))
    yield Case("upgrade to a websocket on PUT", put({"gpa": 1}, *half, *key), ({200},), {"gpa": 1})
    yield Case("upgrade to a websocket and close", post(BODY, "Connection: Upgrade, close", half[1]), ({201},), STUDENT)
    many = get("/livez", "Connection: Upgrade", "Upgrade: a") * 1000
    yield Case("upgrades by the thousand in one piece", many, ({200},) * 1000)
    old = raw("GET /students/ HTTP/1.0", "Connection: keep-alive") + b"NONSENSE\r\n\r\n"
    yield Case("nonsense behind a request of HTTP/1.0", old, ({200},))
    yield Case("upgrade without a connection", post(BODY, "Upgrade: websocket"), ({201},), STUDENT)
    yield Case("upgrade of a connection to nothing", post(BODY, "Connection: Upgrade"), ({201},), STUDENT)
    yield Case("upgrade, and a bad body", post(MARKED[:-1], *half, *key), (REFUSED,))
    yield Case("upgrade, and a request behind it", post(BODY, *half) + get("/students/"), ({201}, {200}), STUDENT)
    yield Case("upgrade to h2c, and its preface", get("/students/", "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
               "HTTP2-Settings: AAMAAABk") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ({200}, {400, 505}))  # fmt: skip


def assets() -> Iterator[Case]:
    # RFC 9110, section 14.2: a server may ignore any Range; one that cannot be satisfied may get 416.
    for text, statuses in {
        "bytes=0-9": {200, 206},
        "bytes=-5": {200, 206},
        "bytes=0-0,5-9": {200, 206},
        "bytes=999999999-": {200, 416},
        "bytes=9-0": {200, 400, 416},
        "bytes=": {200, 400, 416},
        "bytes=a-b": {200, 400, 416},
        f"{MARK}=0-9": {200, 400, 416},
        "bytes=0-9" + ",0-" * 15000: {200, 206, 400, 416, 431},
        "bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(5000)): {200, 206, 400, 416, 431},
        "bytes=0-" + "9" * 5000: {200, 206, 400, 416},
        "bytes=" + "9" * 5000 + "-": {200, 400, 416},
        "bytes=\u00b2-\u00b3": {200, 400, 416},
        "bytes=--5": {200, 400, 416},
    }.items():
        sent = get("/docs-assets/swagger-ui.css", f"Range: {text}")
        yield Case(f"range {text[:24]!a} ({len(text)}) of an asset", sent, (statuses,))
    for line in ("If-Modified-Since: nonsense", "If-Modified-Since: Thu, 99 Foo 99999 99:99:99 GMT", "If-None-Match: x",
                 "If-Range: nonsense", "If-Unmodified-Since: nonsense"):  # fmt: skip
        yield Case(f"asset with {line}", get("/docs-assets/swagger-ui.css", line), ({200},))
    yield Case("asset with HEAD", request("HEAD", "/docs-assets/swagger-ui.css"), ({200},))
    yield Case("asset with POST", request("POST", "/docs-assets/swagger-ui.css", body=BODY), ({405},))
    yield Case("documentation with a host of another", get("/docs", "X-Forwarded-Host: evil.example"), ({200},))
    yield Case("documentation with a query", get(f"/docs?url={MARK}"), ({200, 422},))
    yield Case("health with a query", get(f"/livez?{MARK}=1"), ({200, 422},))


def forged(values: Any, skip: Any = 0, **query: Any) -> str:
    """A cursor as somebody makes it who has read how: its digest is right."""
    return sealed(bson.encode({"values": values, "skip": skip}), **query)


def sealed(data: bytes, **query: Any) -> str:
    return cursors.with_checksum(data, StudentQuery.model_validate(query).fingerprint())


def deep_bson(depth: int) -> bytes:
    """An array in an array in an array, by hand: the driver's encoder gives up earlier."""
    document = b"\5\0\0\0\0"
    for _ in range(depth):
        document = (len(document) + 8).to_bytes(4, "little") + b"\x040\0" + document + b"\0"
    return document


def damaged(name: str, data: bytes) -> Case:
    return Case(f"cursor that is {name}", get(f"/students/?cursor={sealed(data)}"), (REFUSED,))


def lists_by_cursor() -> Iterator[Case]:
    good = forged([ObjectId(VICTIM)])
    yield Case("cursor that is good", get(f"/students/?cursor={good}"), ({200},))
    for name, text in {
        "empty": "",
        "text": MARK,
        "one letter": "a",
        "percent signs": "%25%25",
        "an operator": quote('{"$gt": ""}'),
        "of another alphabet": good.replace("A", "/").replace("B", "+"),
        "padded": good + "==",
        "cut": good[:-4],
        "longer": good + "AAAA",
        "changed": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "with a line break": good + "%0A",
        "with NUL": good + "%00",
        "60000 letters": "A" * 60000,
        "no UTF-8": "%FF",
        "a number": "1",
        "JSON": base64.urlsafe_b64encode(b'{"_id": {"$gt": 1}}').decode().rstrip("="),
        "a pickle": base64.urlsafe_b64encode(b"\x80\x04cos\nsystem\n(S'id'\ntR.").decode().rstrip("="),
        "of another order": forged(["a", ObjectId(VICTIM)], sort="name"),
        "of another filter": forged([ObjectId(VICTIM)], name=["a"]),
    }.items():
        statuses = {422, 431} if len(text) > 9000 else REFUSED
        yield Case(f"cursor that is {name}", get(f"/students/?cursor={text}"), (statuses,))
    yield Case("cursor twice", get(f"/students/?cursor={good}&cursor={MARK}"), ({200, 422},))
    yield Case("cursor and skip", get(f"/students/?cursor={good}&skip=1"), (REFUSED,))
    values: dict[str, Any] = {
        "an operator": [{"$gt": ""}],
        "a list": [[1]],
        "an expression": [Regex("(a+)+$")],
        "code": [Code("sleep(10000)")],
        "code with a scope": [Code("sleep(a)", {"a": 1})],
        "MinKey": [MinKey()],
        "MaxKey": [MaxKey()],
        "a time stamp": [Timestamp(1, 1)],
        "a reference": [DBRef("students", ObjectId(VICTIM))],
        "two values": [1, 2],
        "no values": [],
        "text in place of a list": "a",
        "a number in place of a list": 1,
        "an object in place of a list": {"0": 1},
    }
    for name, each in values.items():
        yield Case(f"cursor forged with {name}", get(f"/students/?cursor={forged(each)}"), (REFUSED,))
    for name, skip in {"-1": -1, "2**31": 2**31, "2**63 - 1": Int64(2**63 - 1), "text": "1", "NaN": float("nan"),
                       "an object": {"$gt": 0}, "null": None}.items():  # fmt: skip
        yield Case(f"cursor forged with skip {name}", get(f"/students/?cursor={forged(None, skip)}"), (REFUSED,))
    for name, value in {
        "text": "z" * 1000,
        "text that is an operator": "$gt",
        "text of 40000": "z" * 40000,
        "text with NUL": "a\0b",
        "a number": 1,
        "NaN": float("nan"),
        "infinity": float("inf"),
        "a signalling NaN": Decimal128("sNaN"),
        "a large decimal": Decimal128("9E6144"),
        "a boolean": True,
        "bytes": b"\0\xff",
        "an old date": datetime(1, 1, 1, tzinfo=UTC),
        "null": None,
    }.items():
        yield Case(f"cursor forged with {name} as an id", get(f"/students/?cursor={forged([value])}"), ({200, 422},))
    yield Case("cursor forged with skip 2**31 - 1", get(f"/students/?cursor={forged(None, 2**31 - 1)}"), ({200, 422},))
    yield Case("cursor forged with true as skip", get(f"/students/?cursor={forged(None, True)}"), ({200, 422},))
    yield damaged("nothing", b"")
    yield damaged("an empty document", bson.encode({}))
    yield damaged("too short a document", b"\5\0\0")
    yield damaged("a document of a length too large", b"\xff\xff\xff\x7f\0")
    yield damaged("a document of a negative length", b"\xff\xff\xff\xff\0")
    yield damaged("a document of an unknown type", b"\x0a\0\0\0\x99a\0\0\0\0")
    yield damaged("a document without its end", bson.encode({"values": None, "skip": 0})[:-1] + b"x")
    yield damaged("two documents", bson.encode({"values": None, "skip": 0}) * 2)
    yield damaged("a string of a length too large", b"\x10\0\0\0\x02values\0\xff\xff\xff\x7f\0")
    whole = bson.encode({"values": ["HERE"], "skip": 0})
    yield damaged("text that is no UTF-8", whole.replace(b"HERE", b"\xff\xfe\xff\xfe"))
    yield damaged(
        "a list in a list, 5000 deep", bson.encode({"values": None, "skip": 0})[:-1] + b"\4a\0" + deep_bson(5000)
    )
    deep = b"\4values\0" + deep_bson(4000) + b"\x10skip\0\0\0\0\0"
    yield damaged("values 4000 deep", (len(deep) + 5).to_bytes(4, "little") + deep + b"\0")
    date = b"\4values\0\x10\0\0\0\x090\0\xff\xff\xff\xff\xff\xff\xff\x7f\0\x10skip\0\0\0\0\0"
    yield damaged("a date beyond the calendar", (len(date) + 5).to_bytes(4, "little") + date + b"\0")


def queries() -> Iterator[Case]:
    refused = [
        f"nmae={MARK}", f"gpa[$gt]={MARK}", "gpa%5B%24gt%5D=", "$where=sleep(10000)", "gpa.$gt=1", "name[]=a",
        "name[0]=a",
        "=", "=a", "%", "%zz=1", "%00=1", "\xff=1", "limit=1;skip=1", "limit=1?skip=1", "LIMIT=1", "limit%00=1",
        " =1", "_=1",
        "limit=0", "limit=1001", "limit=-1", "limit=", "limit=1.5", "limit=1e1", "limit=0x1", "limit=%00",
        "limit=1%001",
        "limit=1%2C2", "limit=null", "limit=" + "9" * 5000, f"limit={2**64}", "limit[]=1", "limit={}", f"limit={MARK}",
        "skip=-1", "skip=10001", "skip=1e999", "skip=NaN", "skip=", "skip=-0.5", "count=maybe", "count=2", "count=",
        "gpa=NaN", "gpa=inf", "gpa=1e999", "gpa=", "gpa=true", "gpa=%7B%22%24ne%22%3A1%7D", "gpa__gt=-Infinity",
        "gpa__gte=1&gpa__gte=x", "gpa__ne=1", "gpa__in=1,2", "gpa__gt[$gt]=1", "gpa__gt__gt=1", "gpa=0x3", "gpa=3,0",
        "name__regex=(a%2B)%2B$", "name__gt=a", "id=1", f"_id={VICTIM}", "version=1", "by_name=a", "q=", "q=%00",
        "q=%20", "q=__", "q=%22%22", "q=" + "a" * 201, "q=%F0%9F%8E%93", "q=$search", "q[$search]=a",
        "sort=", "sort=password", "sort=-", "sort=--gpa", "sort=gpa,gpa", "sort=$natural", "sort=gpa%00", "sort=GPA",
        "sort=gpa,-name,email", "sort=_id", "sort={}", "sort=" + "gpa," * 5000, f"sort={MARK}", "fields=",
        "fields=password",
        "fields=name,", "fields=,name", "fields=*", "fields=_id", "fields=version", "fields=name%00",
        "fields=name.first",
        "fields=name%20", "fields=-name", "fields=name%0A", f"fields={MARK}",
    ]  # fmt: skip
    taken = {"q=$search", "q=%F0%9F%8E%93"}
    for text in refused:
        statuses = {200, 422} if text in taken else REFUSED
        raw_bytes = any(letter in text for letter in " \xff")
        statuses = {400, 422} if raw_bytes else statuses
        yield Case(f"query {text[:32]!a} ({len(text)})", get(f"/students/?{text}"), (statuses,))
    either = [
        "limit=1&limit=2", "limit=1_0", "limit=%2B5", "limit=+5", "limit=%205%20", "limit=\xd9\xa3", "limit=%D9%A3",
        "limit=5.0",
        "limit=05", "limit=-0", "skip=-0", "count=TRUE", "count=1", "count=on", "count=true&count=false", "gpa=%20%33",
        "gpa=1_0", "gpa=1e-400", "gpa=%D9%A3", "name=a&" * 21 + "name=a", "sort=gpa&sort=name", "fields=name,name",
        "fields=" + "name," * 9000 + "name", "&" * 5000, "gpa=" + "9" * 300, "gpa=" + "1" * 5000,
    ]  # fmt: skip
    for text in either:
        statuses = {200, 400, 422} if not text.isascii() else {200, 422}
        yield Case(f"query {text[:32]!a} ({len(text)})", get(f"/students/?{text}"), (statuses,))
    good = [
        "", "&", "&&&", "name=", "name=%00", "name=%FF%FE", "name=%ED%A0%80", "name=$ne",
        "name=%7B%22%24ne%22%3Anull%7D",
        "name=(a%2B)%2B$", "name=%0D%0ASet-Cookie:a=b", "name=" + "a" * 50000, "name=a&name=b&name=c",
        "name=%F0%9F%8E%93",
        "email=*", "course=../../etc/passwd", "gpa=-0", "gpa=1e308", "gpa__gt=4&gpa__lt=0", "gpa__gte=-1e308",
        "q=a", "q=-a", "q=%22a", "q=a%22%20-b", "q=a%00b", "q=" + "a" * 200, "q=" + "%C3%A9" * 200, "q=(a%2B)%2B$",
        "q=%7B%24where%3A1%7D",
        "q=the", "q=a%20" * 1 + "b%20" * 90, "q=%EF%BF%BD%20a", "limit=1&skip=10000", "limit=1000",
        "sort=-gpa,name&limit=1",
        "fields=id", "fields=id,id,id", "name=%2500", "name=a%20b+c", "name=a;b", "skip=10000&count=true",
    ]  # fmt: skip
    for text in good:
        statuses = {200, 414, 431} if len(text) > 9000 else {200}
        yield Case(f"query {text[:32]!a} ({len(text)})", get(f"/students/?{text}"), (statuses,))
    raw_byte = get(b"/students/?name=\xff\xfe")
    yield Case("query with raw bytes beyond ASCII", raw_byte, ({200, 400},))
    yield Case("query with a raw quote", get('/students/?name="a"<b>'), ({200, 400},))
    yield Case("query with a raw NUL", get("/students/?name=a\0b"), ({400},))
    yield Case("query with a raw ESC", get("/students/?name=\x1b[31m"), ({200, 400},))
    yield Case("query with a raw line break", get("/students/?name=a\nb"), ({400},))
    yield Case(
        "query of 1000 parameters", get("/students/?" + "&".join(f"a{n}={MARK}" for n in range(1000))), (REFUSED,)
    )
    yield Case("query of 15000 parameters", get("/students/?" + "a=b&" * 15000), ({414, 422, 431},))
    yield Case("query of 70 KiB", get("/students/?name=" + "a" * 70 * KIB), ({414, 431},))
    for method, body in (("GET", None), ("PUT", b'{"gpa": 1}'), ("PATCH", b'{"gpa": 1}'), ("DELETE", None)):
        sent = request(method, f"/students/{VICTIM}?{'id'}={MARK}", body=body)
        yield Case(f"query on {method} of a student", sent, (REFUSED,))
    yield Case("query on POST", request("POST", f"/students/?upsert={MARK}", body=BODY), (REFUSED,))


def pipelines() -> Iterator[Case]:
    # RFC 9112, section 9.3.2: answers come in the order of the requests, and what is refused takes none of them away.
    good, bad = get(f"/students/{VICTIM}"), b"NONSENSE\r\n\r\n"
    yield Case("pipeline of 50", get("/students/") * 50, ({200},) * 50)
    yield Case("pipeline of 1000", get("/livez") * 1000, ({200},) * 1000)
    yield Case("pipeline of a good one and nonsense", good + bad, ({200}, {400}))
    yield Case("pipeline of a stored one and nonsense", post(BODY) + bad, ({201}, {400}), STUDENT)
    yield Case("pipeline of nonsense and a good one", bad + good, ({400},))
    yield Case("pipeline of nonsense and a DELETE", bad + request("DELETE", f"/students/{VICTIM}"), ({400},))
    yield Case(
        "pipeline of refused ones and a good one",
        get("/students/1") + post(MARKED[:-1]) + good,
        (REFUSED, REFUSED, {200}),
    )
    yield Case("pipeline of a change and a look", put({"gpa": 1.5}) + good, ({200}, {200}), {"gpa": 1.5})
    yield Case("pipeline of two changes", put({"gpa": 1}) + put({"gpa": 1.5}, 'If-Match: "2"'), ({200}, {200}))
    yield Case(
        "pipeline of a change and a DELETE", put({"gpa": 1}) + request("DELETE", f"/students/{VICTIM}"), ({200}, {204})
    )
    yield Case("pipeline behind a close", get("/livez", "Connection: close") + request("DELETE", f"/students/{VICTIM}"),
               ({200},))  # fmt: skip
    yield Case(
        "pipeline behind HTTP/1.0", raw("GET /livez HTTP/1.0") + request("DELETE", f"/students/{VICTIM}"), ({200},)
    )
    large = request("POST", "/students/", body=sized(LIMIT + 1))
    yield Case("pipeline behind a body too large", large + request("DELETE", f"/students/{VICTIM}"), ({413},))
    yield Case("pipeline of chunks", chunked(CHUNKS) * 3 + good, ({201}, {201}, {201}, {200}), STUDENT)
    yield Case("pipeline of a good one and half a body too large", good + large[: -LIMIT // 2], ({200}, {413}))
    yield Case(
        "pipeline of a good one and a header too large", good + get("/", "X-A: " + "a" * 70 * KIB), ({200}, {431})
    )
    yield Case("pipeline with a bad chunk in the middle", chunked(b"zz\r\n") + good, ({400},))


FAMILIES = (
    ids, paths, methods, json_texts, json_strings, json_keys, values, numbers, texts, addresses, sizes, lengths,
    smuggling,
    chunks, lines, headers, media_types, accepted_types, conditions, expectations, assets, lists_by_cursor, queries,
    pipelines,
)  # fmt: skip

PROTOCOL = (lengths, smuggling, chunks, lines, expectations)
"""What a server reads byte by byte: these cases are sent in pieces as well."""

CASES = [case for family in FAMILIES for case in family()]
IN_PIECES = [case for family in PROTOCOL for case in family() if len(case.sent) < 2 * KIB]

HEAD = b"POST /students/ HTTP/1.1\r\nHost: students\r\nContent-Type: application/json\r\n"
INCOMPLETE = {
    "a letter": b"G",
    "a method": b"GET ",
    "half a line": b"GET /stud",
    "a line": b"GET /students/ HTTP/1.1\r\n",
    "half a header": b"GET /students/ HTTP/1.1\r\nHost: stu",
    "a head without its end": b"GET /students/ HTTP/1.1\r\nHost: students\r\n",
    "CR for its end": b"GET /students/ HTTP/1.1\r\nHost: students\r\n\r",
    "no body": HEAD + b"Content-Length: 5\r\n\r\n",
    "half a body": HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:-5],
    "all but a byte": HEAD + b"Content-Length: %d\r\n\r\n" % (len(BODY) + 1) + BODY,
    "chunks without a size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    "half a size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n" + BODY[:20],
    "chunks without their end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(BODY),
    "chunks without the last line": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(BODY) + b"0\r\n",
    "half a trailer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(BODY) + b"0\r\nX-Trailer: a",
    "no body after an expectation": HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "half a change": put({"gpa": 1})[:-1],
    "half a change in chunks": chunked(chunk(b'{"gpa": 1}'), method="PUT", target=f"/students/{VICTIM}"),
    "half a body of a websocket": HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 9\r\n\r\n{",
    "half a body of h2c": HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 9\r\n\r\n{",
}
