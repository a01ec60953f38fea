"""Every subcommand, as text and as JSON: what it prints, and what it did."""

import json
import os

AHEAD = ("faketime", "-f", "+2h")
DONE = {"index", "done", "now"}


def test_slots(place):
    slots = {slot["name"]: slot for slot in place.ok_json("slots")["slots"]}
    assert list(slots) == ["dr", "own", "prod"]
    assert slots["prod"] == {
        "name": "prod",
        "provider": "local",
        "key_id": f"{place.folder}/prod.key",
        "former_key_ids": [],
        "region": "",
        "capabilities": ["encrypt", "decrypt", "derive", "export"],
        "cyborgdb_compatible": False,
        "recipients": [],
    }
    lines = place.ok("slots").splitlines()
    assert lines[0].split() == ["SLOT", "PROVIDER", "REGION", "KEY", "ALLOWS"]
    assert lines[3].split()[:4] == ["prod", "local", "-", f"{place.folder}/prod.key"], lines
    assert not (place.folder / "keys").exists() and not (place.folder / "prod.key").exists(), "it only looks"
    place.write("none.yaml", "{}")
    assert place.ok_json("slots", "--config", "none.yaml") == {"config": "none.yaml", "slots": []}
    assert place.ok("slots", "--config", "none.yaml") == "no slots in none.yaml\n"


def test_addresses_are_not_shown(place):
    place.write(
        "aws.yaml",
        "kms: {registry: {a: {provider: aws-kms, key_id: k, region: eu-west-1, capabilities: [encrypt], "
        "endpoint: 'https://user:hunter2@kms.test', proxy: 'http://user:hunter2@proxy.test'}}}",
    )
    assert "eu-west-1" in place.ok("slots", "--config", "aws.yaml")
    assert place.ok_json("slots", "--config", "aws.yaml")["slots"][0]["capabilities"] == ["encrypt"]
    assert not any("hunter2" in text for text in place.printed)


def test_check(place):
    rows = [line.split() for line in place.ok("check").splitlines()]
    assert rows[0] == ["dr", "ok"] and rows[1][:2] == ["own", "skipped"] and rows[2] == ["prod", "ok"], rows
    found = place.ok_json("check")["slots"]
    assert [(slot["slot"], slot["outcome"]) for slot in found] == [("dr", "ok"), ("own", "skipped"), ("prod", "ok")]
    assert found[0]["error"] is None and "no KMS" in found[1]["reason"], found
    assert place.ok("check", "prod") == "prod  ok\n"
    assert place.ok_json("check", "prod")["slots"][0]["outcome"] == "ok"


def test_one_slot_that_fails_does_not_hide_the_others(place):
    place.ok("check")
    (place.folder / "dr.key").write_text("no key")
    text = place.run("check")
    assert text.code == 2 and "1 of 3 slots failed" in text.err and 'slot "dr"' in text.err, text
    rows = [line.split() for line in text.out.splitlines()]
    assert rows[0][:2] == ["dr", "failed"] and rows[2] == ["prod", "ok"], text
    result = place.run("check", "--json")
    assert result.error()["status"] == "CONFIG"
    dr, own, prod = result.json()["slots"]
    assert (dr["outcome"], dr["error"]["status"], prod["outcome"]) == ("failed", "CONFIG", "ok"), result.out


def test_create_list_and_inspect(place):
    assert place.ok("list") == "" and place.ok_json("list") == {"indexes": []}
    assert place.ok("create", "orders", "prod") == "orders: created (enabled, version 1, epoch 1, data key 1)\n"
    made = place.ok_json("create", "a\n\x1b[31m/ü", "dr")
    assert set(made) == DONE and made["done"] == "create" and made["now"]["kms_name"] == "dr", made
    assert place.ok("list") == "a\\n\\u{1b}[31m/ü\norders\n"
    assert place.ok_json("list") == {"indexes": ["a\n\x1b[31m/ü", "orders"]}
    assert place.ok("list", "--start-after", "a\n\x1b[31m/ü") == "orders\n"
    assert place.ok_json("list", "--start-after", "orders") == {"indexes": []}
    inspected = place.ok_json("inspect", "orders")
    assert inspected["index"] == "orders" and inspected["state"] == "enabled", inspected
    fields = dict(line.split(None, 1) for line in place.ok("inspect", "orders").splitlines() if "data key" not in line)
    assert fields["record"] == f"sha256 {inspected['record_sha256']}", fields
    assert fields["wrapped"] == f"by   slot prod, provider local, key {place.folder}/prod.key", fields
    assert inspected["wrapped_kek"] not in place.printed[-2]


def test_rotations(place):
    place.ok("create", "orders", "prod")
    for arguments, done, version, data_key in (
        (["--kek"], "rotate_kek", 2, 1),
        (["--data-key"], "rotate_data_key", 2, 2),
        (["--rewrap", "--to", "dr"], "rewrap", 3, 2),
        (["--kek", "--to", "prod"], "rotate_kek", 4, 2),
        (["--rewrap"], "rewrap", 5, 2),
    ):
        result = place.ok_json("rotate", "orders", *arguments)
        now = result["now"]
        assert set(result) == DONE and (result["index"], result["done"]) == ("orders", done), result
        assert (now["version"], now["current_data_key"]) == (version, data_key), now
    assert [former["last_version"] for former in now["former_keks"]] == [1, 3]
    assert place.ok("rotate", "orders", "--kek") == "orders: has a new KEK (enabled, version 6, epoch 7, data key 2)\n"
    text = place.ok("rotate", "orders", "--data-key")
    assert text == "orders: has a new data key (enabled, version 6, epoch 8, data key 3)\n"
    text = place.ok("rotate", "orders", "--rewrap", "--to", "dr")
    assert text == "orders: its KEK is wrapped anew (enabled, version 7, epoch 9, data key 3)\n"
    assert "former KEK   of versions 1 to 1, kept under the present one\n" in place.ok("inspect", "orders")


def test_retiring(place):
    place.ok("create", "orders", "prod")
    place.ok("rotate", "orders", "--data-key")
    place.ok("rotate", "orders", "--data-key")
    place.ok("rotate", "orders", "--kek")
    place.ok("rotate", "orders", "--kek")
    text = place.ok("retire-data-key", "orders", "1", before=AHEAD)
    assert text == "orders: data key 1 is retired (enabled, version 3, epoch 6, data key 3)\n"
    result = place.ok_json("retire-data-key", "orders", "2", before=AHEAD)
    assert result["done"] == "retire_data_key" and [key["id"] for key in result["now"]["data_keys"]] == [0, 3], result
    text = place.ok("retire-kek", "orders", "1")
    assert text == "orders: the KEK of version 1 is retired (enabled, version 3, epoch 8, data key 3)\n"
    result = place.ok_json("retire-kek", "orders", "2")
    assert result["done"] == "retire_kek" and result["now"]["former_keks"][-1]["is_retired"], result
    assert "former KEK   of versions 1 to 2, retired\n" in place.ok("inspect", "orders")


def test_states(place):
    place.ok("create", "orders", "prod")
    assert place.ok("disable", "orders") == "orders: disabled (disabled, version 1, epoch 1, data key 1)\n"
    assert place.ok_json("enable", "orders")["now"]["state"] == "enabled"
    assert place.ok_json("disable", "orders")["done"] == "disable"
    assert place.ok("enable", "orders") == "orders: enabled (enabled, version 1, epoch 1, data key 1)\n"
    result = place.ok_json("schedule-deletion", "orders", "--hours", "24")
    at = result["now"]["deletion_at"]
    assert (result["done"], result["now"]["state"]) == ("schedule_deletion", "pending_deletion"), result
    assert f"state        pending_deletion, at {at}\n" in place.ok("inspect", "orders")
    text = place.ok("cancel-deletion", "orders")
    assert text == "orders: is not to be deleted any more (disabled, version 1, epoch 1, data key 1)\n"
    text = place.ok("schedule-deletion", "orders", "--hours", "8760")
    assert text.startswith("orders: is to be deleted (pending_deletion at 20"), text
    assert place.ok_json("cancel-deletion", "orders")["done"] == "cancel_deletion"


def test_delete_prints_the_receipt(place):
    for index, arguments, stdin in (
        ("orders", ["--yes"], b""),
        ("customers", ["--json"], b"customers\n"),
        ("a b", [], b"a b\r\n"),
    ):
        place.ok("create", index, "prod")
        before = place.ok_json("inspect", index)
        result = place.run("delete", index, *arguments, stdin=stdin)
        receipt = result.json()
        assert result.code == 0 and receipt["index"] == index, result
        assert receipt["record_sha256"] == before["record_sha256"] and receipt["data_keys"] == [0, 1], receipt
        assert ("Type its name" in result.err) == ("--yes" not in arguments), result.err
    assert place.ok("list") == ""


def test_principal_and_outcome_are_in_the_audit_log(place):
    place.ok("create", "orders", "prod", "--principal", "ada")
    place.ok("--principal", "bob", "disable", "orders")
    lines = [(line["operation"], line["phase"], line.get("principal")) for line in place.lines()]
    assert lines == [
        ("create", "intent", "ada"),
        ("create", "outcome", "ada"),
        ("disable", "intent", "bob"),
        ("disable", "outcome", "bob"),
    ], lines


def test_audit_head_and_verify(place):
    place.ok("create", "orders", "prod")
    head = json.loads(place.ok("audit", "head", "audit.log"))
    assert place.ok_json("audit", "head", "audit.log") == head and head["seq"] == 2, head
    place.write("head.json", json.dumps(head))
    place.ok("disable", "orders")
    report = place.ok_json("audit", "verify", "audit.log", "--key-file", "audit.key", "--head", "head.json")
    assert (report["lines"], report["macs_checked"], report["head_checked"], report["fault"]) == (4, True, True, None)
    text = place.ok("audit", "verify", "audit.log")
    assert "4 lines in 1 files are what was written" in text and "MACs were not checked" in text, text
    text = place.ok("audit", "verify", "audit.log", "--key-file", "audit.key", "--head", "head.json")
    assert "MACs were checked" in text and "not checked" not in text, text


def test_a_fault_in_the_audit_log(place):
    place.ok("create", "orders", "prod")
    place.ok("disable", "orders")
    place.write("head.json", place.ok("audit", "head", "audit.log"))
    log = place.folder / "audit.log"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines).replace('"orders"', '"others"', 1))
    result = place.run("audit", "verify", "audit.log")
    assert result.code == 6 and result.out.startswith("audit.log: NOT what was written: audit.log, line 1: ")
    assert result.err.startswith("cyborg-kms: CORRUPT: audit.log, line 1: "), result
    log.write_text("".join(lines[:-1]))
    assert place.run("audit", "verify", "audit.log").code == 0, "only the head tells of a cut end"
    result = place.run("audit", "verify", "audit.log", "--head", "head.json", "--json")
    assert result.json()["fault"]["kind"] == "cut" and result.error()["status"] == "CORRUPT", result
    place.key("other.key")
    result = place.run("audit", "verify", "audit.log", "--key-file", "other.key", "--json")
    assert result.code == 6 and result.json()["fault"]["kind"] == "mac", result


def test_the_configuration_is_found(place):
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    config = str(place.folder / "cyborg_kms.yaml")
    place.ok("create", "orders", "prod")
    assert place.ok("list") == "orders\n"
    assert place.ok("list", cwd=elsewhere, env={"CYBORG_KMS_CONFIG": config}) == "orders\n"
    assert place.ok("--config", config, "list", cwd=elsewhere) == "orders\n"
    (elsewhere / "other.yaml").write_text("storage: {url: none}")
    arguments = ["list", "--config", "other.yaml"]
    assert place.ok(*arguments, cwd=elsewhere, env={"CYBORG_KMS_CONFIG": config}) == "", "--config goes first"
    assert place.ok("list", env={"CYBORG_KMS_CONFIG": ""}) == "orders\n", "empty is not set"
    if not os.path.exists("/etc/cyborg_kms/config.yaml"):
        error = place.refused(2, "CONFIG", "list", cwd=elsewhere, words=["--config", "CYBORG_KMS_CONFIG"])
        assert "/etc/cyborg_kms/config.yaml" in error["message"]


def test_log_lines(place):
    place.ok("create", "orders", "prod")
    result = place.run("rotate", "orders", "--rewrap", "--log", "debug")
    lines = [line for line in result.err.splitlines() if line.startswith("debug: asked the KMS ")]
    assert result.code == 0 and len(lines) == 3, result
    assert {json.loads(line.removeprefix("debug: asked the KMS "))["slot"] for line in lines} == {"prod"}
    result = place.run("disable", "orders", "--log", "info", "--json")
    logs = [json.loads(line)["log"] for line in result.err.splitlines()]
    assert any(log["level"] == "info" and log["fields"]["state"] == "disabled" for log in logs), logs
    place.write("compatible.yaml", "storage: {url: old}\nkms: {registry: {a: {provider: local, key_id: a.key, "
                "create: true, cyborgdb_compatible: true}}}")
    place.ok("create", "old", "a", "--config", "compatible.yaml")
    arguments = ["disable", "old", "--config", "compatible.yaml"]
    assert "warning: CyborgDB does not know the state" in place.run(*arguments).err
    assert place.run(*arguments, "--log", "off").err == ""
