"""moto: Secrets Manager, KMS with real AES-GCM, STS, calls that IAM checks."""

from .aws import AwsServer
from .server import HOST, INSTALLED


class Moto(AwsServer):
    """Disabled and pending keys still decrypt, multi-Region keys do not, and a missing ExternalId is accepted."""

    name = "moto"
    ready_path = "/moto-api/data.json"
    services = ("kms", "secretsmanager", "s3")

    def program(self):
        return INSTALLED / "moto" / "bin" / "moto_server"

    def command(self):
        return [self.program(), "-H", HOST, "-p", self.port]

    def reset(self):
        """Forgets everything, and checks nobody again."""
        self.post("/moto-api/reset")

    def check_iam(self, after=0):
        """From the request after the next `after` ones on, IAM's policies decide. `reset` does not end it; `trust` does."""
        self.post("/moto-api/reset-auth", str(after).encode())

    def trust(self):
        """Checks nobody any more."""
        self.post("/moto-api/reset-auth", b"inf")
