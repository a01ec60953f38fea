"""What goes wrong: the exit codes of docs/command.md, a line for a person, an object for a program."""

import json
import os
import subprocess


def test_a_wrong_command_line(place):
    for arguments, word in (
        ([], "Usage"),
        (["no-such"], "no-such"),
        (["rotate", "orders"], "--rewrap|--kek|--data-key"),
        (["rotate", "orders", "--kek", "--rewrap"], "cannot be used with"),
        (["rotate", "orders", "--kek", "--key-stdin", "--key-file", "x"], "cannot be used with"),
        (["create", "orders"], "<SLOT>"),
        (["retire-kek", "orders", "one"], "one"),
        (["schedule-deletion", "orders"], "--hours"),
        (["list", "--timeout", "30"], "30s"),
        (["list", b"--start-after", b"\xff"], "UTF-8"),
    ):
        result = place.run(*arguments)
        assert (result.code, result.out) == (2, "") and word in result.err, (arguments, result)
        result = place.run(*arguments, "--json")
        error = result.error()
        assert (result.code, error["status"]) == (2, "INVALID_ARGUMENT"), result
        assert error["message"].endswith("; see --help") and "\n" not in error["message"], error


def test_2_a_wrong_argument_or_configuration(place):
    place.ok("create", "orders", "prod")
    place.refused(2, "INVALID_ARGUMENT", "schedule-deletion", "orders", "--hours", "1", words=["24"])
    place.refused(2, "INVALID_ARGUMENT", "inspect", "x" * 300, words=["too long"])
    place.refused(2, "INVALID_ARGUMENT", "retire-data-key", "orders", "0")
    place.refused(2, "CONFIG", "create", "more", "prdo", words=["prdo", '"prod"'])
    place.refused(2, "CONFIG", "check", "nope", words=["nope"])
    place.refused(2, "CONFIG", "list", "--config", "missing.yaml", words=["missing.yaml"])
    place.write("wrong.yaml", "storge: {}")
    for command in (["slots"], ["check"], ["list"]):
        place.refused(2, "CONFIG", *command, "--config", "wrong.yaml", words=["storge", "storage"])


def test_2_records_that_no_other_process_sees(place):
    place.write("memory.yaml", "kms: {registry: {prod: {provider: local, key_id: prod.key, create: true}}}")
    for arguments in (["list"], ["create", "orders", "prod"], ["inspect", "orders"], ["delete", "orders", "--yes"]):
        place.refused(2, "CONFIG", *arguments, "--config", "memory.yaml", words=["storage.url"])
    assert place.ok("check", "--config", "memory.yaml") == "prod  ok\n"


def test_3_what_is_not_there(place):
    for arguments in (
        ["inspect", "none"],
        ["rotate", "none", "--kek"],
        ["retire-data-key", "none", "1"],
        ["retire-kek", "none", "1"],
        ["disable", "none"],
        ["enable", "none"],
        ["schedule-deletion", "none", "--hours", "24"],
        ["cancel-deletion", "none"],
        ["delete", "none", "--yes"],
    ):
        place.refused(3, "NOT_FOUND", *arguments, words=["none"])
    place.refused(3, "NOT_FOUND", "audit", "verify", "no.log", words=["no.log"])
    place.refused(3, "NOT_FOUND", "audit", "head", "no.log", words=["no.log"])


def test_4_disabled_and_a_key_that_is_gone(place):
    place.ok("create", "orders", "prod")
    place.ok("disable", "orders")
    place.refused(4, "KEY_DISABLED", "rotate", "orders", "--kek", words=["orders"])
    place.ok("schedule-deletion", "orders", "--hours", "24")
    place.refused(4, "KEY_DISABLED", "enable", "orders")
    place.ok("cancel-deletion", "orders")
    place.ok("enable", "orders")
    key = (place.folder / "prod.key").read_bytes()
    (place.folder / "prod.key").unlink()
    place.refused(4, "KEY_NOT_FOUND", "rotate", "orders", "--kek", words=["prod.key"])
    place.write("prod.key", key, 0o600)
    place.ok("rotate", "orders", "--kek")


def test_5_no_answer_in_time(place):
    place.ok("create", "orders", "prod")
    (lock,) = place.folder.glob("keys/**/lock-*")
    holder = subprocess.Popen(
        ["flock", lock, "-c", "echo here; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"here\n"
    error = place.refused(5, "TIMEOUT", "disable", "orders", "--timeout", "50ms", words=["lock"])
    assert error["retryable"] and not error["outcome_unknown"], error
    holder.communicate()
    place.ok("disable", "orders", "--timeout", "1m")


def test_6_a_damaged_record(place):
    place.ok("create", "orders", "prod")
    record = place.record()
    whole = record.read_bytes()
    record.write_bytes(whole[:40])
    place.refused(6, "CORRUPT", "inspect", "orders")
    place.refused(6, "CORRUPT", "disable", "orders")
    # Another index's record in its place.
    record.write_bytes(whole)
    place.ok("create", "others", "prod")
    (other,) = [path for path in place.folder.glob("keys/**/*.kms.cat") if path != record]
    other.write_bytes(whole)
    place.refused(6, "AUTHENTICATION_FAILED", "rotate", "others", "--data-key", words=["others"])


def test_7_what_is_there_already_or_was_changed(place):
    place.ok("create", "orders", "prod")
    place.refused(7, "ALREADY_EXISTS", "create", "orders", "prod", words=["orders"])
    place.ok("rotate", "orders", "--data-key")
    place.refused(7, "CONFLICT", "retire-data-key", "orders", "1", words=["until 20"])
    place.refused(7, "CONFLICT", "cancel-deletion", "orders")


def test_1_the_rest(place):
    place.write("external.yaml", "storage: {url: keys}\nkms: {registry: {x: {provider: 'external:x'}}}")
    result = place.run("check", "--config", "external.yaml")
    assert result.code == 0 and "own program" in result.out, result
    place.write("vault.yaml", "storage: {url: keys}\nkms: {registry: {x: {provider: pkcs11, key_id: k}}}")
    place.refused(1, "UNSUPPORTED", "check", "x", "--config", "vault.yaml", words=["pkcs11"])
    place.write("file.yaml", "storage: {url: file.yaml}")
    place.refused(1, "STORAGE", "list", "--config", "file.yaml", words=["file.yaml"])


def test_an_audit_log_that_can_t_be_written_stops_changes(place):
    place.ok("create", "orders", "prod")
    (place.folder / "audit.log").rename(place.folder / "kept")
    (place.folder / "audit.log").mkdir()
    error = place.refused(1, "STORAGE", "disable", "orders", words=["nothing was done"])
    assert not error["outcome_unknown"]
    assert place.ok_json("inspect", "orders")["state"] == "enabled"


def test_heads_that_are_none(place):
    place.ok("create", "orders", "prod")
    for content in ("", "{}", '{"seq": 1}', '{"seq": 1, "hash": "x"}'):
        place.write("head.json", content)
        arguments = ["audit", "verify", "audit.log", "--head", "head.json"]
        place.refused(2, "INVALID_ARGUMENT", *arguments, words=["audit head"])
    place.refused(2, "INVALID_ARGUMENT", "audit", "verify", "audit.log", "--head", "missing", words=["missing"])
    place.refused(2, "INVALID_ARGUMENT", "audit", "verify", "audit.log", "--key-file", "missing", words=["missing"])


def test_deleting_asks_for_the_name(place):
    place.ok("create", "orders", "prod")
    for answer in (b"", b"\n", b"y\n", b"orders2\n", b" orders\n", b"\xff\n", b"x" * 100_000):
        result = place.run("delete", "orders", stdin=answer)
        assert (result.code, result.out) == (2, "") and "nothing was deleted" in result.err, result
    result = place.run("delete", "orders", "--json", stdin=b"no\n")
    question = json.loads(result.err.splitlines()[0])["log"]["message"]
    assert result.error()["status"] == "INVALID_ARGUMENT" and '"orders"' in question, result
    assert place.ok("list") == "orders\n"


def test_a_configuration_that_can_t_be_read(place):
    (place.folder / "cyborg_kms.yaml").unlink()
    os.symlink("nowhere", place.folder / "cyborg_kms.yaml")
    place.refused(2, "CONFIG", "list", words=["cyborg_kms.yaml"])
