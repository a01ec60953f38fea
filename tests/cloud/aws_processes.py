"""What a process pays and when: nothing before the first call; a forked child asks by itself; many threads, one call.

build/venv/bin/python -m tests.cloud.run aws_processes
"""

import os
import pathlib
import subprocess
import sys
import threading

from tests.services import faults
from tests.services.server import ROOT

from .aws import DECRYPT, configuration, create, engine, folder, new_key, opened, reads, refused, slot, use
from .clients import race

SERVERS = ("moto",)

# In a process of its own: the tests' own process has threads and sockets of the proxies.
IDLE = """
import json, os, sys
from tests.python.cyborg_kms import Engine

def counts():
    files = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    # The folder's own is gone by now.
    links = [os.readlink(file) for file in files if os.path.lexists(file)]
    return len(os.listdir("/proc/self/task")), sum(link.startswith(("socket:", "anon_inode:")) for link in links)

before = counts()
with Engine.open(sys.argv[1]) as engine:
    assert counts() == before, f"opening the engine: {before} to {counts()}"
    with engine.create_index("local", "local") as index:
        index.decrypt(index.encrypt(b"a page"))
    threads, sockets = counts()
    assert sockets == before[1], f"an index of another provider: {before} to {counts()}"
    names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
    assert "cyborg-kms-net" not in names, names
    engine.create_index("remote", "remote").__exit__()
    names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
    assert names.count("cyborg-kms-net") == 1 and counts()[1] > sockets, (names, counts())
after = counts()
# tokio keeps a pair of sockets for signals for as long as the process lives.
assert after in (before, (before[0], before[1] + 2)), f"the engine's end: {before} to {after}"
with Engine.open(sys.argv[1]) as engine:
    engine.create_index("remote", "remote").__exit__()
assert counts() == after, f"another engine's end: {after} to {counts()}"
print("nothing was paid")
"""


# A stack that ends takes the process with it, so this is one of its own.
SMALL = """
import sys, threading
from tests.python.cyborg_kms import Engine

def work():
    with Engine.open(sys.argv[1]) as engine:
        for kms_name in ("remote", "secret"):
            engine.create_index(kms_name, kms_name).__exit__()
            engine.evict()
            with engine.open_index(kms_name) as index:
                index.decrypt(index.encrypt(b"a page"))

threading.stack_size(int(sys.argv[2]) * 1024)
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("it has room")
"""


def run(program, *arguments):
    """A program that has the library, in a process of its own."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_is_paid_before_the_first_call(place):
    use(place, place.moto)
    local = {"provider": "local", "key_id": str(folder(place) / "key"), "create": True}
    remote = slot(place.moto, "aws-kms", new_key(place.moto))
    secret = slot(place.moto, "aws", "secret")
    assert "nothing was paid" in run(IDLE, configuration(local=local, remote=remote, secret=secret))


def test_threads_with_small_stacks_have_room_for_a_request(place):
    use(place, place.moto)
    secret = place.name("secret")
    place.moto.client("secretsmanager").create_secret(Name=secret, SecretBinary=os.urandom(32))
    remote, named = slot(place.moto, "aws-kms", new_key(place.moto)), slot(place.moto, "aws", secret)
    for kib in (128, 192, 256, 512):
        assert "it has room" in run(SMALL, configuration(remote=remote, secret=named), str(kib))


def test_coroutines_ask_without_touching_the_heap(place):
    """Of a first thread without a limit glibc says that its stack reaches down to the heap."""
    use(place, place.moto)
    library = pathlib.Path(os.environ["CYBORG_KMS_LIBRARY"]).parent
    program = folder(place) / "coroutine"
    source = pathlib.Path(__file__).with_name("coroutine.c")
    compiler = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", f"-I{library.parent}/include", "-o", program, source]
    subprocess.run([*compiler, f"-L{library}", "-lcyborg_kms", f"-Wl,-rpath,{library}"], check=True)
    yaml = configuration(prod=slot(place.moto, "aws-kms", new_key(place.moto)))
    for limit in ("8192", "unlimited"):
        command = ["sh", "-c", f'ulimit -s {limit} && exec "$0" "$1"', program, yaml]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert "nothing else was changed" in done.stdout, (limit, done.returncode, done.stderr)


def forked(child):
    """What a child of `fork` came to; 0 is well."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
            os._exit(0)
        except BaseException as error:
            print(f"in the child: {error}", flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_asks_by_itself(place):
    use(place, place.moto)
    records, secret = folder(place), place.name("secret")
    place.moto.client("secretsmanager").create_secret(Name=secret, SecretBinary=os.urandom(32))
    prod, named = slot(place.moto, "aws-kms", new_key(place.moto)), slot(place.moto, "aws", secret)
    ours = engine(place, records, prod=prod, secret=named)
    sealed = {name: create(ours, name, kms_name)[1] for name, kms_name in (("a", "prod"), ("b", "secret"))}

    def child(number):
        for name, page in sealed.items():
            reads(ours, name, page)
            ours.evict()
            reads(ours, name, page)
        for kms_name in ("prod", "secret"):
            create(ours, f"{kms_name} of child {number}", kms_name)
        # A grandchild, too.
        assert forked(lambda: (ours.evict(), reads(ours, "a", sealed["a"]))) == 0

    for number in range(3):
        assert forked(lambda: child(number)) == 0
        ours.evict()
        for name, page in sealed.items():
            reads(ours, name, page)


def test_children_of_a_busy_parent(place):
    """Forks while other threads of the parent wait for AWS: neither side hangs."""
    use(place, place.moto)
    ours = engine(place, folder(place), prod=slot(place.moto, "aws-kms", new_key(place.moto)))
    keks = {f"index {i}": create(ours, f"index {i}")[0] for i in range(4)}
    ended = threading.Event()

    def busy(i):
        while not ended.is_set():
            ours.evict(f"index {i}")
            assert opened(ours, f"index {i}") == keks[f"index {i}"]

    threads = [threading.Thread(target=busy, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        codes = [forked(lambda: (ours.evict("index 3"), opened(ours, "index 3"))) for _ in range(10)]
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert codes == [0] * 10


def test_many_threads_on_a_cold_index_share_a_refusal_too(place):
    use(place, place.moto)
    records, proxy = folder(place), place.proxy(place.moto)
    settings = slot(proxy, "aws-kms", new_key(place.moto))
    create(engine(place, records, prod=settings), "customers")
    proxy.clear()
    gate = threading.Event()
    denied = faults.kms_error(400, "AccessDeniedException")
    proxy.on(lambda exchange: (gate.wait(60), denied(exchange)), times=None, target=DECRYPT)
    cold = engine(place, records, prod=settings)
    threading.Timer(0.5, gate.set).start()
    got = race(64, lambda _: refused("ACCESS_DENIED", cold.open_index, "customers", code="AccessDeniedException"))
    assert all(getattr(error, "status_name", None) == "ACCESS_DENIED" for error in got), got
    assert proxy.count(target=DECRYPT) == 1


def test_connections_are_used_again(place):
    use(place, place.moto)
    records, proxy = folder(place), place.proxy(place.moto)
    ours = engine(place, records, prod=slot(proxy, "aws-kms", new_key(place.moto)))
    create(ours, "customers")
    for _ in range(10):
        ours.evict()
        opened(ours, "customers")
    # A connection that is not back in the pool yet makes the next request open another.
    assert proxy.connections <= 4, f"{proxy.connections} connections for 12 requests"
