"""fake-gcs-server behind our front (`gcs_front/`): Google Cloud Storage, as object_store speaks with it."""

import json
import urllib.request

from .server import HOST, INSTALLED, Server


class Gcs(Server):
    """In memory; no credentials are looked at."""

    name = "gcs"
    ready_path = "/_internal/healthcheck"

    def program(self):
        return INSTALLED / "gcs" / "gcs_front"

    def command(self):
        return [self.program(), "-addr", f"{HOST}:{self.port}"]

    def create_bucket(self, name):
        body = json.dumps({"name": name}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/storage/v1/b?project=tests", data=body, headers=headers)
        urllib.request.urlopen(request, timeout=30).close()

    def variables(self):
        """None: without TLS the library sends no token."""
        return {}

    def store_url(self, bucket, prefix="", endpoint=None):
        """The library's URL of a bucket."""
        return f"gs://{bucket}/{prefix}?endpoint={endpoint or self.url}&allow_http=true"

    def sample(self):
        """Makes what a first try needs; gives lines of a configuration for it."""
        self.create_bucket("kms")
        return ["storage:", "  url: gs://kms/records", f"  endpoint: {self.url}", "  allow_http: true"]
