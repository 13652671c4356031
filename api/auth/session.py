"""A person's session, as its token says it."""

import msgspec


class Session(msgspec.Struct, frozen=True, rename={"account": "sub", "session_id": "sid", "until_s": "exp"}):
    """Whose it is, of which epoch of their account, when it began, and until when it is good."""

    account: str
    session_id: str
    epoch: int
    began_ms: int
    until_s: int
