"""Signing in."""

from typing import Any, Final

SIGN_IN_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["name", "password"],
                    "properties": {
                        "name": {"type": "string", "maxLength": 200},
                        "password": {"type": "string", "maxLength": 200, "format": "password"},
                        "code": {"type": "string", "maxLength": 12, "description": "of the second factor"},
                    },
                },
                "example": {"name": "amina", "password": "a long one that is hers alone", "code": "492039"},  # nosec B105
            }
        },
    }
}

SESSION: Final = {"account": "amina", "role": "viewer", "expires_at": "2026-03-02T20:15:00.000Z"}
