"""Policies in order, outermost first: how a call passes them, and how it comes back."""

from __future__ import annotations

from typing import Any

from perfguard.errors import ConfigurationError, Rejected
from perfguard.outcome import Call, Outcome
from perfguard.policy import HoldingPolicy, Observer, Policy, QueueingPolicy
from perfguard.queueing.place import Lane, Place


class Passage:
    """One call's way through a pipeline.

    Attributes:
        call: What passes.
        tickets: What the policies passed so far gave, outermost first.
    """

    __slots__ = ("call", "tickets")

    call: Call
    tickets: list[Any]

    def __init__(self, call: Call) -> None:
        self.call = call
        self.tickets = []


class Pipeline:
    """An ordered tuple of policies, outermost first.

    Pure and unsynchronised: the guard's lock owns it.

    Args:
        policies: The policies; at most one of them may queue.

    Raises:
        ConfigurationError: Something is not a policy, or two of them queue.
    """

    __slots__ = ("policies", "queueing", "queues_first")

    policies: tuple[Policy, ...]
    queueing: QueueingPolicy | None
    queues_first: bool

    def __init__(self, *policies: Policy) -> None:
        for policy in policies:
            if isinstance(policy, type) or not isinstance(policy, Policy):
                remedy = "must each have admit() and settle(), as Limiter(FixedLimit(10)) has"
                raise ConfigurationError("policies", policy, remedy)
        queueing = [policy for policy in policies if isinstance(policy, QueueingPolicy)]
        if len(queueing) > 1:
            raise ConfigurationError("policies", policies, "may hold one limiter, not more")
        self.policies = policies
        self.queueing = queueing[0] if queueing else None
        self.queues_first = bool(queueing) and policies[0] is self.queueing

    def __repr__(self) -> str:
        return f"[{' | '.join(map(repr, self.policies))}]"

    def admit(self, passage: Passage, now: float, *, hold: bool = False) -> Place | None:
        """Pass the policies that are left; return a place where the call must wait.

        Args:
            passage: The call's way; gains a ticket per policy passed.
            now: The instant, in seconds.
            hold: Queue the call even where it could start.

        Raises:
            Rejected: A policy refused; those already passed are settled as IGNORED.
        """
        tickets, queueing = passage.tickets, self.queueing
        try:
            for policy in self.policies[len(tickets) :] if tickets else self.policies:
                if hold and policy is queueing:
                    ticket = queueing.enqueue(passage.call, now)
                else:
                    ticket = policy.admit(passage.call, now)
                if type(ticket) is Place:
                    ticket.passage = passage
                    return ticket
                tickets.append(ticket)
        except BaseException:
            self.settle(passage, Outcome.IGNORED, now)
            raise
        return None

    def next_start(self, lane: Lane | None, now: float) -> Place | None:
        """Return the place that goes next, if that lane or a thread may start it; else `None`.

        Another lane is asked for a turn, to start it itself. One that was asked for long
        is blocked by its loop, and passed over, lest it hold back all others.
        """
        late: tuple[Lane, ...] = ()
        while self.queueing is not None and (place := self.queueing.head(now, late)) is not None:
            owner = place.lane
            if owner is None or owner is lane:
                return place
            if owner.closed:
                # Its loop was closed while it waited: nobody is left to start it.
                self.queueing.withdraw(place, now)
                self.settle(place.passage, Outcome.IGNORED, now)
            elif owner.late(now):
                late = (*late, owner)
            else:
                owner.poke(now)
                return None
        return None

    def grant(self, place: Place, now: float) -> None:
        """Start the call of a place that may start, or refuse it further in."""
        if self.queueing is None:
            return
        self.queueing.grant(place, now)
        passage: Passage = place.passage
        passage.tickets.append(place.ticket)
        try:
            self.admit(passage, now)
        except Rejected as error:
            place.error = error.with_traceback(None)

    def settle(self, passage: Passage, outcome: Outcome, now: float) -> None:
        """Give every ticket back, innermost first."""
        tickets = passage.tickets
        fault: BaseException | None = None
        while tickets:
            ticket = tickets.pop()
            if ticket is not _REFUSED:
                try:
                    self.policies[len(tickets)].settle(ticket, outcome, now)
                except BaseException as error:
                    # Those further out get their tickets back all the same.
                    fault = fault or error
        if fault is not None:
            raise fault

    def report_to(self, observer: Observer) -> None:
        """Let the policy that queues tell an observer when it begins or ceases to shed."""
        if self.queueing is not None:
            self.queueing.report_to(observer)

    def start_afresh(self, now: float) -> None:
        """Let the policies forget the calls in flight and queued, in a forked child."""
        fault: Exception | None = None
        for policy in self.policies:
            if isinstance(policy, HoldingPolicy):
                try:
                    policy.start_afresh(now)
                except Exception as error:
                    fault = fault or error
        if fault is not None:
            raise fault

    def count_refusals(self, call: Call, count: int, now: float) -> None:
        """Let the policy that queues count refusals of such calls, given without asking."""
        if self.queueing is not None and count:
            self.queueing.count_refusals(call, count, now)

    def rehearse(self, passage: Passage, now: float) -> Rejected | None:
        """Pass every policy though one may refuse; return the first refusal (dry run)."""
        refusal: Rejected | None = None
        for policy in self.policies:
            ticket: Any = _REFUSED
            try:
                if policy is self.queueing:
                    verdict = self.queueing.verdict(passage.call, now)
                    refusal = refusal or verdict
                    ticket = self.queueing.force(passage.call, now)
                else:
                    ticket = policy.admit(passage.call, now)
            except Rejected as error:
                refusal = refusal or error.with_traceback(None)
            passage.tickets.append(ticket)
        return refusal


_REFUSED = object()
