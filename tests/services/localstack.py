"""LocalStack: the states of KMS keys, S3 with conditional writes. Start another to reset."""

from .aws import AwsServer
from .server import HOST, INSTALLED


class LocalStack(AwsServer):
    """Refuses disabled and pending keys, has replicas of multi-Region keys. No STS, no Secrets Manager."""

    name = "localstack"
    ready_path = "/_localstack/health"
    services = ("kms", "s3")

    def program(self):
        return INSTALLED / "localstack" / "bin" / "python"

    def command(self):
        return [self.program(), "-m", "localstack.runtime.main"]

    def environment(self):
        return {
            "GATEWAY_LISTEN": f"{HOST}:{self.port}",
            # By its default server, twisted, it listens on all interfaces whatever GATEWAY_LISTEN says.
            "GATEWAY_SERVER": "hypercorn",
            "DNS_ADDRESS": "0",
            "SERVICES": "kms,s3",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "FILESYSTEM_ROOT": str(self.folder / "data"),
        }
