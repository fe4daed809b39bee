"""The processor time of a real PostgreSQL on this machine, told from /proc."""

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
from subscriber.adapters.load.local import busy_percent
from subscriber.adapters.load.open import open_sensor
from subscriber.adapters.load.process_tree import ProcessTree, Snapshot, find_postmaster, process_stat
from subscriber.adapters.load.sensor import Sensor, SensorOptions
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.errors import SensorError
from testkit.postgres.postgres import LocalPostgres
from tests.adapters.load.sessions import BURN, sessions

SOME_WORK = "SELECT count(*) FROM generate_series(1, 2000000)"
TICK_SECONDS = 0.01


def options_for(server: LocalPostgres, **changes: object) -> SensorOptions:
    """How the daemon would be told of this server."""
    store = StoreOptions(url=server.url, tls="disable")
    return msgspec.structs.replace(SensorOptions(source="local", store=store, hosts=("127.0.0.1",)), **changes)


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    """A server for those tests that leave it running."""
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


async def test_the_load_is_what_the_processes_used(server: LocalPostgres) -> None:
    """Against another way to measure the same second: the system's own count of what the server's processes used."""
    sensor = await sensor_for(options_for(server))
    async with sessions(server.url, BURN):
        await sensor.read()
        began, used = time.monotonic(), server.cpu_seconds()
        reading = await sensor.read()
        seconds, used = time.monotonic() - began, server.cpu_seconds() - used
    await sensor.close()
    assert reading is not None
    expected = 100 * used / seconds / len(os.sched_getaffinity(0))
    assert reading.cpu_percent == pytest.approx(expected, abs=8)
    assert expected > 0, "the session has burnt"
    assert reading.window_seconds == pytest.approx(1.0, abs=0.3)
    assert time.time() - reading.taken_at < 1


async def test_an_idle_server_has_no_load(server: LocalPostgres) -> None:
    """Nothing to do is nearly nothing used; and the connection that found the server is gone."""
    sensor = await sensor_for(options_for(server))
    await sensor.read()
    reading = await sensor.read()
    await sensor.close()
    assert reading is not None
    assert 0 <= reading.cpu_percent < 10


async def test_the_operator_may_say_how_many_processors(server: LocalPostgres) -> None:
    """A server held to less than the processors it may run on has a smaller capacity, and so more load."""
    some, all_of_it = [await sensor_for(options_for(server, vcpus=vcpus)) for vcpus in (64.0, 1.0)]
    async with sessions(server.url, BURN):
        of_many, of_one = await asyncio.gather(some.read(), all_of_it.read())
    await some.close()
    await all_of_it.close()
    assert of_many is not None
    assert of_one is not None
    assert of_many.cpu_percent < 5 < of_one.cpu_percent


async def test_sessions_that_ended_are_counted(server: LocalPostgres) -> None:
    """The time of a session that came, worked and left between two looks is in the difference."""
    tree = ProcessTree(postmaster_of(server))
    before, known = tree.snapshot(), server.cpu_seconds()
    connection = await asyncpg.connect(server.url)
    process_id = connection.get_server_pid()
    await connection.execute(SOME_WORK)
    used = sum(psutil.Process(process_id).cpu_times()[:2])
    await connection.close()
    while psutil.pid_exists(process_id):  # noqa: ASYNC110 - another process tells no event
        await asyncio.sleep(TICK_SECONDS)
    after, total = tree.snapshot(), server.cpu_seconds()
    assert used > 5 * TICK_SECONDS, "the session did some work"
    assert after.cpu_seconds - before.cpu_seconds >= used - TICK_SECONDS
    assert after.cpu_seconds - before.cpu_seconds == pytest.approx(total - known, abs=10 * TICK_SECONDS)


async def test_the_total_never_falls(server: LocalPostgres) -> None:
    """While sessions come and go no look finds less time than the one before."""
    tree = ProcessTree(postmaster_of(server))

    async def come_and_go() -> None:
        for _ in range(15):
            connection = await asyncpg.connect(server.url)
            await connection.execute("SELECT count(*) FROM generate_series(1, 100000)")
            await connection.close()

    guests = [asyncio.create_task(come_and_go(), name="guest") for _ in range(3)]
    looks = []
    while not all(guest.done() for guest in guests):
        looks.append((await asyncio.to_thread(tree.snapshot)).cpu_seconds)
    await asyncio.gather(*guests)
    assert len(looks) > 10
    assert looks == sorted(looks)


async def test_a_restart_is_a_sentence_and_found_again(
    postgres_server: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes are gone, the reading fails; the next one finds the new server's."""
    monkeypatch.setattr("subscriber.adapters.load.bounded.REST_AT_MOST_SECONDS", 0.0)
    sensor = await sensor_for(options_for(postgres_server))
    assert await sensor.read() is not None
    postgres_server.restart("immediate")
    with pytest.raises(SensorError, match="the server's processes are gone"):
        await sensor.read()
    assert await sensor.read() is not None
    await sensor.close()


async def test_a_database_elsewhere_is_refused(
    local_options: SensorOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where none of this machine's processes is the one that serves us, the operator is told in one sentence."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").touch()
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    monkeypatch.setattr("subscriber.adapters.load.local.PROC", tmp_path)
    sensor = await sensor_for(msgspec.structs.replace(local_options, source="local"))
    sentence = "local: the database is not on this machine, or its processes are hidden from us"
    with pytest.raises(SensorError) as caught:
        await sensor.read()
    assert str(caught.value) == sentence
    await sensor.close()


def proc_of(folder: Path, process_id: int, *, name: str, within: int, started: int) -> None:
    """One process in a /proc made by hand, whose parent is process 7."""
    process = folder / str(process_id)
    process.mkdir()
    fields = ["S", "7", *["0"] * 17, str(started), *["0"] * 20]
    (process / "stat").write_text(f"{process_id} ({name}) {' '.join(fields)}\n")
    (process / "status").write_text(f"Name:\t{name}\nNSpid:\t{process_id}\t{within}\n")


def test_a_backend_is_known_by_id_name_and_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of processes with the same id in different containers only the one that began when the server says is it."""
    booted_at, ticks = 1_700_000_000, os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text(f"cpu 1 2 3\nbtime {booted_at}\n")
    proc_of(tmp_path, 100, name="postgres", within=100, started=10 * ticks)
    proc_of(tmp_path, 2001, name="(postgres) :", within=42, started=500 * ticks)
    proc_of(tmp_path, 2002, name="nginx", within=42, started=1000 * ticks)
    proc_of(tmp_path, 2003, name="postgres", within=42, started=1000 * ticks)
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    assert find_postmaster(42, booted_at + 1000.7) == 7
    assert find_postmaster(100, booted_at + 10.2) == 7
    assert find_postmaster(100, booted_at + 99.0) is None, "another machine's server, with the same id by chance"
    assert find_postmaster(43, booted_at + 1000.7) is None


def test_children_are_found_without_the_kernels_list(server: LocalPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that lists no children is asked process by process, with the same outcome."""
    postmaster = postmaster_of(server)
    listed = ProcessTree(postmaster).snapshot()
    monkeypatch.setattr(process_tree, "_children_of", lambda _: set(psutil.pids()))
    searched = ProcessTree(postmaster).snapshot()
    assert searched.cpu_seconds == pytest.approx(listed.cpu_seconds, abs=5 * TICK_SECONDS)


def test_a_window_that_cannot_be_true_is_refused() -> None:
    """Time that ran backwards, or more than there is, is no reading; a tick too much is."""
    begin = Snapshot(at=100.0, cpu_seconds=50.0)
    assert busy_percent(begin, Snapshot(101.0, 51.0), 2.0) == 50.0
    assert busy_percent(begin, Snapshot(101.0, 52.04), 2.0) == 100.0
    for lie in (Snapshot(101.0, 49.0), Snapshot(101.0, 53.0)):
        with pytest.raises(SensorError, match="cannot be true"):
            busy_percent(begin, lie, 2.0)


def test_a_process_is_read_whatever_its_name() -> None:
    """Our own process, whose figures the system tells as well."""
    stat = process_stat(os.getpid())
    assert stat.parent == os.getppid()
    assert stat.own_ticks / os.sysconf("SC_CLK_TCK") == pytest.approx(sum(os.times()[:2]), abs=5 * TICK_SECONDS)
