"""The processor time of a real PostgreSQL on this machine, read from /proc."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import msgspec
import psutil
import pytest

from subscriber.adapters.load import process_tree
from subscriber.adapters.load.local import LocalSensor, busy_percent
from subscriber.adapters.load.open import open_sensor
from subscriber.adapters.load.process_tree import ProcessTree, Snapshot, find_postmaster, process_stat
from subscriber.adapters.load.sensor import SensorOptions
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.control.load_monitor import Sensor, read_sensor
from subscriber.errors import SensorError
from testkit.postgres.postgres import LocalPostgres
from tests.adapters.load.sessions import BURN, sessions

SOME_WORK = "SELECT count(*) FROM generate_series(1, 2000000)"
TICK_SECONDS = 0.01


def options_for(server: LocalPostgres, **changes: object) -> SensorOptions:
    """The options of the daemon for this server."""
    store = StoreOptions(url=server.url, tls="disable")
    return msgspec.structs.replace(SensorOptions(source="local", store=store, hosts=("127.0.0.1",)), **changes)


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    """A server for the tests that do not stop it."""
    with LocalPostgres(durable=False) as running:
        yield running


def postmaster_of(server: LocalPostgres) -> int:
    """The process id of the server."""
    return server.process_ids()[0]


async def sensor_for(options: SensorOptions) -> Sensor:
    """The sensor, as the daemon opens it."""
    sensor = await open_sensor(options)
    assert sensor is not None
    return sensor


async def test_the_load_is_the_time_that_the_processes_used(server: LocalPostgres) -> None:
    """Compared with the operating system's own count of the same processes in nearly the same second."""
    sensor = await sensor_for(options_for(server))
    assert isinstance(sensor, LocalSensor)
    async with sessions(server.url, BURN):
        await sensor.read()
        first, began, used = sensor._begin, time.monotonic(), server.cpu_seconds()
        asked_at = time.time()
        reading = await sensor.read()
        last, ended, used = sensor._begin, time.monotonic(), server.cpu_seconds() - used
    await sensor.close()
    assert reading is not None
    assert first is not None
    assert last is not None
    cores = len(os.sched_getaffinity(0))
    found = reading.cpu_percent / 100 * reading.window_seconds * cores
    # What the server can have used in the time that only one of the two counts saw, and the ticks of its processes.
    unshared = ((began - first.at) + (ended - last.at)) * cores
    assert found == pytest.approx(used, abs=unshared + 8 * TICK_SECONDS)
    assert used > 0, "the session used a processor"
    assert reading.window_seconds >= 1.0
    assert asked_at <= reading.taken_at <= time.time()


async def test_an_idle_server_has_no_load(server: LocalPostgres) -> None:
    """It uses nearly nothing; and the connection that found the server is closed."""
    sensor = await sensor_for(options_for(server))
    await sensor.read()
    reading = await sensor.read()
    await sensor.close()
    assert reading is not None
    assert 0 <= reading.cpu_percent < 10


async def test_the_operator_may_set_the_number_of_processors(server: LocalPostgres) -> None:
    """A server that is limited to fewer processors has less capacity, and so more load."""
    some, all_of_it = [await sensor_for(options_for(server, vcpus=vcpus)) for vcpus in (64.0, 1.0)]
    async with sessions(server.url, BURN):
        of_many, of_one = await asyncio.gather(some.read(), all_of_it.read())
    await some.close()
    await all_of_it.close()
    assert of_many is not None
    assert of_one is not None
    assert of_many.cpu_percent < 5 < of_one.cpu_percent


async def test_sessions_that_ended_are_counted(server: LocalPostgres) -> None:
    """The difference of two snapshots contains the time of a session that ran and ended in between."""
    tree = ProcessTree(postmaster_of(server))
    before, known = tree.snapshot(), server.cpu_seconds()
    connection = await asyncpg.connect(server.url)
    process_id = connection.get_server_pid()
    await connection.execute(SOME_WORK)
    used = sum(psutil.Process(process_id).cpu_times()[:2])
    await connection.close()
    while psutil.pid_exists(process_id):  # noqa: ASYNC110 – another process sends no event
        await asyncio.sleep(TICK_SECONDS)
    after, total = tree.snapshot(), server.cpu_seconds()
    assert used > 5 * TICK_SECONDS, "the session did some work"
    assert after.cpu_seconds - before.cpu_seconds >= used - TICK_SECONDS
    assert after.cpu_seconds - before.cpu_seconds == pytest.approx(total - known, abs=10 * TICK_SECONDS)


async def test_the_total_never_falls(server: LocalPostgres) -> None:
    """While sessions start and end, no snapshot is smaller than the one before."""
    tree = ProcessTree(postmaster_of(server))

    async def start_and_end() -> None:
        for _ in range(15):
            connection = await asyncpg.connect(server.url)
            await connection.execute("SELECT count(*) FROM generate_series(1, 100000)")
            await connection.close()

    sessions_in_turn = [asyncio.create_task(start_and_end(), name="session") for _ in range(3)]
    totals = []
    while not all(session.done() for session in sessions_in_turn):
        totals.append((await asyncio.to_thread(tree.snapshot)).cpu_seconds)
    await asyncio.gather(*sessions_in_turn)
    assert len(totals) > 10
    assert totals == sorted(totals)


async def test_after_a_restart_one_read_fails_and_the_next_succeeds(postgres_server: LocalPostgres) -> None:
    """The processes are gone, so the read fails; the next one finds those of the new server."""
    sensor = await sensor_for(options_for(postgres_server))
    assert await sensor.read() is not None
    postgres_server.restart("immediate")
    with pytest.raises(SensorError, match="the server's processes are gone"):
        await read_sensor(sensor)
    assert await sensor.read() is not None
    await sensor.close()


async def test_a_database_on_another_machine_is_an_error(
    local_options: SensorOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no process of this machine serves our session, the error is one sentence."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").touch()
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    monkeypatch.setattr("subscriber.adapters.load.local.PROC", tmp_path)
    sensor = await sensor_for(msgspec.structs.replace(local_options, source="local"))
    sentence = "local: the database is not on this machine, or its processes are invisible to this one"
    with pytest.raises(SensorError) as caught:
        await read_sensor(sensor)
    assert str(caught.value) == sentence
    await sensor.close()


def proc_of(folder: Path, process_id: int, *, name: str, within: int, started: int) -> None:
    """One process in a fake /proc, whose parent is process 7."""
    process = folder / str(process_id)
    process.mkdir()
    fields = ["S", "7", *["0"] * 17, str(started), *["0"] * 20]
    (process / "stat").write_text(f"{process_id} ({name}) {' '.join(fields)}\n")
    (process / "status").write_text(f"Name:\t{name}\nNSpid:\t{process_id}\t{within}\n")


def test_a_backend_is_identified_by_id_name_and_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Among processes with the same id in different containers, the start time that the server reports decides."""
    booted_at, ticks = 1_700_000_000, os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text(f"cpu 1 2 3\nbtime {booted_at}\n")
    proc_of(tmp_path, 100, name="postgres", within=100, started=10 * ticks)
    proc_of(tmp_path, 2001, name="(postgres) :", within=42, started=500 * ticks)
    proc_of(tmp_path, 2002, name="nginx", within=42, started=1000 * ticks)
    proc_of(tmp_path, 2003, name="postgres", within=42, started=1000 * ticks)
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    assert find_postmaster(42, booted_at + 1000.7) == 7
    assert find_postmaster(100, booted_at + 10.2) == 7
    assert find_postmaster(100, booted_at + 99.0) is None, "the server of another machine, with the same id by chance"
    assert find_postmaster(43, booted_at + 1000.7) is None


def test_children_are_found_without_the_kernels_list(server: LocalPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the kernel's list of children, a scan of all processes gives the same result."""
    postmaster = postmaster_of(server)
    listed = ProcessTree(postmaster).snapshot()
    monkeypatch.setattr(process_tree, "_children_of", lambda _: set(psutil.pids()))
    searched = ProcessTree(postmaster).snapshot()
    assert searched.cpu_seconds == pytest.approx(listed.cpu_seconds, abs=5 * TICK_SECONDS)


def test_an_impossible_window_is_an_error() -> None:
    """Time that runs backwards, or more than the capacity, is no reading; one tick too much is rounding."""
    begin = Snapshot(at=100.0, cpu_seconds=50.0)
    assert busy_percent(begin, Snapshot(101.0, 51.0), 2.0) == 50.0
    assert busy_percent(begin, Snapshot(101.0, 52.04), 2.0) == 100.0
    for impossible in (Snapshot(101.0, 49.0), Snapshot(101.0, 53.0)):
        with pytest.raises(SensorError, match="cannot be true"):
            busy_percent(begin, impossible, 2.0)


def test_any_process_name_is_parsed() -> None:
    """Our own process, whose times the operating system reports as well."""
    stat = process_stat(os.getpid())
    assert stat.parent == os.getppid()
    assert stat.own_ticks / os.sysconf("SC_CLK_TCK") == pytest.approx(sum(os.times()[:2]), abs=5 * TICK_SECONDS)
