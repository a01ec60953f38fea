"""docs/providers/aws.md: each configuration is read, each policy lets through what it should and nothing else.

build/venv/bin/python -m tests.cloud.run aws_docs
"""

import json
import os
import re

from tests.python.cyborg_kms import Engine
from tests.services.server import ROOT

from .aws import create, engine, folder, new_key, refused, slot, use

SERVERS = ("ministack",)
PAGE = (ROOT / "docs" / "providers" / "aws.md").read_text()


def blocks(kind):
    found = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"there is no {kind} in the page"
    return found


def policies():
    """Those that are whole, in the page's order: aws-kms, aws, trust, assume."""
    return [json.loads(text) for text in blocks("json") if "Version" in text]


def test_each_configuration_is_read(place):
    for text in blocks("yaml"):
        records = folder(place)
        text = text.replace("/var/lib/db/keys", str(records)).replace("/etc/ssl/corporate-roots.pem", "roots.pem")
        with Engine.open(text):
            pass


def test_each_policy_is_json(place):
    assert len(policies()) == 4
    for text in blocks("json"):
        statement = json.loads(text)
        assert "Effect" in statement or "Statement" in statement


def database(place, policy):
    """For the rest of the test the database's role may do this."""
    iam, name = place.ministack.client("iam"), place.name("database")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="may", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    use(
        place,
        place.ministack,
        AWS_ACCESS_KEY_ID=key["AccessKeyId"],
        AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"],
        AWS_ENDPOINT_URL_STS=place.ministack.url,
    )
    return f"arn:aws:iam::000000000000:user/{name}"


def with_key(policy, key):
    """The policy of aws-kms for this test's key, without its condition: no server of the tests knows KMS's own."""
    (statement,) = policy["Statement"]
    policy = policy | {"Statement": [{name: value for name, value in statement.items() if name != "Condition"}]}
    return re.sub(r"arn:aws:kms:us-east-1:111122223333:key/1234[0-9a-f-]*", key, json.dumps(policy))


def test_the_policy_of_aws_kms(place):
    key, other = new_key(place.ministack), new_key(place.ministack)
    database(place, with_key(policies()[0], key))
    ours = engine(place, prod=slot(place.ministack, "aws-kms", key), other=slot(place.ministack, "aws-kms", other))
    create(ours, "customers-1")
    ours.check("prod")
    refused("ACCESS_DENIED", ours.create_index, "a", "other", code="AccessDeniedException", words="kms:Encrypt")


def test_the_policy_of_aws(place):
    secrets = place.ministack.client("secretsmanager")
    for name in ("db/wrap-key", "db/other-key"):
        secrets.create_secret(Name=name, SecretBinary=os.urandom(32))
        place.cleanup.callback(secrets.delete_secret, SecretId=name, ForceDeleteWithoutRecovery=True)
    database(place, json.dumps(policies()[1]).replace("111122223333", "000000000000"))
    ours = engine(
        place, prod=slot(place.ministack, "aws", "db/wrap-key"), other=slot(place.ministack, "aws", "db/other-key")
    )
    create(ours, "customers")
    refused("ACCESS_DENIED", ours.create_index, "other", "other", code="AccessDeniedException")


def test_the_policies_of_a_customer(place):
    key, iam, name = new_key(place.ministack), place.ministack.client("iam"), place.name("database-keys")
    keys, _, trust, assume = policies()
    role = f"arn:aws:iam::000000000000:role/{name}"
    us = database(place, json.dumps(assume).replace("arn:aws:iam::444455556666:role/database-keys", role))
    iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps(trust).replace("arn:aws:iam::111122223333:role/database", us),
    )
    iam.put_role_policy(RoleName=name, PolicyName="keys", PolicyDocument=with_key(keys, key))
    prod = slot(place.ministack, "aws-kms", key, role_arn=role, external_id="acme-7f3a")
    create(engine(place, prod=prod), "customers-1")
    wrong = engine(place, prod=prod | {"external_id": "acme-0000"})
    refused("ACCESS_DENIED", wrong.create_index, "customers-2", "prod", code="AccessDenied", words="trust policy")
