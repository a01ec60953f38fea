"""cyborg_kms_engine_metrics, read by the Prometheus project's own parser.

    CYBORG_KMS_LIBRARY=... build/venv/bin/python -m tests.interop.metrics
"""

import contextlib
import os
import pathlib
import sys
import tempfile

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.python.cyborg_kms import Engine, KmsError
from tests.python.runner import run

SLOT = 'a "slot"\\ of two lines'.replace("two lines", "two\\nlines")


@contextlib.contextmanager
def place():
    """An engine with a slot whose name needs escapes, and one whose key file is missing."""
    with tempfile.TemporaryDirectory() as folder:
        key = pathlib.Path(folder, "key")
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        yaml = f"""
cache: {{ttl: 1h}}
kms:
  registry:
    "{SLOT.replace(chr(92) + 'n', '§').replace(chr(92), chr(92) * 2).replace('"', chr(92) + '"').replace('§', chr(92) + 'n')}":
      {{provider: local, key_id: {key}}}
    missing: {{provider: local, key_id: {folder}/missing}}
"""
        with Engine.open(yaml) as engine:
            yield engine, SLOT.replace("\\n", "\n")


def families(engine):
    """Every metric by its name, with its samples."""
    return {family.name: family for family in text_string_to_metric_families(engine.metrics())}


def values(family):
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in family.samples}


def test_an_unused_engine_has_counts_of_nothing(given):
    engine, _ = given
    found = families(engine)
    assert values(found["cyborg_kms_cache_hits"]) == {("cyborg_kms_cache_hits_total",): 0}
    assert found["cyborg_kms_cache_entries"].type == "gauge"
    assert found["cyborg_kms_oldest_kek_age_seconds"].unit == "seconds"
    assert "cyborg_kms_kms_calls" not in found


def test_calls_are_counted_by_slot_operation_and_status(given):
    engine, slot = given
    with engine.create_index("a", slot):
        pass
    engine.evict()
    for _ in range(3):
        with engine.open_index("a"):
            pass
    try:
        engine.create_index("b", "missing")
        raise AssertionError("a slot without its key made an index")
    except KmsError as error:
        assert error.status_name == "KEY_NOT_FOUND", error
    found = families(engine)
    calls = {
        (sample.labels["slot"], sample.labels["operation"], sample.labels["status"]): sample.value
        for sample in found["cyborg_kms_kms_calls"].samples
    }
    assert calls == {(slot, "wrap", "OK"): 1, (slot, "unwrap", "OK"): 2, ("missing", "wrap", "KEY_NOT_FOUND"): 1}
    counts = {
        (sample.labels["slot"], sample.labels["operation"]): sample.value
        for sample in found["cyborg_kms_kms_call_duration_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert counts == {(slot, "wrap"): 1, (slot, "unwrap"): 2, ("missing", "wrap"): 1}
    assert found["cyborg_kms_kms_call_duration_seconds"].type == "histogram"
    assert values(found["cyborg_kms_cache_hits"])[("cyborg_kms_cache_hits_total",)] == 2
    assert {sample.labels["slot"]: sample.value for sample in found["cyborg_kms_kms_breaker_state"].samples} == {
        slot: 0,
        "missing": 0,
    }
    (age,) = found["cyborg_kms_oldest_kek_age_seconds"].samples
    assert 0 < age.value < 3600


if __name__ == "__main__":
    sys.exit(run(globals(), place))
