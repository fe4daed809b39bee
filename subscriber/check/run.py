"""`subscriber check`: probes database, queues and buckets concurrently, each with a timeout, and reports findings.

It uses the daemon's own adapters with the daemon's own settings, so what works here works there. Some probes need
permissions that the daemon does not need; if one is denied, the finding is a note, not an error.
"""

from __future__ import annotations

import asyncio
import contextlib

import uvloop

from subscriber.adapters.aws.calls import CALL_ERRORS, AwsCalls
from subscriber.adapters.postgres.auth import authenticated
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.sqs.client import Sqs
from subscriber.check.probe_bucket import probe_bucket, probe_listing
from subscriber.check.probe_database import (
    buckets_in_index,
    durability_problems,
    jobs_of_buckets,
    note_problems,
    probe_database,
)
from subscriber.check.probe_queue import QueueFacts, probe_queue
from subscriber.check.rules.bucket import UnreadableBucket, unreadable_findings
from subscriber.check.rules.call import call_finding
from subscriber.check.rules.finding import Finding
from subscriber.check.rules.policy import buckets_in, sender_findings
from subscriber.check.rules.queue import (
    Expected,
    dead_letter_findings,
    queue_findings,
    queue_subject,
    settings_findings,
)
from subscriber.check.rules.reconcile import reconcile_findings, unreadable_jobs_finding
from subscriber.check.rules.settings import hold_findings
from subscriber.errors import ConfigurationError, ExitCode, QueueError, StoreError, SubscriberError
from subscriber.options import auth_options, check_options, store_options
from subscriber.queue_url import region_of
from subscriber.settings.table import Settings

PART_SECONDS = 30.0
"""Timeout for one queue or for the database; each of their calls has a shorter timeout."""
BUCKETS_AT_MOST = 20


def check(settings: Settings) -> list[Finding]:
    """Check everything that the settings name: about a second if all services answer, half a minute at most."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(findings_of(settings))


async def findings_of(settings: Settings) -> list[Finding]:
    """The same in a running event loop."""
    async with asyncio.TaskGroup() as parts:
        database = parts.create_task(_database(settings), name="database")
        queues = parts.create_task(_queues(settings), name="queues")
    found, indexed = database.result()
    buckets = indexed | set(settings.buckets or ())
    facts, failures = queues.result()
    expected = Expected(settings.receive_visibility_seconds, settings.lag_max_seconds)
    for each in facts:
        found += findings_about(each, expected)
        buckets |= buckets_in((each.attributes or {}).get("Policy"))
    found += hold_findings(settings.write_timeout_seconds, settings.hold_max_seconds)
    return [*found, *failures, *await _buckets(settings, sorted(buckets)[:BUCKETS_AT_MOST], facts)]


def findings_about(facts: QueueFacts, expected: Expected) -> list[Finding]:
    """The findings from the facts about a queue."""
    queue, attributes = facts.queue, facts.attributes
    key = (attributes or {}).get("KmsMasterKeyId", "")
    found = [call_finding(queue, each.action, each.error, key=key, caller=facts.caller) for each in facts.failures]
    if attributes is None:
        return found
    found += queue_findings(queue, attributes, expected.visibility_seconds)
    found += settings_findings(queue, attributes, expected)
    found += sender_findings(queue, attributes.get("Policy"))
    if facts.dead_letters is not None:
        found += dead_letter_findings(queue, attributes, facts.dead_letters)
    if facts.dead_letters_failure is not None:
        detail = str(facts.dead_letters_failure.error)
        remedy = "to check it, allow sqs:GetQueueAttributes on it; the daemon does not need it"
        found.append(_queue_note(queue, f"its dead-letter queue could not be checked ({detail})", remedy))
    if not facts.was_received_from:
        problem = "no receive was tested, because its redrive policy counts every receive"
        found.append(_queue_note(queue, problem, "make sure that the role may do sqs:ReceiveMessage"))
    if not any(finding.severity == "error" for finding in found):
        waiting = attributes.get("ApproximateNumberOfMessages", "?")
        problem = f"it can be read; {waiting} {'message is' if waiting == '1' else 'messages are'} waiting"
        found.append(Finding("good", ExitCode.QUEUE, queue_subject(queue), problem))
    return found


def _queue_note(queue: str, problem: str, remedy: str) -> Finding:
    return Finding("note", ExitCode.QUEUE, queue_subject(queue), problem, remedy)


async def _queues(settings: Settings) -> tuple[list[QueueFacts], list[Finding]]:
    """The facts about each queue, and the findings about queues that could not be checked."""
    failures: list[Finding] = []
    try:
        async with Sqs(check_options(settings)) as queues:

            async def facts_of(queue: str) -> QueueFacts | None:
                try:
                    async with asyncio.timeout(PART_SECONDS):
                        return await probe_queue(queues, queue)
                except TimeoutError:
                    failures.append(_late(queue_subject(queue), ExitCode.QUEUE))
                    return None

            async with asyncio.TaskGroup() as probes:
                tasks = [probes.create_task(facts_of(queue), name="probe queue") for queue in settings.queue_urls]
            return [facts for task in tasks if (facts := task.result()) is not None], failures
    except SubscriberError as error:
        return [], [Finding("error", error.exit_code, "", str(error))]


async def _database(settings: Settings) -> tuple[list[Finding], set[str]]:
    """The findings about the database, and the buckets in the index."""
    try:
        async with (
            asyncio.timeout(PART_SECONDS),
            authenticated(store_options(settings), auth_options(settings)) as options,
        ):
            found = await probe_database(options, settings.database_auth)
            if any(finding.severity == "error" for finding in found):
                return found, set()
            good = Finding("good", ExitCode.DATABASE, "database", f"it can be written to, in schema {options.schema}")
            buckets = await _known_buckets(options)
            found += [*await _warnings(options), good, *await _comparisons(options, settings, buckets)]
            return found, buckets
    except TimeoutError:
        return [_late("database", ExitCode.DATABASE)], set()
    except (ConfigurationError, QueueError) as error:
        return [Finding("error", error.exit_code, "", str(error))], set()


async def _warnings(options: StoreOptions) -> list[Finding]:
    try:
        return [*await durability_problems(options), *await note_problems(options)]
    except StoreError:  # the daemon can write; a warning is optional
        return []


async def _known_buckets(options: StoreOptions) -> set[str]:
    try:
        return set(await buckets_in_index(options, BUCKETS_AT_MOST))
    except StoreError:  # the daemon can write; the list of buckets is optional
        return set()


async def _comparisons(options: StoreOptions, settings: Settings, indexed: set[str]) -> list[Finding]:
    buckets, hours = settings.buckets or tuple(sorted(indexed)), settings.reconcile_every_hours
    try:
        return list(reconcile_findings(await jobs_of_buckets(options, buckets[:BUCKETS_AT_MOST]), hours))
    except StoreError as error:  # only the schedule needs the jobs
        return [] if hours is None else [unreadable_jobs_finding(error)]


async def _buckets(settings: Settings, buckets: list[str], facts: list[QueueFacts]) -> list[Finding]:
    arns = {arn for each in facts if (arn := (each.attributes or {}).get("QueueArn"))}
    if not arns or not buckets:
        return [_no_bucket()] if arns else []
    regions = (region for url in settings.queue_urls if (region := region_of(url)) is not None)
    calls = AwsCalls(next(regions, None))
    try:
        with contextlib.suppress(*CALL_ERRORS):  # each probe reports it
            await calls.client("s3")  # create the client once, before the probes share it
        async with asyncio.TaskGroup() as probes:
            tasks = [probes.create_task(probe_bucket(calls, each, arns), name="probe bucket") for each in buckets]
            compared = buckets if settings.reconcile_every_hours is not None else []
            listings = [probes.create_task(probe_listing(calls, each), name="probe listing") for each in compared]
        results = [task.result() for task in tasks]
        unreadable = [each for each in results if isinstance(each, UnreadableBucket)]
        readable = [each for each in results if not isinstance(each, UnreadableBucket)]
        readable += [task.result() for task in listings]
        return [*(finding for each in readable for finding in each), *unreadable_findings(unreadable)]
    finally:
        await calls.close()


def _no_bucket() -> Finding:
    problem = "no bucket's notifications were checked: neither a queue's policy nor the index names a bucket"
    return Finding("note", ExitCode.QUEUE, "buckets", problem, "to check them, name them in SUBSCRIBER_BUCKETS")


def _late(subject: str, kind: ExitCode) -> Finding:
    remedy = "check DNS and the security group: dropped packets are the usual cause"
    return Finding("error", kind, subject, f"did not answer within {PART_SECONDS:g} s", remedy)
