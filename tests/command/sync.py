"""Sync: what it finds, does and says; the bar that only a terminal gets; that it can be stopped and run again."""

import json
import signal

from .place import CONFIG
from .processes import hold_lock, on_terminal, until

# The same slot with another key: what is stored has drifted from it.
DRIFTED = CONFIG.replace("key_id: prod.key,", "key_id: new.key, former_key_ids: [prod.key],")
TWO_DAYS_LATER = ("faketime", "-f", "+2d")


def create(place, count):
    for number in range(count):
        place.ok("create", f"index-{number:02}", "prod")


def test_what_drifted_is_wrapped_anew(place):
    create(place, 3)
    assert place.ok("sync") == "3 of 3 indexes: 3 in order\n"
    place.write("cyborg_kms.yaml", DRIFTED)
    assert place.ok("sync", "--dry-run") == "dry run, nothing was changed: 3 of 3 indexes: 3 to rewrap\n"
    report = place.ok_json("sync", "--dry-run")
    assert (report["dry_run"], report["would_rewrap"], report["failures"]) == (True, 3, []), report
    assert not (place.folder / "new.key").exists()
    assert place.ok("sync", "--concurrency", "2", "--rate", "1000") == "3 of 3 indexes: 3 rewrapped\n"
    report = place.ok_json("sync")
    assert (report["dry_run"], report["in_order"], report["rewrapped"], report["stopped"]) == (False, 3, 0, False)
    assert place.ok_json("inspect", "index-00")["key_id"] == f"{place.folder}/new.key"


def test_what_is_left_alone_is_told(place):
    create(place, 2)
    place.ok("disable", "index-01")
    place.write("cyborg_kms.yaml", DRIFTED)
    assert place.ok("sync") == "2 of 2 indexes: 1 rewrapped, 1 skipped (1 of them drifted)\n"


def test_a_store_without_an_index(place):
    assert place.ok("sync") == "0 of 0 indexes\n"
    assert place.ok_json("sync", "--dry-run")["total"] == 0


def test_what_fails_does_not_keep_the_others_from_it(place):
    create(place, 4)
    place.write("cyborg_kms.yaml", DRIFTED)
    records = sorted(place.folder.glob("keys/**/*.kms.cat"))
    records[1].write_bytes(records[1].read_bytes()[:40])
    result = place.run("sync")
    first, *failures = result.out.splitlines()
    assert first == "4 of 4 indexes: 3 rewrapped, 1 failed", result
    assert len(failures) == 1 and failures[0].startswith("failed  index-01: CORRUPT: "), result
    assert result.code == 6 and "CORRUPT: 1 of 4 indexes failed, the first: " in result.err, result
    result = place.run("sync", "--json")
    assert result.error()["status"] == "CORRUPT" and result.json()["failures"][0]["index"] == "index-01", result


def test_what_is_due_is_deleted_and_the_receipt_is_not_lost(place):
    create(place, 3)
    place.ok("schedule-deletion", "index-01", "--hours", "24")
    assert place.ok("sync", "--dry-run") == "dry run, nothing was changed: 3 of 3 indexes: 2 in order, 1 skipped\n"
    first, deleted = place.ok("sync", before=TWO_DAYS_LATER).splitlines()
    assert first == "3 of 3 indexes: 2 in order, 1 deleted", first
    assert json.loads(deleted.removeprefix("deleted  "))["index"] == "index-01", deleted
    assert place.ok("list") == "index-00\nindex-02\n"
    for number, arguments in (("00", []), ("02", ["--json"])):
        place.ok("schedule-deletion", f"index-{number}", "--hours", "24")
        with open("/dev/full", "wb") as full:
            result = place.run("sync", *arguments, stdout=full, before=TWO_DAYS_LATER)
        assert result.code == 1, result
        text = result.error()["message"] if arguments else result.err
        (receipt,) = json.loads(text[text.index("[{") : text.rindex("}]") + 2])
        assert receipt["index"] == f"index-{number}", result
    assert place.ok("list") == ""


def test_a_wrong_command_line(place):
    for arguments in (["--concurrency", "0"], ["--concurrency", "257"], ["--rate", "0"], ["--rate", "fast"]):
        assert place.run("sync", *arguments).code == 2, arguments


def test_only_a_terminal_gets_a_bar(place):
    create(place, 3)
    code, shown = on_terminal(place, "sync")
    assert code == 0 and "/3  " in shown and shown.endswith("3 of 3 indexes: 3 in order\n"), shown
    code, shown = on_terminal(place, "sync", "--json")
    assert code == 0 and shown.count("\n") == 1 and json.loads(shown)["in_order"] == 3, shown
    # `ok` has seen nothing on a standard error that is a pipe.
    assert place.ok("sync") == "3 of 3 indexes: 3 in order\n"


def test_log_lines_stand_above_the_bar(place):
    create(place, 3)
    place.write("cyborg_kms.yaml", DRIFTED)
    code, shown = on_terminal(place, "sync", "--log", "info")
    lines = [line for line in shown.splitlines() if "info: the keys of an index were changed" in line]
    assert code == 0 and len(lines) == 3, shown


def start_slowly(place, *arguments):
    """A sync that has done some of its indexes, and takes a second for each request."""
    create(place, 8)
    place.write("cyborg_kms.yaml", DRIFTED)
    process = place.start("sync", "--concurrency", "1", "--rate", "1", *arguments)
    until("the first rewrap", lambda: any(line["operation"] == "rewrap" for line in place.lines()))
    assert process.poll() is None
    return process


def test_ctrl_c_ends_it_and_says_what_was_done(place):
    process = start_slowly(place, "--json")
    process.send_signal(signal.SIGINT)
    result = place.end(process)
    report, error = result.json(), result.error()
    assert result.code == 130 and error["status"] == "CANCELLED" and "run it again" in error["message"], result
    assert report["stopped"] and 0 < report["checked"] < 8 and report["rewrapped"] == report["checked"], report
    rest = 8 - report["rewrapped"]
    assert place.ok("sync") == f"8 of 8 indexes: {report['rewrapped']} in order, {rest} rewrapped\n"


def test_a_second_ctrl_c_cancels_it(place):
    create(place, 1)
    holder = hold_lock(place)
    place.write("cyborg_kms.yaml", DRIFTED)
    process = place.start("sync")
    until("the intent", lambda: place.lines()[-1]["operation"] == "rewrap")
    process.send_signal(signal.SIGINT)
    assert b"waiting for what is under way" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    result = place.end(process)
    holder.communicate()
    assert result.code == 130 and "sync was ended after 0 of 1 indexes" in result.err, result
    assert place.ok("sync") == "1 of 1 indexes: 1 rewrapped\n"


def test_a_timeout_is_for_all_of_it(place):
    create(place, 8)
    place.write("cyborg_kms.yaml", DRIFTED)
    result = place.run("sync", "--concurrency", "1", "--rate", "1", "--timeout", "1s")
    assert result.code == 5 and "TIMEOUT: sync was ended after " in result.err, result
