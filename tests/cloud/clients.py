"""Clients that speak as the library does: obstore is its crate object_store. None tries again, so that tests see all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from botocore.exceptions import ClientError
from obstore.store import AzureStore, GCSStore, S3Store

ONCE = {"max_retries": 0, "retry_timeout": timedelta(seconds=30)}
PLAIN = {"allow_http": True, "timeout": timedelta(seconds=30)}


def s3_store(server, bucket, endpoint=None):
    return S3Store(
        bucket,
        endpoint=endpoint or server.url,
        region=server.region,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        virtual_hosted_style_request=False,
        client_options=PLAIN,
        retry_config=ONCE,
    )


def azure_store(server, container, endpoint=None):
    server.create_container(container)
    address = f"{endpoint or server.url}/{server.account}"
    return AzureStore(
        container,
        account_name=server.account,
        account_key=server.key,
        endpoint=address,
        client_options=PLAIN,
        retry_config=ONCE,
    )


def gcs_store(server, bucket, endpoint=None):
    server.create_bucket(bucket)
    return GCSStore(bucket, service_account=str(server.credentials(endpoint)), client_options=PLAIN, retry_config=ONCE)


def outcome(call, *arguments, **named):
    """What a call of obstore gives, or the name of its error."""
    try:
        return call(*arguments, **named)
    except Exception as error:
        return type(error).__name__


def race(count, call):
    """`call(i)` from `count` threads at once; gives the outcomes."""
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(lambda i: outcome(call, i), range(count)))


def winners(outcomes):
    """Those of a race that were told that they wrote."""
    return [each for each in outcomes if isinstance(each, dict)]


def aws_error(call, **parameters):
    """The code by which AWS's server refused a call of boto3, and the status."""
    try:
        answer = call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"it was not refused: {answer}")
