"""`python -m students_api` is the command `students-api`."""

from students_api.cli import app

app(prog_name="students-api")
