"""kms:Decrypt by boto3 against a canned server: calls a second of so many threads.

    build/venv/bin/python benches/boto3_unwrap.py URL THREADS SECONDS
"""

import sys
import threading
import time

import boto3
from botocore.config import Config

url, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
client = boto3.client(
    "kms",
    endpoint_url=url,
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
    config=Config(max_pool_connections=threads, retries={"total_max_attempts": 1}),
)


def unwrap():
    client.decrypt(CiphertextBlob=bytes(32), KeyId="alias/bench", EncryptionContext={"cyborg_kms:index": "index 0"})


def work(counts, number):
    while time.monotonic() < end:
        unwrap()
        counts[number] += 1


unwrap()
counts = [0] * threads
begin = time.monotonic()
end = begin + seconds
workers = [threading.Thread(target=work, args=(counts, number)) for number in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(sum(counts) / (time.monotonic() - begin))
