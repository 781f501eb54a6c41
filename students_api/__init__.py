"""A REST API for student records on FastAPI, Beanie and MongoDB."""

import os

__version__ = "0.1.0"

# Motor sizes its thread pool once, when Beanie first imports it, so this cannot wait for `Settings`. As many threads as
# connections: a thread more would wait for a connection, a connection more for a thread.
_pool_size = os.environ.get("STUDENTS_API_POOL_SIZE", "")
os.environ.setdefault("MOTOR_MAX_WORKERS", _pool_size if _pool_size.strip("0").isdecimal() else "32")
