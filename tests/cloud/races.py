"""Processes that rotate, stop, open and use the same indexes at once, on each kind of store: every acknowledged change
is there, nobody is told a falsehood, and every page that was ever sealed reads in the end.

build/venv/bin/python -m tests.cloud.run races
"""

import collections

from .arena import S3, Disk, Sqlite

SERVERS = ("localstack",)
NAMES = ("one", "two")


def race(arena, processes, operations):
    told = arena.race(processes, operations)
    rotations = arena.check(told)
    statuses = collections.Counter((what, status) for what, _, status, _, _ in told)
    print(f"  {processes} processes, {rotations} rotations: {dict(sorted(statuses.items()))}")
    assert rotations > processes * operations / 20, "too few rotations to show anything"
    return told


def test_two_processes_on_disk(place):
    race(Disk(place, NAMES), 2, 150)


def test_eight_processes_on_disk(place):
    race(Disk(place, NAMES), 8, 60)


def test_two_processes_on_sqlite(place):
    race(Sqlite(place, NAMES), 2, 100)


def test_eight_processes_on_sqlite(place):
    race(Sqlite(place, NAMES), 8, 40)


def on_s3(place, processes, operations):
    arena = S3(place, NAMES)
    told = race(arena, processes, operations)
    assert arena.lost() > len(told) / 20, f"{arena.lost()} answers were lost: too few to show anything"


def test_two_processes_on_s3_that_loses_answers(place):
    on_s3(place, 2, 50)


def test_eight_processes_on_s3_that_loses_answers(place):
    on_s3(place, 8, 20)
