"""ministack: AssumeRole with the external id really checked, role policies, signatures; S3 with conditional writes."""

from .aws import AwsServer
from .server import HOST, INSTALLED


class Ministack(AwsServer):
    """Its KMS is a plain XOR that gives a changed key back for a changed blob, with success: the hostile KMS."""

    name = "ministack"
    ready_path = "/_ministack/health"
    services = ("kms", "secretsmanager", "s3")

    def program(self):
        return INSTALLED / "ministack" / "bin" / "ministack"

    def command(self):
        return [self.program()]

    def environment(self):
        # Without BIND_HOST it listens on all interfaces.
        return {"AUTH": "true", "BIND_HOST": HOST, "GATEWAY_PORT": str(self.port)}

    def reset(self):
        """Forgets everything."""
        self.post("/_ministack/reset")
