"""What a command makes of a job: the next state of its record, or why not. Pure; carried out by a job's one writer."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dispatch.archiving import archived_from_ms, comes_again
from dispatch.deadlines import as_of, next_moment_ms
from dispatch.lifecycle import TECHNICIANS_OWN, Lifecycle
from dispatch.progress import job_log, measured
from dispatch.recurrence import Occurrence, check_recurrence, occurrences
from dispatch.redaction import redacted
from dispatch.rules import DispatchRules
from schemas import wire
from schemas.job import PLACED, Answered, Assignment, EtaWindow, Evidence, JobPlan, JobRecord, Word, as_stated
from schemas.job_command import Answer, Command, CreateJob, EditJob, MoveJob, RedactJob, Refusal, TellEta, TellEvidence
from schemas.merge_patch import merged
from schemas.times import Instant, format_instant

REMEMBERED: Final = 32
"""Commands whose keys a job remembers."""

_AHEAD_STEP_MS: Final = 43_200_000
"""Jobs that come again are looked for twice a day."""

AHEAD_MS: Final = 300_000
"""A person's clock may be ahead by so much: what is said of later is refused."""

_PLANNED: Final = tuple(JobPlan.__struct_fields__)


@dataclass(frozen=True)
class Outcome:
    """``record`` is None where nothing has changed."""

    record: JobRecord | None
    answer: Answer


class _Refused(Exception):  # noqa: N818 -- a condition of the command
    def __init__(self, status: int, code: str, detail: str, allowed: tuple[str, ...] | None = None) -> None:
        super().__init__(detail)
        self.refusal = Refusal(status, code, detail, allowed)


class JobBook:
    """Carries out commands under a tenant's rules. Jobs that are over are at hand for ``kept_days``; 0: for good."""

    def __init__(self, rules: DispatchRules, kept_days: int = 0) -> None:
        self._rules = rules
        self._lifecycle = rules.lifecycle()
        self._kept_days = kept_days

    def apply(self, record: JobRecord | None, command: Command, now_ms: Instant) -> Outcome:
        """What the command makes of the record (None: there is no such job) at ``now_ms``."""
        revision = 0 if record is None else record.revision
        try:
            after = self._after(record, command, now_ms)
        except _Refused as refused:
            return Outcome(None, Answer(command.request_id, command.job_id, revision, refused.refusal))
        if after is None:
            answered = _answer_before(record, command)
            return Outcome(None, Answer(command.request_id, command.job_id, answered or revision))
        return Outcome(after, Answer(command.request_id, command.job_id, after.revision))

    def _after(self, record: JobRecord | None, command: Command, now_ms: Instant) -> JobRecord | None:
        """The record after it, None where that changes nothing."""
        if _answer_before(record, command) is not None:
            return None
        if isinstance(command, CreateJob):
            return self._created(record, command, now_ms)
        if record is None:
            if isinstance(command, TellEvidence | TellEta):
                return None
            raise _Refused(404, "unknown_job", f"there is no job {command.job_id!r}")
        if isinstance(command, EditJob):
            after = _edited(record, command, now_ms)
            if after is not None and after.recurrence != record.recurrence:
                self._require_recurrence(after)
        elif isinstance(command, MoveJob):
            after = self._moved(record, command, now_ms)
        elif isinstance(command, RedactJob):
            after = redacted(record, command, now_ms, is_over=self._lifecycle.is_over(record.state))
        elif isinstance(command, TellEta):
            after = self._awaited(record, command.eta, now_ms)
        else:
            after = _with_evidence(record, command.evidence)
        return None if after is None else self._settled(after, command, now_ms)

    def _created(self, record: JobRecord | None, command: CreateJob, now_ms: Instant) -> JobRecord | None:
        plan = command.plan
        if record is not None:
            known, stated = as_stated(record), as_stated(plan)
            if all(getattr(known, name) == getattr(stated, name) for name in _PLANNED):
                return None
            raise _Refused(409, "job_exists", f"there is another job {command.job_id!r} already")
        self._require_recurrence(plan)
        sender = command.sender
        words = [Word("created", now_ms, now_ms, sender.source, sender.actor, from_state="created")]
        if plan.window_from_ms is not None and plan.technician_ids:
            words.append(Word("scheduled", now_ms, now_ms, sender.source, sender.actor, from_state="created"))
        fields = {name: getattr(plan, name) for name in _PLANNED}
        record = JobRecord(
            **fields,
            job_id=command.job_id,
            revision=0,
            created_at=now_ms,
            updated_at=now_ms,
            state="created",
            words=words,
            assignments=[Assignment(each) for each in plan.technician_ids],
        )
        return self._settled(record, command, now_ms)

    def _require_recurrence(self, plan: JobPlan) -> None:
        """Raise _Refused for a job that could not come again as it says."""
        if plan.recurrence is None:
            return
        if plan.window_from_ms is None:
            raise _Refused(400, "invalid_job", "$.recurrence: what comes again has a window_from")
        try:
            check_recurrence(plan.recurrence, plan.window_from_ms, self._rules.time_zone)
        except ValueError as error:
            raise _Refused(400, "invalid_job", f"$.recurrence: {error}") from error

    def _moved(self, record: JobRecord, command: MoveJob, now_ms: Instant) -> JobRecord:
        at_ms = command.issued_at if command.at is None else command.at
        if at_ms > now_ms + AHEAD_MS:
            raise _Refused(400, "in_the_future", f"at: {format_instant(at_ms)} has not come yet")
        _require_own(record, command)
        state, is_confirmed = self._state_at(record, at_ms)
        allowed = self.allowed(state, command.sender.role)
        if command.to not in allowed and not (command.to == state and is_confirmed):
            if command.to not in self._lifecycle.paths:
                detail = f"there is no state {command.to!r}"
            else:
                detail = (
                    f"the job is {state}, from which {command.sender.role or 'nobody'} cannot take it to {command.to}"
                )
            raise _Refused(409, "not_allowed", detail, allowed)
        word = Word(
            command.to,
            at_ms,
            now_ms,
            command.sender.source,
            command.sender.actor,
            command.reason,
            command.lat,
            command.lon,
            from_state=state,
        )
        return msgspec.structs.replace(record, words=[*record.words, word])

    def _awaited(self, record: JobRecord, eta: EtaWindow, now_ms: Instant) -> JobRecord | None:
        """With the ETA, where it changes the risk: a revision for each would say nothing new to anybody."""
        after = msgspec.structs.replace(record, eta=eta)
        return after if as_of(after, self._rules, self._lifecycle, now_ms).risk != record.risk else None

    def allowed(self, state: str, role: str) -> tuple[str, ...]:
        """The states to which somebody of a role may take a job from this one."""
        targets = self._lifecycle.paths.get(state, ())
        return tuple(each for each in targets if may_take_to(each, role, self._lifecycle))

    def _state_at(self, record: JobRecord, at_ms: int) -> tuple[str, bool]:
        """The state at a moment of event time, and whether it follows from positions: then a person may confirm it."""
        before = [entry for entry in record.log if entry.at <= at_ms]
        if not before:  # earlier than its creation: as it was created
            before = [entry for entry in record.log if entry.state in ("created", "scheduled")]
        return before[-1].state, before[-1].source == "automatic"

    def _settled(self, record: JobRecord, command: Command, now_ms: Instant) -> JobRecord:
        """The record with all that follows from what is new in it."""
        log = job_log(record, self._lifecycle, self._rules)
        record = msgspec.structs.replace(record, log=log, state=log[-1].state)
        record = as_of(record, self._rules, self._lifecycle, now_ms)
        answered = record.answered
        if not isinstance(command, TellEvidence | TellEta):
            answered = [*answered, Answered(command.key, fingerprint_of(command), record.revision + 1)][-REMEMBERED:]
        return msgspec.structs.replace(
            measured(record), revision=record.revision + 1, updated_at=now_ms, answered=answered
        )

    def look(self, record: JobRecord, now_ms: Instant) -> JobRecord | None:
        """The record after the time that has passed; None where that has changed nothing."""
        after = as_of(record, self._rules, self._lifecycle, now_ms)
        if after == record:
            return None
        return msgspec.structs.replace(after, revision=record.revision + 1, updated_at=now_ms)

    def next_look_ms(self, record: JobRecord, now_ms: int) -> int | None:
        """When time alone will change something of a job, or others are to be made of it; None: never."""
        moments = [next_moment_ms(record, self._rules, self._lifecycle, now_ms)]
        if comes_again(record, self._lifecycle):
            until_ms = record.generated_until or record.window_from_ms or now_ms
            moments.append(max(now_ms, until_ms - self._ahead_ms + _AHEAD_STEP_MS))
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def _ahead_ms(self) -> int:
        return round(self._rules.ahead_days * 86_400_000)

    def archived_from_ms(self, record: JobRecord) -> int | None:
        """From when on a job is to be archived, as it stands; None: never."""
        return archived_from_ms(record, self._lifecycle, self._kept_days)

    def made_ahead(self, record: JobRecord, time_zone: str, now_ms: int) -> tuple[JobRecord, list[Occurrence]] | None:
        """Of a job that comes again, those to be made now, and the record that says so; None where none are due."""
        until_ms, from_ms = now_ms + self._ahead_ms, record.generated_until or record.window_from_ms
        if from_ms is None or not comes_again(record, self._lifecycle) or until_ms - from_ms < _AHEAD_STEP_MS:
            return None
        plan = JobPlan(**{name: getattr(record, name) for name in _PLANNED})
        due = [
            each
            for each in occurrences(record.job_id, plan, time_zone, from_ms, until_ms)
            if each.plan.window_from_ms != record.window_from_ms  # that is the job itself
        ]
        after = msgspec.structs.replace(record, generated_until=Instant(until_ms), revision=record.revision + 1)
        return after, due


def may_take_to(state: str, role: str, lifecycle: Lifecycle) -> bool:
    """Whether a role may take jobs to a state at all."""
    if role == "technician":
        return state in TECHNICIANS_OWN or state in lifecycle.likes
    if role == "accountant":
        return state in ("invoiced", "completed")
    return True


def fingerprint_of(command: Command) -> str:
    """The same for the same wish."""
    wish = msgspec.structs.replace(command, issued_at=Instant(0), request_id="", key="", sender_name="")
    # What was found for an address or a site may be found otherwise when the same wish comes again.
    if isinstance(wish, CreateJob):
        plan = wish.plan if wish.plan.site_id is None else msgspec.structs.replace(wish.plan, **dict.fromkeys(PLACED))
        wish = msgspec.structs.replace(wish, plan=as_stated(plan))
    elif isinstance(wish, EditJob) and (wish.changes.get("geocoded") or wish.changes.get("site_id")) is not None:
        stated = {name: value for name, value in wish.changes.items() if name not in PLACED}
        wish = msgspec.structs.replace(wish, changes=stated)
    return hashlib.sha256(wire.encode(wish)).hexdigest()[:16]


def _answer_before(record: JobRecord | None, command: Command) -> int | None:
    """The revision that the same command was answered with; raises _Refused where its key was another command's."""
    for answered in () if record is None else reversed(record.answered):
        if answered.key == command.key:
            if answered.fingerprint != fingerprint_of(command):
                raise _Refused(422, "key_reused", "the Idempotency-Key was used for something else before")
            return answered.revision
    return None


def _require_own(record: JobRecord, command: MoveJob) -> None:
    technician_id = command.sender.technician_id
    if technician_id is not None and technician_id not in record.technician_ids:
        raise _Refused(404, "unknown_job", f"there is no job {command.job_id!r}")


def _edited(record: JobRecord, command: EditJob, now_ms: Instant) -> JobRecord | None:
    if command.if_revision is not None and command.if_revision != record.revision:
        raise _Refused(412, "changed", f"the job has revision {record.revision}, not {command.if_revision}")
    try:
        plan = wire.from_builtins(JobPlan, merged(_plan_of(record), command.changes), strict=True)
    except (msgspec.ValidationError, ValueError) as error:
        raise _Refused(400, "invalid_job", str(error)) from error
    changed = {name: value for name in _PLANNED if (value := getattr(plan, name)) != getattr(record, name)}
    if not changed:
        return None
    if "technician_ids" in changed:
        changed["assignments"] = _assigned(record.assignments, plan.technician_ids, now_ms)
    return msgspec.structs.replace(record, **changed)


def _plan_of(record: JobRecord) -> dict[str, Any]:
    return wire.to_builtins(JobPlan(**{name: getattr(record, name) for name in _PLANNED}))


def _assigned(before: Sequence[Assignment], technician_ids: Sequence[str], now_ms: Instant) -> list[Assignment]:
    """Whose job it was, and is from now on."""
    current = {each.technician_id for each in before if each.to_ms is None}
    ended = [
        msgspec.structs.replace(each, to_ms=now_ms)
        if each.to_ms is None and each.technician_id not in technician_ids
        else each
        for each in before
    ]
    return ended + [Assignment(each, now_ms if before else None) for each in technician_ids if each not in current]


def _with_evidence(record: JobRecord, evidence: Evidence) -> JobRecord | None:
    others = [each for each in record.evidence if each.device_id != evidence.device_id]
    known = next((each for each in record.evidence if each.device_id == evidence.device_id), None)
    if known is None and not evidence.approaches:
        return None
    if evidence.says_the_same_as(known):
        return None
    if evidence.approaches:
        others.append(evidence)
    return msgspec.structs.replace(record, evidence=sorted(others, key=lambda each: each.device_id))
