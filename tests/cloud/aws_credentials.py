"""The standard chain: each place that credentials and the region may come from, and what is said when there are none.

build/venv/bin/python -m tests.cloud.run aws_credentials
"""

import base64
import json
import sys

from tests.services import faults

from .aws import DECRYPT, ENCRYPT, create, engine, folder, key_id, new_key, opened, refused, slot, use
from .aws_roles import policy

SERVERS = ("moto", "ministack")
NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


def who(proxy):
    """The access keys that asked KMS."""
    return {line.scope.partition("/")[0] for line in proxy.requests() if line.target in (ENCRYPT, DECRYPT)}


def key_that_asks(place, server=None, **settings):
    """The access key by which a slot asks KMS."""
    server = server or place.moto
    proxy = place.proxy(server)
    create(engine(place, prod=slot(proxy, "aws-kms", new_key(server), **settings)), "customers")
    (key,) = who(proxy)
    return key


def written(place, name, text):
    path = folder(place) / name
    path.write_text(text)
    return str(path)


def profiles(place, text):
    """A file of shared credentials."""
    return {"AWS_SHARED_CREDENTIALS_FILE": written(place, "credentials", text)}


TWO = """
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = secret

[customer]
aws_access_key_id = AKCUSTOMER
aws_secret_access_key = secret
"""


def test_the_environment(place):
    use(place, place.moto, AWS_ACCESS_KEY_ID="AKENVIRONMENT", AWS_SECRET_ACCESS_KEY="secret")
    assert key_that_asks(place) == "AKENVIRONMENT"


def test_the_default_profile(place):
    use(place, place.moto, **NO_KEYS, **profiles(place, TWO))
    assert key_that_asks(place) == "AKDEFAULT"


def test_a_profile_that_the_environment_names(place):
    use(place, place.moto, **NO_KEYS, **profiles(place, TWO), AWS_PROFILE="customer")
    assert key_that_asks(place) == "AKCUSTOMER"


def test_a_slots_profile_wins_over_the_environments_keys(place):
    use(place, place.moto, **profiles(place, TWO), AWS_PROFILE="default")
    assert key_that_asks(place, profile="customer") == "AKCUSTOMER"
    assert key_that_asks(place) == place.moto.access_key


def test_a_profile_that_is_not_there(place):
    use(place, place.moto, **profiles(place, TWO))
    ours = engine(place, prod=slot(place.moto, "aws-kms", "alias/none", profile="nobody"))
    error = refused("ACCESS_DENIED", ours.create_index, "customers", "prod", words="profile `nobody` was not defined")
    assert not error.retryable


def test_a_process(place):
    answer = {"Version": 1, "AccessKeyId": "AKPROCESS", "SecretAccessKey": "secret"}
    program = written(place, "who.py", f"print('''{json.dumps(answer)}''')")
    config = written(place, "config", f"[default]\ncredential_process = {sys.executable} {program}\n")
    use(place, place.moto, **NO_KEYS, AWS_CONFIG_FILE=config)
    assert key_that_asks(place) == "AKPROCESS"


def test_a_process_that_fails(place):
    config = written(place, "config", "[default]\ncredential_process = /bin/false\n")
    use(place, place.moto, **NO_KEYS, AWS_CONFIG_FILE=config)
    ours = engine(place, prod=slot(place.moto, "aws-kms", "alias/none", max_retries=0))
    refused("KMS_UNAVAILABLE", ours.create_index, "customers", "prod", words=["credentials", "profile"])


def token(issuer):
    """A web identity's token; ministack reads its issuer and checks no signature."""
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, {"iss": f"https://{issuer}", "sub": "pod"}))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + ".none"


def web_role(place, issuer="cluster.example", **changed):
    """The environment of a pod with a role that trusts one issuer: a token in a file."""
    iam, name = place.ministack.client("iam"), place.name("pod")
    principal = {"Federated": "arn:aws:iam::000000000000:oidc-provider/cluster.example"}
    trust = policy(Principal=principal, Action="sts:AssumeRoleWithWebIdentity")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=policy(Action="kms:*", Resource="*"))
    return {
        "AWS_ROLE_ARN": arn,
        "AWS_WEB_IDENTITY_TOKEN_FILE": written(place, "token", token(issuer)),
        "AWS_ENDPOINT_URL_STS": place.ministack.url,
    } | changed


def test_a_web_identity(place):
    use(place, place.ministack, **NO_KEYS, **web_role(place))
    assert key_that_asks(place, place.ministack).startswith("ASIA")


def test_a_web_identity_that_is_refused(place):
    use(place, place.ministack, **NO_KEYS, **web_role(place, issuer="another.example"))
    ours = engine(place, prod=slot(place.ministack, "aws-kms", "alias/none"))
    words = ["AWS_WEB_IDENTITY_TOKEN_FILE", "sts:AssumeRoleWithWebIdentity"]
    refused("ACCESS_DENIED", ours.create_index, "customers", "prod", code="AccessDenied", words=words)


def test_a_token_file_that_is_not_there(place):
    use(place, place.ministack, **NO_KEYS, **web_role(place, AWS_WEB_IDENTITY_TOKEN_FILE="/nonexistent/token"))
    ours = engine(place, prod=slot(place.ministack, "aws-kms", "alias/none", max_retries=0))
    error = refused("KMS_UNAVAILABLE", ours.create_index, "customers", "prod", words="credentials")
    assert "/nonexistent/token" in error.message or "No such file" in error.message, error.message


def test_a_container(place):
    uri = place.ministack.url + "/v2/credentials/task"
    use(place, place.ministack, **NO_KEYS, AWS_CONTAINER_CREDENTIALS_FULL_URI=uri)
    assert key_that_asks(place).startswith("ASIA")


def metadata(server):
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url, "AWS_EC2_METADATA_DISABLED": "false"}


def test_an_instance(place):
    use(place, place.ministack, **NO_KEYS, **metadata(place.ministack))
    assert key_that_asks(place).startswith("ASIA")


def test_an_instances_credentials_are_not_asked_for_each_time(place):
    imds, records = place.proxy(place.ministack), folder(place)
    use(place, place.ministack, **NO_KEYS, **metadata(imds))
    ours = engine(place, records, prod=slot(place.moto, "aws-kms", new_key(place.moto)))
    create(ours, "customers")
    imds.clear()
    for _ in range(3):
        ours.evict()
        opened(ours, "customers")
    assert imds.count() == 0


def test_an_instance_without_a_role_or_away(place):
    imds = place.proxy(place.ministack)
    use(place, place.ministack, **NO_KEYS, **metadata(imds))
    imds.on(faults.answer(404, b"none"), times=None, path="/latest/meta-data/iam/")
    ours = engine(place, prod=slot(place.moto, "aws-kms", "alias/none", max_retries=0))
    refused("ACCESS_DENIED", ours.create_index, "customers", "prod", words="no AWS credentials were found")


def test_no_credentials_at_all(place):
    use(place, place.moto, **NO_KEYS)
    for settings in ({}, {"role_arn": "arn:aws:iam::123456789012:role/none"}):
        ours = engine(place, prod=slot(place.moto, "aws-kms", "alias/none", **settings))
        words = ["no AWS credentials were found", "AWS_ACCESS_KEY_ID", "profile", "role"]
        error = refused("ACCESS_DENIED", ours.create_index, "customers", "prod", words=words)
        assert not error.retryable


def test_half_of_the_credentials(place):
    use(place, place.moto, AWS_SECRET_ACCESS_KEY=None)
    ours = engine(place, prod=slot(place.moto, "aws-kms", "alias/none"))
    refused("ACCESS_DENIED", ours.create_index, "customers", "prod", words="no AWS credentials were found")


def test_a_session_token_goes_along(place):
    use(place, place.moto, AWS_SESSION_TOKEN="a-session-token")
    proxy = place.proxy(place.moto)
    given = proxy.on(faults.rewrite(lambda body: body), times=None, headers={"X-Amz-Security-Token": "a-session-token"})
    create(engine(place, prod=slot(proxy, "aws-kms", new_key(place.moto))), "customers")
    assert given.hits == 2


def region_that_asks(place, named=None, **settings):
    proxy = place.proxy(place.moto)
    key = place.moto.client("kms", region="eu-west-1").create_key()["KeyMetadata"]["Arn"]
    ours = engine(place, prod=slot(proxy, "aws-kms", named or key_id(key), **settings))
    create(ours, "customers")
    (region,) = {line.scope.split("/")[2] for line in proxy.requests()}
    return region


def test_the_region(place):
    use(place, place.moto, AWS_REGION="eu-west-1")
    assert region_that_asks(place, region="") == "eu-west-1"
    use(place, place.moto, AWS_REGION="us-west-2")
    assert region_that_asks(place, region="eu-west-1") == "eu-west-1"
    key = place.moto.client("kms", region="eu-west-1").create_key()["KeyMetadata"]["Arn"]
    assert region_that_asks(place, named=key, region="") == "eu-west-1"
    config = written(
        place, "config", "[profile there]\nregion = eu-west-1\n" + "aws_access_key_id = a\naws_secret_access_key = b\n"
    )
    use(place, place.moto, AWS_REGION=None, AWS_CONFIG_FILE=config)
    assert region_that_asks(place, region="", profile="there") == "eu-west-1"


def test_the_region_of_the_machine(place):
    use(place, place.moto, AWS_REGION=None, **metadata(place.ministack))
    records = folder(place)
    ours = engine(place, records, prod=slot(place.moto, "aws-kms", key_id(new_key(place.moto)), region=""))
    create(ours, "customers")


def test_no_region_at_all(place):
    use(place, place.moto, AWS_REGION=None)
    ours = engine(place, prod=slot(place.moto, "aws-kms", "alias/none", region=""))
    error = refused("CONFIG", ours.create_index, "customers", "prod", words=["region", "AWS_REGION"])
    assert not error.retryable


def test_a_wrong_region(place):
    use(place, place.moto)
    key = key_id(new_key(place.moto))
    ours = engine(place, prod=slot(place.moto, "aws-kms", key, region="eu-central-1"))
    refused("KEY_NOT_FOUND", ours.create_index, "customers", "prod", code="NotFoundException", words="region")
