"""Many processes on the same names, while one answer in ten is lost: every acknowledged write is there, and no one is
told a falsehood. S3's versions of an object show every write that ever happened.

build/venv/bin/python -m tests.cloud.run store_processes
"""

import collections
import json
import random
import subprocess
import sys

from tests.interop.format import Fields
from tests.python.cyborg_kms import KmsError, Store
from tests.services import Proxy, faults
from tests.services.server import ROOT

from .records import Ground, object_of, write

SERVERS = ("localstack", "ministack")
WRITE_IDS, KEY_ID = 15, 2  # slots of the record
NAMES = [f"index {number}" for number in range(6)]
LOSSES = [
    faults.lose("rst"),
    faults.lose("fin"),
    faults.half(),
    faults.internal(applied=True),
    faults.conflict(applied=True),
    faults.reset,
    faults.conflict(),
    faults.internal(),
]


def work(url, worker, operations):
    """One process: what it did to which record, under which mark, and what it was told."""
    choose = random.Random(worker)
    told = []
    with Store.open(url) as store:
        for number in range(operations):
            verb, name, mark = choose.choice(["create", "push", "push"]), choose.choice(NAMES), f"{worker}.{number}"
            try:
                write(verb, store, name, key_id=mark, version=1 + number)
                told.append([verb, name, mark, "OK", False])
            except KmsError as error:
                told.append([verb, name, mark, error.status_name, error.outcome_unknown])
    json.dump(told, sys.stdout)


def work_together(ground, proxy, processes, operations):
    """What all of them were told."""
    for number, loss in enumerate(LOSSES):
        proxy.on(loss, times=None, chance=0.1 / len(LOSSES), seed=number, method="PUT", path="config")
    program = "import sys; from tests.cloud.store_processes import work; work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))"
    url = ground.bucket.url(endpoint=proxy.url)
    command = [sys.executable, "-c", program, url]
    started = [
        subprocess.Popen([*command, str(worker), str(operations)], cwd=ROOT, stdout=subprocess.PIPE)
        for worker in range(processes)
    ]
    outputs = [each.communicate(timeout=300)[0] for each in started]
    assert all(each.returncode == 0 for each in started), [each.returncode for each in started]
    return [line for output in outputs for line in json.loads(output)]


def check_chain(name, records):
    """Each write of a record knew the one before it."""
    chain = [record.bytes(WRITE_IDS) for record in records]
    for before, after in zip(chain, chain[1:]):
        assert after[-16 * 16 :][:-16] == before[-15 * 16 :], f"{name}: a write went over one that it had not seen"


def check_record(name, versions, told):
    """One record's whole past against what was told of it."""
    records = [Fields.root(data) for data in versions]
    marks = [record.bytes(KEY_ID).decode() for record in records]
    check_chain(name, records)
    times = collections.Counter(marks)
    for verb, _, mark, status, unknown in told:
        if status == "OK":
            assert times[mark] == 1, f"{name}: the acknowledged {verb} {mark} is there {times[mark]} times"
        elif not unknown:
            assert times[mark] == 0, f"{name}: {verb} {mark} is there and was refused with {status}"
        if status == "ALREADY_EXISTS":
            assert marks and marks[0] != mark, f"{name}: {mark} was told of its own record"
    created = [mark for verb, _, mark, status, _ in told if verb == "create" and status == "OK"]
    assert len(created) <= 1 and created in ([], marks[:1]), f"{name}: created by {created}, first is {marks[:1]}"


def no_falsehood(place, processes, operations):
    with Ground(place.localstack) as ground, Proxy(place.localstack.url, one_by_one=True) as proxy:
        ground.bucket.keep_versions()
        told = work_together(ground, proxy, processes, operations)
        assert len(told) == processes * operations
        lost = sum(rule.hits for rule in proxy.rules)
        assert lost > operations * processes / 40, f"{lost} answers were lost: too few to show anything"
        statuses = collections.Counter(status for _, _, _, status, _ in told)
        assert set(statuses) <= {"OK", "ALREADY_EXISTS", "CONFLICT", "STORAGE"}, statuses
        assert statuses["OK"] > operations * processes / 2, statuses
        for name in NAMES:
            of_it = [line for line in told if line[1] == name]
            check_record(name, ground.bucket.versions(object_of(name)), of_it)


def test_two_processes(place):
    no_falsehood(place, 2, 120)


def test_eight_processes(place):
    no_falsehood(place, 8, 40)


def test_eight_processes_race_to_create(place):
    """On another server, without faults: of eight creators of each name one is told that it was."""
    program = "import sys; from tests.cloud.store_processes import create_all; create_all(*sys.argv[1:])"
    with Ground(place.ministack) as ground:
        command = [sys.executable, "-c", program, ground.bucket.url()]
        started = [
            subprocess.Popen([*command, str(worker)], cwd=ROOT, stdout=subprocess.PIPE) for worker in range(8)
        ]
        won = [name for each in started for name in json.loads(each.communicate(timeout=300)[0])]
        assert sorted(won) == sorted(f"race {number}" for number in range(20)), won


def create_all(url, worker):
    """One process of that race: the names that it created."""
    won = []
    with Store.open(url) as store:
        for number in range(20):
            try:
                write("create", store, f"race {number}", key_id=worker)
                won.append(f"race {number}")
            except KmsError as error:
                assert error.status_name == "ALREADY_EXISTS", error
    json.dump(won, sys.stdout)
