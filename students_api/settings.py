"""The settings of the service, each an environment variable."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AliasGenerator, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "STUDENTS_API_"


class StartUpError(Exception):
    """The service cannot start. The message tells a person what to do about it."""


def variable(field: str) -> str:
    """The environment variable of a field. Those of MongoDB have the names of the tutorial."""
    return field.upper() if field.startswith("mongodb_") else f"{PREFIX}{field}".upper()


def _require_telemetry_extra(wanted: bool) -> bool:  # noqa: FBT001  # pydantic passes it by position
    if wanted and not all(find_spec(f"opentelemetry.{name}") for name in ("exporter", "instrumentation", "sdk")):
        message = "it needs the extra `telemetry`: pip install 'students-api[telemetry]'"
        raise PydanticCustomError("missing_extra", message)
    return wanted


class Settings(BaseSettings):
    """The service's settings, read from the environment. An empty variable counts as not set."""

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=variable),
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    mongodb_url: Annotated[
        SecretStr | None,
        Field(
            description="The MongoDB deployment: any connection string that PyMongo takes. "
            "Not set: the service runs a local MongoDB of its own."
        ),
    ] = None
    mongodb_database: Annotated[
        str, Field(pattern=r'^[^/\\. "$\x00]{1,63}$', description="The database's name, as MongoDB allows it.")
    ] = "college"
    data_dir: Annotated[Path, Field(description="Where the local MongoDB keeps its data.")] = Path(".students-api")
    mongod: Annotated[
        Path | None,
        Field(description="The local MongoDB's program. Not set: the package of the extra `embedded`, or `PATH`."),
    ] = None
    pool_size: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="Size of each process's connection pool, thread pool and concurrency limit.",
        ),
    ] = 32
    allow_weak_writes: Annotated[
        bool,
        Field(description="Accept a MONGODB_URL that can lose acknowledged writes, or that turns retries off."),
    ] = False
    deadline_seconds: Annotated[
        float,
        Field(
            ge=0.1,
            le=600,
            description="The deadline of a request, and the timeout of each operation of the database, in seconds.",
        ),
    ] = 10
    max_body_bytes: Annotated[
        int, Field(ge=1, le=2**24, description="The size of a request's body at most, in bytes.")
    ] = 2**16
    stop_delay_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="How long the service drains after SIGTERM, in seconds: not ready, but still answering.",
        ),
    ] = 3
    log_format: Annotated[
        Literal["console", "json"], Field(description="How `students-api serve` logs: for a person, or for a program.")
    ] = "console"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="The lowest level that is logged.")
    ] = "INFO"
    metrics: Annotated[bool, Field(description="Show Prometheus metrics at `/metrics`.")] = False
    telemetry: Annotated[
        bool,
        AfterValidator(_require_telemetry_extra),
        Field(description="Export traces by OTLP, as the variables OTEL_... say. Needs the extra `telemetry`."),
    ] = False

    @classmethod
    def read(cls) -> Self:
        """Read the settings from the environment. Raises `StartUpError` where one is invalid."""
        try:
            return cls()
        except ValidationError as error:
            wrong = [f"{item['loc'][0]}: {item['msg']}" for item in error.errors()]
            raise StartUpError("; ".join(wrong)) from error

    @classmethod
    def unknown_variables(cls) -> list[str]:
        """Environment variables that look like a setting and are none, most likely mistyped."""
        known = {variable(field) for field in cls.model_fields}
        return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
