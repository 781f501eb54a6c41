// What a program does with the types that openapi-typescript generates: `node client.js <url> <a student as JSON>`.

import assert from "node:assert/strict";
import process from "node:process";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Student = components["schemas"]["StudentCreate"];

const [baseUrl, given] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl });
const jane = JSON.parse(given) as Student;

const ids: string[] = [];
for (const gpa of [1.5, 2.5, 3.5]) {
  const { data, response } = await client.POST("/students/", { body: { ...jane, gpa } });
  assert.equal(response.status, 201);
  assert.ok(data);
  assert.equal(data.gpa, gpa);
  ids.push(data.id);
  assert.ok(response.headers.get("Location")?.endsWith(data.id));
}

const found: string[] = [];
let cursor: string | undefined;
do {
  const query = { gpa__gte: 2, sort: "-gpa", limit: 1, count: true, cursor } as const;
  const { data } = await client.GET("/students/", { params: { query } });
  assert.ok(data);
  assert.equal(data.total, 2);
  found.push(...data.students.map((student) => student.id));
  cursor = data.next_cursor ?? undefined;
} while (cursor !== undefined);
assert.deepEqual(found, [ids[2], ids[1]]);

const some = await client.GET("/students/", { params: { query: { fields: "name", gpa: [1.5, 2.5] } } });
assert.deepEqual(some.data?.students, ids.slice(0, 2).map((id) => ({ id, name: jane.name })));

const id = ids[0] as string;
const read = await client.GET("/students/{id}", { params: { path: { id } } });
const tag = read.response.headers.get("ETag") as string;
const known = await client.GET("/students/{id}", { params: { path: { id }, header: { "If-None-Match": tag } } });
assert.equal(known.response.status, 304);
const params = { path: { id }, header: { "If-Match": tag } };
const changed = await client.PUT("/students/{id}", { params, body: { gpa: 4 } });
assert.equal(changed.data?.gpa, 4);
const patched = await client.PATCH("/students/{id}", { params: { path: { id } }, body: { name: "Jane Roe" } });
assert.deepEqual([patched.data?.name, patched.data?.gpa], ["Jane Roe", 4]);
const late = await client.PUT("/students/{id}", { params, body: { gpa: 1 } });
assert.equal(late.error?.status, 412);
const wrong = await client.PUT("/students/{id}", { params: { path: { id } }, body: { gpa: 5 } });
assert.ok(wrong.error && "errors" in wrong.error);
assert.deepEqual(wrong.error.errors[0]?.loc, ["body", "gpa"]);

for (const one of ids) {
  const { response } = await client.DELETE("/students/{id}", { params: { path: { id: one } } });
  assert.equal(response.status, 204);
}
const gone = await client.GET("/students/{id}", { params: { path: { id } } });
assert.equal(gone.error?.detail, `Student ${id} not found`);
