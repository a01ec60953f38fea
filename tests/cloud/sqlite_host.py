"""A database that keeps its records by examples/sqlite_store: the example's own store, in the host's transactions."""

import contextlib
import ctypes
import pathlib
import random
import sqlite3
import subprocess
from ctypes import byref, c_char_p, c_int, c_void_p

from tests.python.cyborg_kms import Engine, Store
from tests.python.library import PATH, ROOT

EXAMPLE = ROOT / "examples" / "sqlite_store"
# How long one process waits for the others' transactions.
BUSY_MS = 60_000
# How a rotation is done: in a transaction of its own, or of the host's, which ends so.
ENDS = ["alone", "COMMIT", "COMMIT", "ROLLBACK"]


def build(folder):
    """The example's store as a library, which finds the functions that it needs in the one that is loaded already."""
    out = pathlib.Path(folder) / "sqlite_store.so"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC"]
    sources = ["-I", ROOT / "include", "-o", out, EXAMPLE / "sqlite_store.c"]
    subprocess.run(["gcc", *flags, *sources, PATH, "-lsqlite3"], check=True)
    return str(out)


def make_database(folder):
    """A database with the host's own table, which says what was rotated."""
    path = str(pathlib.Path(folder) / "catalog.db")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE rotated (name TEXT, rotation TEXT)")
        database.commit()
    return path


def host_rows(path, name, rotation):
    """How many such rotations the host has in its own table."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        query = "SELECT count(*) FROM rotated WHERE name = ? AND rotation = ?"
        return database.execute(query, (name, rotation)).fetchone()[0]


class SqliteHost:
    """A connection, and an engine whose records are in its database."""

    def __init__(self, config, database, example, worker=0):
        self.sqlite, self.example = ctypes.CDLL("libsqlite3.so.0"), ctypes.CDLL(example)
        self.sqlite.sqlite3_errmsg.restype = c_char_p
        self.choose = random.Random(worker)
        self.connection = c_void_p()
        assert self.sqlite.sqlite3_open(c_char_p(database.encode()), byref(self.connection)) == 0, database
        self.sqlite.sqlite3_busy_timeout(self.connection, c_int(BUSY_MS))
        pointer, error = c_void_p(), c_void_p()
        assert self.example.sqlite_store_open(self.connection, byref(pointer), byref(error)) == 0
        self.store = Store(pointer)
        self.engine = Engine.open(config, self.store)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.engine.__exit__()
        self.store.__exit__()
        self.sqlite.sqlite3_close(self.connection)

    def run(self, sql):
        status = self.sqlite.sqlite3_exec(self.connection, c_char_p(sql.encode()), None, None, None)
        assert status == 0, f"{sql}: {self.sqlite.sqlite3_errmsg(self.connection).decode()}"

    def change(self, index, rotation, rotate):
        """Rotates, mostly with a row of the host's in one transaction; gives how that ended."""
        end = self.choose.choice(ENDS)
        if end == "alone":
            return rotate()
        self.run("BEGIN IMMEDIATE")
        try:
            self.run(f"INSERT INTO rotated VALUES ('{index}', '{rotation}')")
            rotate()
        except BaseException:
            end = "ROLLBACK"
            raise
        finally:
            self.run(end)
            if end == "ROLLBACK":
                # What was rolled back must not stay in memory.
                self.engine.evict(index)
        return end
