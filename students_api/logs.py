"""The log of `students-api serve`: uvicorn's, with the request's id in every line."""

import logging
from copy import deepcopy
from typing import Any

from uvicorn.config import LOGGING_CONFIG

from students_api.middleware import request_id


class WithRequestId(logging.Filter):
    """Gives a record the id of the request in which it was made; `-` outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.request_id = request_id.get()
        return True


def configuration() -> dict[str, Any]:
    """For `logging.config.dictConfig`: the lines of uvicorn and of the service, and the warnings of all others."""
    config: dict[str, Any] = deepcopy(LOGGING_CONFIG)
    config["filters"] = {"request_id": {"()": WithRequestId}}
    for handler in config["handlers"].values():
        handler["filters"] = ["request_id"]
    for formatter in config["formatters"].values():
        formatter["fmt"] = formatter["fmt"].replace("%(levelprefix)s ", "%(levelprefix)s [%(request_id)s] ")
    config["loggers"]["students_api"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    config["root"] = {"handlers": ["default"], "level": "WARNING"}
    return config
