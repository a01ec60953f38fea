"""A customer's role (BYOK): who may assume it, one session for each slot, renewed in time, and without STS for a while.

build/venv/bin/python -m tests.cloud.run aws_roles
"""

import datetime
import json
import re

from tests.services import faults

from .aws import create, engine, folder, new_key, opened, reads, refused, slot, use
from .clients import race

SERVERS = ("moto", "ministack")
STS = "/sts/"
ID = "customer-4711"


def policy(effect="Allow", **statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": effect, **statement}]})


def new_role(place, server, external_id=ID, actions=("kms:Encrypt", "kms:Decrypt", "secretsmanager:GetSecretValue")):
    """A customer's role, which asks for an external id; gives its ARN."""
    iam, name = server.client("iam"), place.name("role")
    account = server.client("sts").get_caller_identity()["Account"]
    condition = {"StringEquals": {"sts:ExternalId": external_id}}
    trust = policy(Principal={"AWS": f"arn:aws:iam::{account}:root"}, Action="sts:AssumeRole", Condition=condition)
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=policy(Action=list(actions), Resource="*"))
    return arn


def user(place, server, **variables):
    """The environment of a user whose requests ministack checks."""
    who = server.user(place.name("user"))
    return {"AWS_ACCESS_KEY_ID": who["access_key"], "AWS_SECRET_ACCESS_KEY": who["secret_key"]} | variables


def customers(place, sts=None, provider="aws-kms", named=None, **settings):
    """A slot whose key is in a customer's account, reached by a role there."""
    server = place.ministack
    use(place, server, **user(place, server, AWS_ENDPOINT_URL_STS=(sts or server).url))
    role = new_role(place, server)
    return slot(server, provider, named or new_key(server), role_arn=role, external_id=ID, **settings)


def test_a_role_with_its_external_id(place):
    records, prod = folder(place), customers(place)
    _, sealed = create(engine(place, records, prod=prod), "customers")
    reads(engine(place, records, prod=prod), "customers", sealed)


def test_a_secret_by_a_role(place):
    name = place.name("secret")
    place.ministack.client("secretsmanager").create_secret(Name=name, SecretBinary=bytes(range(32)))
    create(engine(place, prod=customers(place, provider="aws", named=name)), "customers")


def test_without_the_external_id_the_role_is_refused(place):
    prod = customers(place)
    for wrong in ({"external_id": "another"}, {"external_id": None}):
        ours = engine(place, prod=prod | wrong)
        words = ["trust policy", "external_id", "sts:AssumeRole", prod["role_arn"]]
        error = refused("ACCESS_DENIED", ours.create_index, "customers", "prod", code="AccessDenied", words=words)
        assert error.request_id and not error.retryable, vars(error)


def test_a_role_that_is_not_there(place):
    prod = customers(place)
    lost = prod | {"role_arn": prod["role_arn"] + "-none"}
    refused(
        "ACCESS_DENIED", engine(place, prod=lost).create_index, "a", "prod", code="AccessDenied", words="trust policy"
    )


def test_an_external_id_needs_a_role(place):
    prod = slot(place.ministack, "aws-kms", "alias/none", external_id=ID)
    refused("CONFIG", lambda: engine(place, prod=prod), words=["external_id", "role_arn"])


def test_the_role_does_it_and_not_the_user(place):
    """The user may do everything; the role must not encrypt."""
    prod = customers(place)
    arn = new_role(place, place.ministack, actions=["kms:Decrypt"])
    words = ["kms:Encrypt", "IAM policy", "'s) own policy"]
    code = "AccessDeniedException"
    ours = engine(place, prod=prod | {"role_arn": arn})
    refused("ACCESS_DENIED", ours.create_index, "customers", "prod", code=code, words=words)


def test_one_session_for_each_slot(place):
    proxy, records = place.proxy(place.ministack), folder(place)
    first = customers(place, sts=proxy)
    second = first | {"role_arn": new_role(place, place.ministack)}
    ours = engine(place, records, first=first, second=second)
    race(16, lambda i: create(ours, f"index {i}", "first"))
    assert proxy.count(scope=STS) == 1, "many callers asked for one role"
    for i in range(16):
        ours.evict()
        opened(ours, f"index {i}")
    assert proxy.count(scope=STS) == 1
    create(ours, "other", "second")
    assert proxy.count(scope=STS) == 2


def asked(proxy, words):
    """A rule that counts the requests to STS which have these words."""
    return proxy.on(faults.rewrite(lambda body: body), times=None, scope=STS, body=words.encode())


def test_the_sessions_name(place):
    proxy = place.proxy(place.ministack)
    prod = customers(place, sts=proxy)
    named = asked(proxy, "RoleSessionName=db-7")
    create(engine(place, prod=prod | {"role_session_name": "db-7"}), "customers")
    assert named.hits == 1
    default = asked(proxy, "RoleSessionName=cyborg-kms-prod")
    create(engine(place, prod=prod), "customers")
    assert default.hits == 1


def test_the_external_id_goes_along(place):
    proxy = place.proxy(place.ministack)
    prod = customers(place, sts=proxy)
    named = asked(proxy, f"ExternalId={ID}")
    create(engine(place, prod=prod), "customers")
    assert named.hits == 1


def expiring(minutes):
    """An answer of STS whose credentials end that soon."""
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    text = b"<Expiration>%s</Expiration>" % end.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    return faults.rewrite(lambda body: re.sub(rb"<Expiration>[^<]*</Expiration>", text, body))


def calls_of_sts(place, minutes):
    """How often STS is asked by three openings with credentials that end that soon."""
    proxy = place.proxy(place.ministack)
    ours = engine(place, prod=customers(place, sts=proxy))
    proxy.on(expiring(minutes), times=None, scope=STS)
    create(ours, "customers")
    proxy.clear()
    proxy.on(expiring(minutes), times=None, scope=STS)
    for _ in range(3):
        ours.evict()
        opened(ours, "customers")
    return proxy.count(scope=STS)


def test_credentials_are_renewed_five_minutes_before_their_end(place):
    assert calls_of_sts(place, 4) == 3
    assert calls_of_sts(place, 11) == 0


def soon_over(place, minutes=4):
    """An engine whose role's credentials are due to be renewed, and the proxy before STS."""
    proxy = place.proxy(place.ministack)
    ours = engine(place, prod=customers(place, sts=proxy, max_retries=0, request_timeout="1s"))
    proxy.on(expiring(minutes), times=None, scope=STS)
    create(ours, "customers")
    ours.evict()
    proxy.clear()
    return ours, proxy


def test_without_sts_good_credentials_serve_on(place):
    for fault in (faults.hang, faults.reset, faults.internal(), faults.sts_error(400, "Throttling")):
        ours, proxy = soon_over(place)
        proxy.on(fault, times=None, scope=STS)
        opened(ours, "customers")
        assert proxy.count(scope=STS) >= 1


def test_without_sts_credentials_that_are_over_do_not_serve(place):
    ours, proxy = soon_over(place, minutes=0)
    proxy.on(faults.reset, times=None, scope=STS)
    error = refused("KMS_UNAVAILABLE", ours.open_index, "customers", words="credentials")
    assert error.retryable


def test_a_role_that_is_taken_away_ends_at_its_renewal(place):
    """Though its credentials were good for some minutes more: someone has said no."""
    ours, proxy = soon_over(place)
    proxy.on(faults.sts_error(403, "AccessDenied"), times=None, scope=STS)
    refused("ACCESS_DENIED", ours.open_index, "customers", code="AccessDenied", words="trust policy")


def test_sts_that_is_away_at_first(place):
    proxy = place.proxy(place.ministack)
    prod = customers(place, sts=proxy, request_timeout="1s", deadline="5s", max_retries=1)
    for fault, status in (
        (faults.reset, "KMS_UNAVAILABLE"),
        (faults.internal(), "KMS_UNAVAILABLE"),
        (faults.hang, "TIMEOUT"),
        (faults.sts_error(400, "Throttling"), "THROTTLED"),
        (faults.sts_error(503, "IDPCommunicationError"), "KMS_UNAVAILABLE"),
    ):
        proxy.clear()
        proxy.on(fault, times=None, scope=STS)
        ours = engine(place, prod=prod)
        error = refused(status, ours.create_index, "customers", "prod")
        assert error.retryable and "credentials" in error.message, error.message
        assert proxy.count(scope=STS) == 2
        proxy.clear()
        create(ours, "customers")


def test_sts_is_tried_again(place):
    proxy = place.proxy(place.ministack)
    proxy.on(faults.reset, scope=STS)
    create(engine(place, prod=customers(place, sts=proxy)), "customers")
    assert proxy.count(scope=STS) == 2


def test_iam_says_no(place):
    """As moto says it for KMS: by the HTTP status alone, without a code that a client of KMS could read."""
    server = place.moto
    iam, name, key = server.client("iam"), place.name("user"), new_key(server)
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="may", PolicyDocument=policy(Action="kms:Decrypt", Resource="*"))
    given = iam.create_access_key(UserName=name)["AccessKey"]
    use(place, server, AWS_ACCESS_KEY_ID=given["AccessKeyId"], AWS_SECRET_ACCESS_KEY=given["SecretAccessKey"])
    server.check_iam()
    place.cleanup.callback(server.trust)
    ours = engine(place, prod=slot(server, "aws-kms", key))
    words = ["kms:Encrypt", key, "IAM policy"]
    error = refused("ACCESS_DENIED", ours.create_index, "customers", "prod", code="HTTP 403", words=words)
    assert error.request_id and not error.retryable, vars(error)
