"""What `make demo-aws` shows: two machines, their records in S3, the key in KMS, and what happens when it is disabled.

build/venv/bin/python -m examples.aws.demo PAGESTORE FOLDER
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time

from tests.services import LocalStack, ServiceError

LIFETIME = 5  # seconds
# More than that and it did not stop because of its lifetime, on a machine however busy.
PATIENCE = 30

CONFIGURATION = """\
storage: {{url: "s3://acme-db/prod", region: us-east-1, endpoint: "{url}", allow_http: true}}
kms:
  registry:
    prod: {{provider: aws-kms, key_id: "{key}", endpoint: "{url}"}}
cache: {{ttl: {lifetime}s}}
"""


def say(text):
    print(text, flush=True)


class Machine:
    """A folder, and processes that have nothing else in common with those of another machine."""

    def __init__(self, pagestore, folder, server, key):
        self.pagestore, self.folder = pagestore, folder
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder)} | server.variables()
        folder.mkdir(parents=True)
        text = CONFIGURATION.format(url=server.url, key=key, lifetime=LIFETIME)
        (folder / "db.yaml").write_text(text)

    def start(self, verb):
        command = [self.pagestore, verb, "db.yaml", "accounts.pages"]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, verb, fails=False):
        """Runs to the end; gives what it said."""
        process = self.start(verb)
        said = process.communicate(timeout=120)[0]
        print(said, end="", flush=True)
        if (process.returncode != 0) != fails:
            raise SystemExit(f"FAILED: pagestore {verb} ended with {process.returncode}")
        return said


def show_records(server):
    for item in server.client("s3").list_objects_v2(Bucket="acme-db")["Contents"]:
        say(f"     {item['Size']:8} bytes  s3://acme-db/{item['Key']}")


def watched(machine, disable):
    """Disables the key while a machine reads pages; gives the seconds that it went on, and what it said at its end."""
    with machine.start("watch") as process:
        say(process.stdout.readline().rstrip("\n"))
        begun = time.monotonic()
        disable()
        said = process.communicate(timeout=PATIENCE + LIFETIME)[0]
    seconds = time.monotonic() - begun
    print(said, end="", flush=True)
    if process.returncode != 0 or "KEY_DISABLED" not in said or seconds > PATIENCE:
        raise SystemExit(f"FAILED: the index did not stop because of the key (after {seconds:.1f} s)")
    return seconds


def show(pagestore, folder, server):
    kms = server.client("kms")
    key = kms.create_key(Description="wraps the KEKs of the database's indexes")["KeyMetadata"]["Arn"]
    server.client("s3").create_bucket(Bucket="acme-db")
    first, second = (Machine(pagestore, folder / name, server, key) for name in ("machine-a", "machine-b"))
    say(f"3. A key in KMS, a bucket in S3, and the same configuration on both machines, {first.folder}/db.yaml:")
    print(
        "".join(
            f"     {line}\n" for line in CONFIGURATION.format(url=server.url, key=key, lifetime=LIFETIME).splitlines()
        ),
        end="",
    )

    say("4. Machine A creates the index and writes its pages; the KEK is wrapped by KMS, its record is in S3")
    first.run("write")
    show_records(server)
    shutil.copy(first.folder / "accounts.pages", second.folder)

    say("5. Machine B has a copy of the page file alone, the rest from S3 and KMS; while it reads, the key is disabled")
    seconds = watched(second, lambda: kms.disable_key(KeyId=key))
    say(f"     Stopped {seconds:.1f} s after the key was disabled; the lifetime of a KEK is {LIFETIME} s.")

    say("6. A process that starts now does not open the index at all")
    if "KEY_DISABLED" not in first.run("read", fails=True):
        raise SystemExit("FAILED: it was not refused because of the key")

    say("7. The key is enabled again")
    kms.enable_key(KeyId=key)
    second.run("read")
    say(f"DEMO PASSED: two machines shared an index; it stopped {seconds:.1f} s after its key was disabled.")


def main(pagestore, folder):
    try:
        with LocalStack() as server:
            show(str(pathlib.Path(pagestore).resolve()), pathlib.Path(folder).resolve(), server)
    except ServiceError as error:
        raise SystemExit(f"FAILED: {error}") from error


if __name__ == "__main__":
    main(*sys.argv[1:])
