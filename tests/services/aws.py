"""What the servers that speak AWS's protocols share: credentials, clients, the environment of a program."""

import boto3
import botocore.config

from .server import Server

REGION = "us-east-1"


class AwsServer(Server):
    """A server with an AWS endpoint."""

    region = REGION
    access_key = "test"
    secret_key = "test"
    services = ()

    def client(
        self, service, endpoint=None, access_key=None, secret_key=None, session_token=None, region=None, **config
    ):
        """A boto3 client of this server, or of the proxy before it; without retries, so that tests see each answer."""
        settings = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}, "read_timeout": 30}
        return boto3.client(
            service,
            endpoint_url=endpoint or self.url,
            region_name=region or self.region,
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            aws_session_token=session_token,
            config=botocore.config.Config(**settings | config),
        )

    def variables(self):
        """The environment in which the library finds these credentials."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def store_url(self, bucket, prefix="", endpoint=None):
        """The library's URL of a bucket."""
        return f"s3://{bucket}/{prefix}?region={self.region}&endpoint={endpoint or self.url}&allow_http=true"

    def sample(self):
        """Makes what a first try needs; gives lines of a configuration for it."""
        lines = []
        if "s3" in self.services:
            self.client("s3").create_bucket(Bucket="kms")
            lines += [
                "storage:",
                "  url: s3://kms/records",
                f"  region: {self.region}",
                f"  endpoint: {self.url}",
                "  allow_http: true",
            ]
        slots = []
        if "kms" in self.services:
            key = self.client("kms").create_key()["KeyMetadata"]["KeyId"]
            slots.append(f"    prod: {{provider: aws-kms, key_id: {key}, {self.place()}}}")
        if "secretsmanager" in self.services:
            secret = self.client("secretsmanager").create_secret(Name="wrap-key", SecretBinary=bytes(range(32)))
            slots.append(f"    secret: {{provider: aws, key_id: {secret['ARN']}, {self.place()}}}")
        return lines + (["kms:", "  registry:", *slots] if slots else [])

    def place(self):
        return f"region: {self.region}, endpoint: {self.url}"
