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

    def credentials(self, endpoint=None):
        """A service account's file that object_store's own configuration takes without asking for a token."""
        account = {
            "private_key": "private_key",
            "private_key_id": "private_key_id",
            "client_email": "tests@localhost",
            "disable_oauth": True,
            "gcs_base_url": endpoint or self.url,
        }
        place = self.folder / f"account-{(endpoint or self.url).rpartition(':')[2]}.json"
        place.write_text(json.dumps(account))
        return place

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
