"""ministack: AssumeRole with the external id really checked, role policies, signatures; S3 with conditional writes."""

import json

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

    def user(self, name):
        """A user who may do everything and whose signatures are checked, which root's are not; as `client` takes it."""
        statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}

    def reset(self):
        """Forgets everything."""
        self.post("/_ministack/reset")
