"""azurite: Azure Blob Storage."""

import signal
import urllib.error
import urllib.request

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient

from .server import HOST, INSTALLED, Server


class Azurite(Server):
    """In memory, with the well-known account of emulators."""

    name = "azurite"
    account = "devstoreaccount1"
    # Microsoft's documentation prints it: no secret.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    stop_signal = signal.SIGKILL  # it takes its time with any other

    def program(self):
        return INSTALLED / "npm" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"

    def command(self):
        flags = ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
        return ["node", self.program(), "--blobHost", HOST, "--blobPort", self.port, *flags]

    def answers(self):
        """Any answer will do: it has no page for those who do not sign."""
        try:
            urllib.request.urlopen(self.url, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return False
        return True

    def client(self, endpoint=None):
        """Microsoft's client of this server, or of the proxy before it; without retries."""
        address = f"{endpoint or self.url}/{self.account}"
        return BlobServiceClient(address, {"account_name": self.account, "account_key": self.key}, retry_total=0)

    def create_container(self, name):
        try:
            self.client().create_container(name)
        except ResourceExistsError:
            pass

    def variables(self):
        """The environment in which the library finds these credentials."""
        return {"AZURE_STORAGE_ACCOUNT_NAME": self.account, "AZURE_STORAGE_ACCOUNT_KEY": self.key}

    def store_url(self, container, prefix="", endpoint=None):
        """The library's URL of a container."""
        address = f"{endpoint or self.url}/{self.account}"
        return f"az://{container}/{prefix}?account={self.account}&endpoint={address}&allow_http=true"

    def sample(self):
        """Makes what a first try needs; gives lines of a configuration for it."""
        self.create_container("kms")
        return [
            "storage:",
            "  url: az://kms/records",
            f"  account: {self.account}",
            f"  endpoint: {self.url}/{self.account}",
            "  allow_http: true",
        ]
