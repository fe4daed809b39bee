"""`subscriber check`: everything is looked at at once, each within its time, and every answer is a finding.

It uses the daemon's own edges with the daemon's own settings, so what works here works there. What the daemon need not
be allowed to see is asked for all the same, and where it may not be seen that is a note, not an error.
"""

from __future__ import annotations

import asyncio
import contextlib

import uvloop

from subscriber.adapters.aws.calls import CALL_ERRORS, AwsCalls
from subscriber.adapters.aws.session import region_of
from subscriber.adapters.postgres.auth import authenticated
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.sqs.client import Sqs
from subscriber.check.probe_bucket import probe_bucket
from subscriber.check.probe_database import buckets_in_index, probe_database
from subscriber.check.probe_queue import QueueFacts, probe_queue
from subscriber.check.rules.call import call_finding
from subscriber.check.rules.finding import Finding
from subscriber.check.rules.policy import buckets_in, sender_findings
from subscriber.check.rules.queue import (
    Expected,
    dead_letter_findings,
    fit_findings,
    queue_findings,
    queue_subject,
)
from subscriber.errors import ConfigurationError, ExitCode, StoreError, SubscriberError
from subscriber.options import auth_options, check_options, store_options
from subscriber.settings.table import Settings

PART_SECONDS = 30.0
"""For one queue or the database: each holds several calls, which have shorter times of their own."""
BUCKETS_AT_MOST = 20


def check(settings: Settings) -> list[Finding]:
    """Look at all that the settings name. It takes half a minute at most, and a second where all answers."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(findings_of(settings))


async def findings_of(settings: Settings) -> list[Finding]:
    """The same, on a loop that runs already."""
    async with asyncio.TaskGroup() as parts:
        database = parts.create_task(_database(settings), name="database")
        queues = parts.create_task(_queues(settings), name="queues")
    found, buckets = database.result()
    facts, trouble = queues.result()
    wishes = Expected(settings.receive_visibility_seconds, settings.lag_max_seconds)
    for each in facts:
        found += judged(each, wishes)
        buckets |= buckets_in((each.attributes or {}).get("Policy"))
    return [*found, *trouble, *await _buckets(settings, sorted(buckets)[:BUCKETS_AT_MOST], facts)]


def judged(facts: QueueFacts, wishes: Expected) -> list[Finding]:
    """What a look at a queue means."""
    queue, attributes = facts.queue, facts.attributes
    key = (attributes or {}).get("KmsMasterKeyId", "")
    found = [call_finding(queue, each.action, each.error, key=key, caller=facts.caller) for each in facts.failures]
    if attributes is None:
        return found
    found += queue_findings(queue, attributes, wishes.visibility_seconds)
    found += fit_findings(queue, attributes, wishes)
    found += sender_findings(queue, attributes.get("Policy"))
    if facts.dead_letters is not None:
        found += dead_letter_findings(queue, attributes, facts.dead_letters)
    if facts.dead_letters_failure is not None:
        detail = str(facts.dead_letters_failure.error)
        remedy = "to have it checked, allow sqs:GetQueueAttributes on it; the daemon does not need it"
        found.append(_queue_note(queue, f"its dead-letter queue could not be looked at ({detail})", remedy))
    if not facts.was_received_from:
        problem = "no receive was tried, because its redrive policy counts every one"
        found.append(_queue_note(queue, problem, "see that the role may do sqs:ReceiveMessage"))
    if not any(finding.severity == "error" for finding in found):
        waiting = attributes.get("ApproximateNumberOfMessages", "?")
        found.append(Finding("good", ExitCode.QUEUE, queue_subject(queue), f"it can be read; {waiting} messages wait"))
    return found


def _queue_note(queue: str, problem: str, remedy: str) -> Finding:
    return Finding("note", ExitCode.QUEUE, queue_subject(queue), problem, remedy)


async def _queues(settings: Settings) -> tuple[list[QueueFacts], list[Finding]]:
    """What each queue shows, and what kept us from looking."""
    trouble: list[Finding] = []
    try:
        async with Sqs(check_options(settings)) as queues:

            async def look(queue: str) -> QueueFacts | None:
                try:
                    async with asyncio.timeout(PART_SECONDS):
                        return await probe_queue(queues, queue)
                except TimeoutError:
                    trouble.append(_late(queue_subject(queue), ExitCode.QUEUE))
                    return None

            async with asyncio.TaskGroup() as looks:
                tasks = [looks.create_task(look(queue), name="look at a queue") for queue in settings.queue_urls]
            return [facts for task in tasks if (facts := task.result()) is not None], trouble
    except SubscriberError as error:
        return [], [Finding("error", error.exit_code, "", str(error))]


async def _database(settings: Settings) -> tuple[list[Finding], set[str]]:
    """What is wrong with the database, and the buckets it knows."""
    try:
        async with (
            asyncio.timeout(PART_SECONDS),
            authenticated(store_options(settings), auth_options(settings)) as options,
        ):
            found = await probe_database(options, settings.database_auth)
            if any(finding.severity == "error" for finding in found):
                return found, set()
            good = Finding("good", ExitCode.DATABASE, "database", f"it can be written to, in schema {options.schema}")
            return [*found, good], await _known_buckets(options)
    except TimeoutError:
        return [_late("database", ExitCode.DATABASE)], set()
    except ConfigurationError as error:
        return [Finding("error", error.exit_code, "", str(error))], set()


async def _known_buckets(options: StoreOptions) -> set[str]:
    try:
        return set(await buckets_in_index(options, BUCKETS_AT_MOST))
    except StoreError:  # the rights to write are there; the list of buckets is a courtesy
        return set()


async def _buckets(settings: Settings, buckets: list[str], facts: list[QueueFacts]) -> list[Finding]:
    arns = {arn for each in facts if (arn := (each.attributes or {}).get("QueueArn"))}
    if not arns or not buckets:
        return [_no_bucket()] if arns else []
    regions = (region for url in settings.queue_urls if (region := region_of(url)) is not None)
    calls = AwsCalls(next(regions, None))
    try:
        with contextlib.suppress(*CALL_ERRORS):  # each look will say so
            await calls.client("s3")  # once, before all ask for it
        async with asyncio.TaskGroup() as looks:
            tasks = [looks.create_task(probe_bucket(calls, each, arns), name="look at a bucket") for each in buckets]
        return [finding for task in tasks for finding in task.result()]
    finally:
        await calls.close()


def _no_bucket() -> Finding:
    problem = "no bucket's notifications were looked at: neither a queue's policy nor the index names one"
    return Finding("note", ExitCode.QUEUE, "buckets", problem)


def _late(subject: str, kind: ExitCode) -> Finding:
    remedy = "check DNS and the security group: packets that are dropped look like this"
    return Finding("error", kind, subject, f"gave no answer within {PART_SECONDS:g} s", remedy)
