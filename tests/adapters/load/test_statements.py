"""Load as SQL shows it: sessions that really use processor time, and a function with the shape of Aurora's."""

from __future__ import annotations

import re
from urllib.parse import quote

import asyncpg
import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from subscriber.adapters.load import connection as load_connection
from subscriber.adapters.load import statements as load_statements
from subscriber.adapters.load.open import open_sensor
from subscriber.adapters.load.sensor import SensorOptions
from subscriber.adapters.load.statements import CpuScale, sessions_percent
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.statements import quoted
from subscriber.choices import LoadSource
from subscriber.control.load_monitor import Sensor, read_sensor
from subscriber.errors import SensorError
from testkit.postgres.postgres import LocalPostgres
from tests.adapters.load.sessions import BURN, SLEEP, connected, sessions

IDLE_IN_TRANSACTION = "BEGIN"


@pytest.fixture(autouse=True)
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number of samples, in a quarter of the time."""
    monkeypatch.setattr(load_statements, "WINDOW_SECONDS", 0.5)


async def sensor_for(options: SensorOptions, source: LoadSource) -> Sensor:
    """The sensor, as the daemon opens it."""
    sensor = await open_sensor(msgspec.structs.replace(options, source=source))
    assert sensor is not None
    return sensor


@pytest.mark.parametrize(
    ("statements", "least", "most"),
    [
        ((), 0, 10),
        ((BURN,), 45, 60),
        ((BURN, SLEEP, SLEEP), 45, 60),
        ((BURN, BURN, BURN), 95, 100),
    ],
    ids=["idle", "one of two processors", "a sleeping session does not count", "more than there are processors"],
)
async def test_active_sessions_are_counted_against_processors(
    local_options: SensorOptions, postgres_url: str, statements: tuple[str, ...], least: float, most: float
) -> None:
    """Each session that works is one processor's worth, up to all of them."""
    sensor = await sensor_for(local_options, "active_sessions")
    async with connected(postgres_url) as idle, sessions(postgres_url, *statements):
        await idle.execute(IDLE_IN_TRANSACTION)
        reading = await sensor.read()
    await sensor.close()
    assert reading is not None
    assert least <= reading.cpu_percent <= most
    assert 0.5 <= reading.window_seconds < 5.0


async def test_a_session_that_waits_for_a_lock_does_not_count(local_options: SensorOptions, postgres_url: str) -> None:
    """It uses no processor."""
    sensor = await sensor_for(local_options, "active_sessions")
    lock = "SELECT pg_advisory_xact_lock(4711)"
    async with connected(postgres_url) as holder:
        await holder.execute(f"BEGIN; {lock}")
        async with sessions(postgres_url, lock, lock):
            reading = await sensor.read()
            await holder.execute("ROLLBACK")
    await sensor.close()
    assert reading is not None
    assert reading.cpu_percent <= 10


async def events_of_a_read(options: SensorOptions) -> list[str]:
    """The log events of one read, during which no session is active."""
    sensor = await sensor_for(options, "active_sessions")
    with structlog.testing.capture_logs() as lines:
        reading = await sensor.read()
    await sensor.close()
    assert reading is not None
    assert reading.cpu_percent <= 10, "an invisible session does not count as active"
    return [str(line["event"]) for line in lines]


async def test_a_role_that_sees_only_its_own_sessions_is_a_warning(
    local_options: SensorOptions, postgres_url: str
) -> None:
    """Without pg_read_all_stats the sessions of others seem idle: one log line names the missing grant."""
    role, secret = "load_test_watcher", "watching"
    async with connected(postgres_url) as owner:
        await owner.execute(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN PASSWORD '{secret}'")
        url = re.sub(r"//[^@]+@", f"//{role}:{secret}@", postgres_url)
        store = msgspec.structs.replace(local_options.store, url=url)
        options = msgspec.structs.replace(local_options, store=store)
        try:
            assert await events_of_a_read(options) == ["load.partially_visible"]
            await owner.execute(f"GRANT pg_read_all_stats TO {role}")
            assert await events_of_a_read(options) == []
        finally:
            await owner.execute(f"DROP ROLE {role}")


async def test_reads_fail_while_the_server_is_down_and_succeed_afterwards(
    postgres_server: LocalPostgres,
) -> None:
    """Each failure is one sentence, and the sensor opens a new connection when the server is back."""
    store = StoreOptions(url=postgres_server.url, tls="disable")
    options = SensorOptions(source="active_sessions", store=store, hosts=("127.0.0.1",), vcpus=2.0)
    sensor = await sensor_for(options, "active_sessions")
    assert await sensor.read() is not None
    postgres_server.stop("immediate")
    for _ in range(2):
        with pytest.raises(SensorError, match="active_sessions: "):
            await read_sensor(sensor)
    postgres_server.start()
    assert await sensor.read() is not None
    await sensor.close()


async def test_a_hanging_statement_is_cancelled(
    local_options: SensorOptions,
    database: asyncpg.Connection[asyncpg.Record],
    schema: str,
    url_with_schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A function that does not return fails one read after the time limit, and the sensor goes on."""
    monkeypatch.setattr(load_connection, "STATEMENT_SECONDS", 0.5)
    await aurora_function(database, schema, "SELECT 1, 1::bigint, 1::bigint, 1::float8 FROM pg_sleep(60)")
    store = msgspec.structs.replace(local_options.store, url=url_with_schema)
    sensor = await sensor_for(msgspec.structs.replace(local_options, store=store), "aurora_stat")
    with pytest.raises(SensorError, match=r"aurora_stat: .*57014"):
        await read_sensor(sensor)
    await sensor.close()


@pytest.fixture
def url_with_schema(postgres_url: str, schema: str) -> str:
    """The test's database with the test's schema in the search path."""
    return f"{postgres_url}?search_path={quote(quoted(schema))}"


async def aurora_function(database: asyncpg.Connection[asyncpg.Record], schema: str, query: str) -> None:
    """A function of the name and the columns that the Aurora User Guide gives aurora_stat_resource_usage().

    There is no Aurora here: the shape is that of its documentation.
    """
    await database.execute(
        f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)};"
        f"CREATE OR REPLACE FUNCTION {quoted(schema)}.aurora_stat_resource_usage() RETURNS TABLE("
        "pid integer, allocated_memory bigint, used_memory bigint, cpu_usage_percent double precision"
        f") LANGUAGE sql AS $$ {query} $$"
    )


@pytest.mark.parametrize(
    ("shares", "percent"),
    [
        ((), 0.0),
        ((0.5, 0.25, 12.25), 13.0),
        ((60.0, 40.0), 50.0),
    ],
    ids=["no rows", "of all processors, by default", "of one processor, which 60 % of two proves"],
)
async def test_auroras_shares_are_added_up(
    local_options: SensorOptions,
    database: asyncpg.Connection[asyncpg.Record],
    schema: str,
    url_with_schema: str,
    shares: tuple[float, ...],
    percent: float,
) -> None:
    """The sum over all backends, against two processors; the third reading proves the scale."""
    query = f"SELECT 1, 1::bigint, 1::bigint, share FROM unnest(ARRAY{list(shares)}::float8[]) AS share"
    await aurora_function(database, schema, query)
    store = msgspec.structs.replace(local_options.store, url=url_with_schema)
    sensor = await sensor_for(msgspec.structs.replace(local_options, store=store), "aurora_stat")
    readings = [await sensor.read() for _ in range(CpuScale.PROOFS)]
    await sensor.close()
    reading = readings[-1]
    assert reading is not None
    assert (reading.cpu_percent, reading.window_seconds) == (percent, 1.0)


@pytest.mark.parametrize("share", ["'NaN'", "'Infinity'", "-5", "900"])
async def test_impossible_shares_are_an_error(
    local_options: SensorOptions,
    database: asyncpg.Connection[asyncpg.Record],
    schema: str,
    url_with_schema: str,
    share: str,
) -> None:
    """NaN, a negative number, or more than all processors have is no reading."""
    await aurora_function(database, schema, f"SELECT 1, 1::bigint, 1::bigint, {share}::float8")
    store = msgspec.structs.replace(local_options.store, url=url_with_schema)
    sensor = await sensor_for(msgspec.structs.replace(local_options, store=store), "aurora_stat")
    with pytest.raises(SensorError, match="cannot be true"):
        await read_sensor(sensor)
    await sensor.close()


async def test_a_server_that_is_not_aurora_is_a_sentence(local_options: SensorOptions) -> None:
    """Where the function is missing the error says why."""
    sensor = await sensor_for(local_options, "aurora_stat")
    with pytest.raises(SensorError, match=r"has no aurora_stat_resource_usage\(\): it is not Aurora, or of an earlier"):
        await read_sensor(sensor)
    await sensor.close()


@given(st.lists(st.integers(min_value=0, max_value=500), min_size=1), st.floats(min_value=0.1, max_value=1024))
def test_sessions_make_a_load(counts: list[int], vcpus: float) -> None:
    """Between nothing and everything, and more sessions are never less load."""
    percent = sessions_percent(counts, vcpus)
    assert 0 <= percent <= 100
    assert percent <= sessions_percent([count + 1 for count in counts], vcpus)


def test_a_proven_scale_is_final() -> None:
    """Until the proof the sum counts as a share of all processors, which is the safe direction."""
    scale = CpuScale()
    assert scale.percent(80.0, 20.0, 4.0) == 80.0
    assert [scale.percent(80.0, 40.0, 4.0) for _ in range(4)] == [80.0, 80.0, 20.0, 20.0]
    assert scale.percent(80.0, 20.0, 4.0) == 20.0
    assert CpuScale().percent(70.0, 70.0, 1.0) == 70.0


def test_a_sum_above_a_hundred_proves_the_scale_as_well() -> None:
    """It is no reading before the proof."""
    scale = CpuScale()
    for _ in range(2):
        with pytest.raises(SensorError):
            scale.percent(200.0, 25.0, 4.0)
    assert scale.percent(200.0, 25.0, 4.0) == 50.0


@pytest.mark.parametrize("wrong", [(90_000.0, 1.0), (50.0, 5_000.0), (95.0, 1.8)])
def test_one_wrong_value_or_rough_measurement_proves_no_scale(wrong: tuple[float, float]) -> None:
    """A wrong scale would read a saturated database as an idle one forever; a true proof repeats at once."""
    scale = CpuScale()
    for total, largest in (wrong, (60.0, 1.5), wrong, (60.0, 1.5), wrong, (60.0, 1.5)):
        try:
            assert scale.percent(total, largest, 64.0) >= 45.0
        except SensorError:
            assert total > 100
