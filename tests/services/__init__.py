"""The real servers that the tests talk to, over loopback; each is a context manager. `scripts/setup.sh` installs them."""

from .azurite import Azurite
from .gcs import Gcs
from .localstack import LocalStack
from .ministack import Ministack
from .moto import Moto
from .proxy import Proxy
from .s3rver import S3rver
from .server import ServiceError, started

SERVERS = {server.name: server for server in (Moto, LocalStack, Ministack, S3rver, Azurite, Gcs)}

__all__ = [
    "SERVERS",
    "Azurite",
    "Gcs",
    "LocalStack",
    "Ministack",
    "Moto",
    "Proxy",
    "S3rver",
    "ServiceError",
    "started",
]
