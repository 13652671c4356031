"""What a command says when it cannot go on."""


class CommandError(Exception):
    """A failure the user can act on: one clear line, no traceback."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
