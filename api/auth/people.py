"""What local accounts need: who there is, the way in, and their sessions."""

from dataclasses import dataclass

from api.auth.sessions import Sessions
from api.auth.sign_in import SignIn
from api.ports import ReadModel
from schemas.account import Account, SessionsEnded


@dataclass(frozen=True)
class People:
    """Of one process."""

    sign_in: SignIn
    sessions: Sessions
    sessions_ended: ReadModel[SessionsEnded]
    accounts: ReadModel[Account]
