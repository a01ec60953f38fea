"""Indexes of provider none: the KEK comes from a file or a pipe, and goes nowhere else."""

import base64

from .subcommands import AHEAD

FORMS = {
    "raw": lambda key: key,
    "hex": lambda key: key.hex().encode(),
    "base64": lambda key: base64.b64encode(key) + b"\n",
}


def test_from_ones_own_key_to_a_kms_and_back(place):
    place.key("kek", FORMS["hex"])
    place.key("other", FORMS["raw"])
    text = place.ok("create", "orders", "own", "--key-file", "kek")
    assert text == "orders: created (enabled, version 1, epoch 1, data key 1)\n"
    assert "wrapped by   provider none (slot own)\n" in place.ok("inspect", "orders")
    now = place.ok_json("rotate", "orders", "--rewrap", "--to", "prod", "--key-file", "kek")["now"]
    assert now["provider"] == "local"
    now = place.ok_json("rotate", "orders", "--rewrap", "--to", "", "--new-key-file", "kek")["now"]
    assert (now["provider"], now["kms_name"]) == ("none", "")
    assert "wrapped by   provider none (slot -)\n" in place.ok("inspect", "orders")
    now = place.ok_json("rotate", "orders", "--kek", "--key-file", "kek", "--new-key-file", "other")["now"]
    assert now["version"] == 4
    place.ok("rotate", "orders", "--data-key", "--key-file", "other")
    place.refused(
        6, "AUTHENTICATION_FAILED", "rotate", "orders", "--data-key", "--key-file", "kek"
    )
    place.ok("retire-data-key", "orders", "1", "--key-file", "other", before=AHEAD)
    now = place.ok_json("retire-kek", "orders", "1", "--key-file", "other")["now"]
    assert now["former_keks"][0]["is_retired"], now


def test_a_key_on_standard_input(place):
    for name, form in FORMS.items():
        kek = place.key(f"{name}.key", form)
        place.ok("create", name, "own", "--key-stdin", stdin=form(kek))
        place.ok("rotate", name, "--data-key", "--key-file", f"{name}.key")
        place.ok("rotate", name, "--data-key", "--key-stdin", stdin=form(kek))
        place.ok("retire-data-key", name, "1", "--key-stdin", stdin=form(kek), before=AHEAD)
        place.refused(2, "INVALID_ARGUMENT", "rotate", name, "--data-key", words=["none"])


def test_keys_that_are_none(place):
    place.key("kek")
    place.ok("create", "orders", "own", "--key-file", "kek")
    rotate = ["rotate", "orders", "--data-key"]
    refused = lambda *arguments, **options: place.refused(2, "INVALID_ARGUMENT", *rotate, *arguments, **options)
    for content in (b"", b"too short", b"x" * 31, b"g" * 64, b"y" * 4096):
        refused("--key-stdin", stdin=content, words=["--key-stdin: the key on standard input must hold 32"])
        place.write("wrong", content, 0o600)
        refused("--key-file", "wrong", words=["--key-file: the key file wrong must hold 32"])
    refused("--key-file", "missing", words=["there is no key file missing"])
    place.write("open", b"x" * 32, 0o640)
    refused("--key-file", "open", words=["chmod 600"])
    refused("--key-file", ".", words=["no regular file"])
    refused("--key-file", "kek", "--new-key-file", "missing", words=["--new-key-file: there is no key file"])
    assert place.ok_json("inspect", "orders")["current_data_key"] == 1


def test_a_key_is_asked_for_where_it_is_needed(place):
    place.key("kek")
    place.refused(2, "INVALID_ARGUMENT", "create", "orders", "own")
    place.ok("create", "orders", "own", "--key-file", "kek")
    place.refused(2, "INVALID_ARGUMENT", "retire-kek", "orders", "1", words=["1"])
    place.ok("create", "random", "prod")
    place.refused(2, "INVALID_ARGUMENT", "rotate", "random", "--rewrap", "--key-file", "kek")
    place.refused(2, "INVALID_ARGUMENT", "rotate", "random", "--rewrap", "--to", "own")
    place.refused(
        6, "AUTHENTICATION_FAILED", "rotate", "random", "--rewrap", "--to", "own", "--new-key-file", "kek"
    )
