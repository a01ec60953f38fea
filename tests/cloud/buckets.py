"""A fresh bucket on a server, seen by the cloud's own client: what the library stored, and what others put beside it."""

import contextlib
import json
import os
import urllib.error
import urllib.parse
import urllib.request
import uuid

from azure.core.exceptions import ResourceNotFoundError
from botocore.exceptions import ClientError

from tests.python.cyborg_kms import Store

# The environment in which no other test's credentials are found.
NOBODY = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
OURS = ("AWS_", "AZURE_", "GOOGLE_")


@contextlib.contextmanager
def environment(variables):
    """With these variables, and none of the clouds' besides."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]
    os.environ.update(NOBODY | variables)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


class Bucket:
    """A bucket of its own on a running server."""

    def __init__(self, server):
        self.server = server
        self.name = f"b{uuid.uuid4().hex[:16]}"
        self.make()

    def url(self, prefix="db", endpoint=None, **query):
        """The library's URL of it."""
        more = "".join(f"&{key}={urllib.parse.quote(str(value))}" for key, value in query.items())
        return self.server.store_url(self.name, prefix, endpoint) + more

    def open(self, prefix="db", endpoint=None, **query):
        return Store.open(self.url(prefix, endpoint, **query))


class S3Bucket(Bucket):
    """On whatever speaks S3."""

    def make(self):
        self.client = self.server.client("s3")
        self.client.create_bucket(Bucket=self.name)

    def put(self, key, data):
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def get(self, key):
        try:
            return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise

    def keys(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def keep_versions(self):
        """From now on every write stays to be seen."""
        self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def versions(self, key):
        """All that was ever written there, oldest first."""
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=key)
        ids = [entry["VersionId"] for page in pages for entry in page.get("Versions", []) if entry["Key"] == key]
        get = self.client.get_object
        return [get(Bucket=self.name, Key=key, VersionId=version)["Body"].read() for version in reversed(ids)]


class GcsBucket(Bucket):
    """On fake-gcs-server, by Google's JSON API."""

    def make(self):
        self.server.create_bucket(self.name)

    def ask(self, path, data=None):
        request = urllib.request.Request(f"{self.server.url}{path}", data=data)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def put(self, key, data):
        name = urllib.parse.quote(key, safe="")
        self.ask(f"/upload/storage/v1/b/{self.name}/o?uploadType=media&name={name}", data)

    def get(self, key):
        try:
            return self.ask(f"/storage/v1/b/{self.name}/o/{urllib.parse.quote(key, safe='')}?alt=media")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def keys(self):
        found, token = [], ""
        while True:
            page = json.loads(self.ask(f"/storage/v1/b/{self.name}/o?pageToken={urllib.parse.quote(token)}"))
            found += [entry["name"] for entry in page.get("items", [])]
            token = page.get("nextPageToken", "")
            if not token:
                return sorted(found)


class AzureBucket(Bucket):
    """A container on azurite."""

    def make(self):
        self.server.create_container(self.name)
        self.container = self.server.client().get_container_client(self.name)

    def put(self, key, data):
        self.container.upload_blob(key, data, overwrite=True)

    def get(self, key):
        try:
            return self.container.download_blob(key).readall()
        except ResourceNotFoundError:
            return None

    def keys(self):
        return sorted(self.container.list_blob_names())


BUCKETS = {"azurite": AzureBucket, "gcs": GcsBucket}


def bucket_on(server):
    """A fresh bucket on a server of any kind."""
    return BUCKETS.get(server.name, S3Bucket)(server)
