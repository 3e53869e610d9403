"""Log lines with fields: `message key=value` as text, members of the object as JSON."""

from __future__ import annotations

import logging
from typing import Any


def record(logger: logging.Logger, message: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log a message with fields; those that are None are left out.

    Fields hold no names of voices, no session descriptions, no secrets, and of session ids the first six characters
    only (an id lets its holder in).
    """
    known = {name: value for name, value in fields.items() if value is not None}
    if logger.isEnabledFor(level):
        text = " ".join([message, *(f"{name}={value}" for name, value in known.items())])
        logger.log(level, "%s", text, extra={"event": message, "fields": known})
