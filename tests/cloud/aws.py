"""What the tests of AWS's providers share: engines over slots, the environment, refusals."""

import contextlib
import json
import os
import pathlib
import tempfile
import time

from tests.python.cyborg_kms import Engine, KmsError, Store

CONTEXT = "cyborg_kms:index"
DECRYPT, ENCRYPT = "TrentService.Decrypt", "TrentService.Encrypt"
GET_SECRET = "secretsmanager.GetSecretValue"
# Far more than a lifetime of one second needs, on a machine that is busy.
PATIENCE = 30
# Nothing of this machine's: no profile, no role, no metadata service.
NOBODY = {
    "AWS_CONFIG_FILE": "/nonexistent/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/credentials",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextlib.contextmanager
def environment(**variables):
    """Of AWS's variables these alone, and nothing that this machine has."""
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    _replace_aws_variables(NOBODY | variables)
    try:
        yield
    finally:
        _replace_aws_variables(before)


def _replace_aws_variables(variables):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(variables)


def use(place, server, **variables):
    """For the rest of the test: the credentials of a server, changed by `variables` (None: without that one)."""
    wanted = server.variables() | variables if server else variables
    given = {name: value for name, value in wanted.items() if value is not None}
    place.cleanup.enter_context(environment(**given))


def folder(place):
    """An empty folder, for this test."""
    return pathlib.Path(place.cleanup.enter_context(tempfile.TemporaryDirectory()))


def slot(server, provider, key_id, **settings):
    """A slot that asks a server, or the proxy before it."""
    return {"provider": provider, "key_id": key_id, "region": "us-east-1", "endpoint": server.url} | settings


def configuration(records="memory://", ttl="60s", ahead=0.8, stale="0s", **slots):
    """The text of a configuration; JSON is YAML too."""
    cache = {"ttl": ttl, "refresh_ahead": ahead, "stale_if_unavailable": stale}
    return json.dumps({"storage": {"url": str(records)}, "cache": cache, "kms": {"registry": slots}})


def engine(place, records="memory://", ttl="60s", ahead=0.8, stale="0s", **slots):
    """An engine with these slots, for this test."""
    return place.cleanup.enter_context(Engine.open(configuration(records, ttl, ahead, stale, **slots)))


def store(place, records):
    return place.cleanup.enter_context(Store.open(records))


def create(engine, name, kms_name="prod"):
    """Creates an index; gives its KEK and a sealed page."""
    with engine.create_index(name, kms_name) as index:
        return index.kek(), index.encrypt(b"a page", b"1")


def opened(engine, name):
    """The KEK of an index that is opened."""
    with engine.open_index(name) as index:
        return index.kek()


def reads(engine, name, sealed):
    """Opens a page that `create` sealed."""
    with engine.open_index(name) as index:
        assert index.decrypt(sealed, b"1") == b"a page"


def refused(status, call, *arguments, code=None, words=()):
    """The error of a call, which has this status, AWS's code, and these words in its message."""
    try:
        got = call(*arguments)
    except KmsError as error:
        found = error.status_name, error.provider_code if code is not None else None
        assert found == (status, code), f"{found} and not {(status, code)}: {error.message}"
        missing = [word for word in ([words] if isinstance(words, str) else words) if word not in error.message]
        assert not missing, f"{missing} not in: {error.message}"
        return error
    raise AssertionError(f"{got} and not {status}")


def until(expected, call):
    """Repeats a call until it gives `expected`: an error's status and code, or None."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            call()
            found = None
        except KmsError as error:
            found = error.status_name, error.provider_code
        if found == expected:
            return
        assert time.monotonic() < end, f"after {PATIENCE} s still {found}, not {expected}"
        time.sleep(0.02)


def new_key(server, **parameters):
    """The ARN of a new KMS key."""
    # boto3 would look for the profile that a test names, too.
    with environment():
        return server.client("kms").create_key(**parameters)["KeyMetadata"]["Arn"]


def key_id(arn):
    return arn.rpartition("/")[2]
