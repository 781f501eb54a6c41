"""What an operator can set, each by an environment variable."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "STUDENTS_API_"


class Settings(BaseSettings):
    """The service's settings, read from the environment. An empty variable counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, hide_input_in_errors=True, validate_by_name=True
    )

    mongodb_url: Annotated[
        SecretStr | None,
        Field(
            validation_alias="MONGODB_URL",
            description="The MongoDB deployment: any connection string that PyMongo takes. "
            "Not set: the service runs a local MongoDB of its own.",
        ),
    ] = None
    mongodb_database: Annotated[
        str, Field(validation_alias="MONGODB_DATABASE", min_length=1, description="The database's name.")
    ] = "college"
    data_dir: Annotated[Path, Field(description="Where the local MongoDB keeps its data.")] = Path(".students-api")
    mongod: Annotated[
        Path | None,
        Field(description="The local MongoDB's program. Not set: the package of the extra `embedded`, or `PATH`."),
    ] = None
    pool_size: Annotated[
        int, Field(ge=1, le=1000, description="Connections to MongoDB, and threads that use them, a process.")
    ] = 32

    @classmethod
    def variable(cls, field: str) -> str:
        """The name of the environment variable that sets a field."""
        return str(cls.model_fields[field].validation_alias or f"{PREFIX}{field}".upper())

    @classmethod
    def unknown_variables(cls) -> list[str]:
        """The variables in the environment that look like a setting and are none: most likely mistyped."""
        known = {cls.variable(field) for field in cls.model_fields}
        return sorted({name for name in os.environ if name.upper().startswith(PREFIX)} - known)
