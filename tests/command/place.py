"""A folder with a configuration, and the built command in it. Whatever it prints is looked through for keys."""

import base64
import json
import os
import pathlib
import subprocess
import tempfile
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = pathlib.Path(
    os.environ.get("CYBORG_KMS_COMMAND")
    or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "cyborg-kms"
).absolute()
PATIENCE = 60  # seconds; for what must not hang

CONFIG = """\
storage: {url: keys, request_timeout: 10m}
kms:
  registry:
    prod: {provider: local, key_id: prod.key, create: true}
    dr: {provider: local, key_id: dr.key, create: true}
    own: {provider: none}
audit: {path: audit.log, key_file: audit.key}
"""


def told(text, keys):
    """The first key of which six bytes are in the text, in any way that someone may write them."""
    for key in keys:
        for at in range(0, len(key) - 5, 6):
            part = key[at : at + 6]
            forms = [part.hex(), part.hex().upper(), str(list(part)).strip("[]"), base64.b64encode(part).decode()]
            if part.isascii() and part.decode().isprintable():
                forms.append(part.decode())
            if any(form in text for form in forms):
                return key
    return None


@dataclass
class Result:
    """How a run ended."""

    code: int
    out: str
    err: str

    def json(self):
        """Standard output as the one line of JSON that it must be."""
        assert self.out.count("\n") == 1 and self.out.endswith("\n"), self.out
        return json.loads(self.out)

    def error(self):
        """The error that `--json` gives on standard error, behind log lines at most."""
        lines = [json.loads(line) for line in self.err.splitlines()]
        assert all("log" in line for line in lines[:-1]), self.err
        error = lines[-1]["error"]
        assert error["exit_code"] == self.code, self.err
        assert {type(error[name]) for name in ("retryable", "outcome_unknown")} == {bool}, error
        return error


class Place:
    """Removed at the end, when every key file in it and every key that was `made` has been looked for."""

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        self.printed, self.keys, self.variables = [], [], {}
        self.write("cyborg_kms.yaml", CONFIG)
        self.key("audit.key")
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.look_for_keys()
        finally:
            self.temporary.cleanup()

    def look_for_keys(self):
        files = [self.folder / name for name in ("prod.key", "dr.key")]
        made = [base64.b64decode(file.read_bytes()) for file in files if file.exists() and file.stat().st_size == 45]
        for text in self.printed:
            assert told(text, self.keys + made) is None, f"a key was printed: {text}"

    def write(self, name, content, mode=0o644):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def key(self, name, form=lambda key: base64.b64encode(key) + b"\n"):
        """A new key of 32 bytes, in a file."""
        self.keys.append(os.urandom(32))
        self.write(name, form(self.keys[-1]), 0o600)
        return self.keys[-1]

    def environment(self, **more):
        """The caller's, without what would lead the command elsewhere."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CYBORG_", "AWS_"))}
        return kept | {"PATH": f"{COMMAND.parent}:{kept['PATH']}"} | self.variables | more

    def start(self, *arguments, before=(), env=None, **options):
        """The command, under way; `before`: what runs it."""
        settings = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | {"cwd": self.folder}
        return subprocess.Popen(
            [*before, COMMAND, *arguments], env=self.environment(**env or {}), **settings | options
        )

    def end(self, process, stdin=b""):
        """What became of it."""
        try:
            out, err = process.communicate(stdin, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        result = Result(process.returncode, (out or b"").decode(), (err or b"").decode())
        self.printed += [result.out, result.err]
        assert "panicked" not in result.err, result.err
        return result

    def run(self, *arguments, stdin=b"", **options):
        return self.end(self.start(*arguments, **options), stdin)

    def ok(self, *arguments, **options):
        """A run that must go well and warn of nothing; gives what it printed."""
        result = self.run(*arguments, **options)
        assert (result.code, result.err) == (0, ""), (arguments, result)
        return result.out

    def ok_json(self, *arguments, **options):
        result = self.run(*arguments, "--json", **options)
        assert (result.code, result.err) == (0, ""), (arguments, result)
        return result.json()

    def refused(self, code, status, *arguments, words=(), **options):
        """Both ways: in a line for a person, and as JSON. Nothing is on standard output."""
        text = self.run(*arguments, **options)
        assert (text.code, text.out) == (code, ""), (arguments, text)
        line = text.err.splitlines()[-1]
        assert line.startswith(f"cyborg-kms: {status}: "), text
        result = self.run(*arguments, "--json", **options)
        assert (result.code, result.out) == (code, ""), (arguments, result)
        error = result.error()
        assert error["status"] == status, error
        for word in words:
            assert word in line and word in error["message"], (word, line, error)
        return error

    def lines(self):
        """The audit log's."""
        return [json.loads(line) for line in (self.folder / "audit.log").read_text().splitlines()]

    def record(self):
        """The file of the only record."""
        (record,) = self.folder.glob("keys/**/*.kms.cat")
        return record
