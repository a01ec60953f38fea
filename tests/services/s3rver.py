"""s3rver: an S3 that passes over conditional headers."""

import socket

from .aws import AwsServer
from .server import HOST, INSTALLED


class S3rver(AwsServer):
    """Every creator of the same object "wins": the library has to find that out."""

    name = "s3rver"
    services = ("s3",)
    access_key = "S3RVER"
    secret_key = "S3RVER"

    def program(self):
        return INSTALLED / "npm" / "node_modules" / "s3rver" / "bin" / "s3rver.js"

    def command(self):
        return ["node", self.program(), "-d", self.folder / "data", "-p", self.port, "-a", HOST, "--silent"]

    def start(self):
        super().start()
        (self.folder / "data").mkdir(exist_ok=True)

    def answers(self):
        """Its first page is for those who sign: that it listens is enough."""
        try:
            with socket.create_connection((HOST, self.port), 5):
                return True
        except OSError:
            return False
