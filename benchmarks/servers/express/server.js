// The same API on Express and Mongoose: `node server.js --port N`, with MONGODB_URL and MONGODB_DATABASE.
import express from "express";
import mongoose from "mongoose";

const port = Number(process.argv[process.argv.indexOf("--port") + 1]);

const text = { type: String, required: true, trim: true, minLength: 1, maxLength: 200 };
const schema = new mongoose.Schema(
  {
    name: text,
    email: { ...text, match: /^[^\s@]+@[^\s@]+\.[^\s@]+$/ },
    course: text,
    gpa: { type: Number, required: true, min: 0, max: 4 },
  },
  { versionKey: false, autoIndex: false },
);
const Student = mongoose.model("Student", schema, "students");
const KEYS = "name email course gpa";

const shown = ({ _id, name, email, course, gpa }) => ({ id: _id, name, email, course, gpa });
const found = (response, student, id) =>
  student ? response.json(shown(student)) : response.status(404).json({ detail: `Student ${id} not found` });

const app = express();
app.use(express.json());

app.post("/students/", async (request, response) => {
  const { name, email, course, gpa } = request.body;
  response.status(201).json(shown(await Student.create({ name, email, course, gpa })));
});

app.get("/students/", async (request, response) => {
  const limit = Number(request.query.limit ?? 1000);
  const students = await Student.find({}, KEYS, { sort: { _id: 1 }, limit, batchSize: limit }).lean();
  response.json({ students: students.map(shown), next_cursor: null });
});

app.get("/students/:id", async (request, response) => {
  found(response, await Student.findById(request.params.id, KEYS).lean(), request.params.id);
});

app.put("/students/:id", async (request, response) => {
  const options = { returnDocument: "after", runValidators: true, lean: true, projection: KEYS };
  found(response, await Student.findByIdAndUpdate(request.params.id, request.body, options), request.params.id);
});

app.delete("/students/:id", async (request, response) => {
  const { deletedCount } = await Student.deleteOne({ _id: request.params.id });
  response.sendStatus(deletedCount ? 204 : 404);
});

await mongoose.connect(process.env.MONGODB_URL, { dbName: process.env.MONGODB_DATABASE });
app.listen(port, "127.0.0.1");
