"""Processes that are killed while they rotate, on S3 that loses answers and in SQLite: each time the index opens, every
page reads, and every acknowledged rotation is there.

build/venv/bin/python -m tests.cloud.run kills
"""

import json
import os
import random
import signal
import threading
import time

from tests.services.proxy import pass_on

from .arena import S3, Sqlite, rotations

SERVERS = ("localstack",)
KILLS = 20


def kill_at_random(arena):
    """Gives how many rotations there have been."""
    seed = random.randrange(1 << 32)
    moments, told, done = random.Random(seed), [], 0
    for kills in range(1, KILLS + 1):
        storm = arena.start("storm", kills)
        # A page, a rotation, a page, …: however slow the machine is, most come to a rotation.
        told += [json.loads(storm.stdout.readline()) for _ in range(moments.randint(1, 3))]
        time.sleep(moments.uniform(0, 0.3))
        storm.kill()
        told += map(json.loads, storm.stdout)
        assert storm.wait() == -signal.SIGKILL, f"seed {seed}: the storm ended by itself: {storm.returncode}"
        arena.allowed(told)
        before, done = done, arena.check(told, kills)
        assert done >= before, f"seed {seed}: {before - done} rotations were lost"
    assert done > KILLS / 4, f"only {done} rotations: the test kills nothing"
    print(f"  seed {seed}: {done} rotations, {sum(line[2] in ('OK', 'COMMIT') for line in told)} of {len(told)} were told of")


def test_killed_at_random_on_s3(place):
    kill_at_random(S3(place, ("one",)))


def test_killed_at_random_on_sqlite(place):
    kill_at_random(Sqlite(place, ("one",)))


class Executioner:
    """Kills a process at its nth request to store or KMS, before the server has seen it or behind that."""

    def __init__(self, arena, number, is_applied):
        self.left, self.is_applied = number, is_applied
        self.lock, self.victim = threading.Lock(), None
        self.known = threading.Event()
        for proxy in (arena.s3, arena.kms):
            proxy.clear()
            proxy.on(self.fault, times=None)

    def fault(self, exchange):
        with self.lock:
            self.left -= 1
            is_last = self.left == 0
        if not is_last:
            pass_on(exchange)
            return
        if self.is_applied:
            exchange.forward()
        self.known.wait()
        os.kill(self.victim, signal.SIGKILL)
        exchange.close()

    def watch(self, process):
        """Whether it was killed."""
        self.victim = process.pid
        self.known.set()
        process.stdout.read()
        return process.wait() == -signal.SIGKILL


def kill_at_each_request(arena, is_applied):
    """Whether the rotation was made, for each of its requests at which it was killed."""
    made = []
    while True:
        before = count(arena)
        executioner = Executioner(arena, len(made) + 1, is_applied)
        was_killed = executioner.watch(arena.start("once", len(made)))
        arena.check([], kills=before + 1)
        after = count(arena)
        if not was_killed:
            assert after == before + 1, "it was not killed, and has not rotated"
            return made
        made.append(after > before)


def count(arena):
    """How many rotations there have been."""
    with arena.host() as host:
        return sum(rotations(host.engine.describe("one")).values())


def test_killed_at_each_request_of_a_rotation_on_s3(place):
    arena = S3(place, ("one",))
    before, behind = kill_at_each_request(arena, is_applied=False), kill_at_each_request(arena, is_applied=True)
    # The record, three times the KMS, the check of the store before its first write, and the write, which is all of it.
    assert len(before) == len(behind) > 5, (before, behind)
    assert not any(before) and behind == [False] * (len(behind) - 1) + [True], (before, behind)
