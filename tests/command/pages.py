"""Man pages, completions, help; and docs/command.md: each command in it is run, and prints what stands there.

    python3 -m tests.command.pages

writes what they print into docs/command.md, after a change.
"""

import difflib
import re
import subprocess
import sys

from .place import COMMAND, ROOT, Place

PAGE = ROOT / "docs" / "command.md"
COMMANDS = (
    "slots check list inspect create rotate retire-data-key retire-kek sync disable enable schedule-deletion"
    " cancel-deletion delete audit completions man"
).split()


def test_help_names_everything(place):
    text = place.ok("--help")
    for word in (*COMMANDS, "--config", "--json", "--principal", "--timeout", "--log", "CYBORG_KMS_CONFIG", "130"):
        assert word in text, word
    for command in COMMANDS:
        assert "Usage: cyborg-kms" in place.ok(command, "--help"), command
    version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert place.ok("--version") == f"cyborg-kms {version}\n"


def test_every_subcommand_is_documented(place):
    page = PAGE.read_text()
    headings = {name.strip() for line in re.findall(r"^### (.*)$", page, re.MULTILINE) for name in line.split(",")}
    assert set(COMMANDS) - {"audit"} <= headings and {"audit verify", "audit head"} <= headings, headings
    options = set(re.findall(r"--[a-z][a-z-]+", "".join(place.ok(command, "--help") for command in COMMANDS)))
    missing = {option for option in options if option not in page} - {"--help", "--version"}
    assert not missing, missing


def test_man_pages(place):
    page = place.ok("man")
    assert page.startswith(".ie") and "cyborg\\-kms\\-rotate" in page, page[:200]
    (place.folder / "man").mkdir()
    assert place.ok("man", "--dir", "man") == ""
    pages = {path.name: path for path in (place.folder / "man").iterdir()}
    assert {f"cyborg-kms-{command}.1" for command in COMMANDS} | {"cyborg-kms.1", "cyborg-kms-audit-verify.1"} <= set(pages)
    assert "\\-\\-dry\\-run" in pages["cyborg-kms-sync.1"].read_text()
    for path in pages.values():
        # A formatter must find nothing to complain about, where there is one.
        if subprocess.run(["which", "groff"], capture_output=True).returncode == 0:
            checked = subprocess.run(["groff", "-man", "-Tutf8", "-ww", path], capture_output=True, text=True)
            assert checked.stderr == "" and path.stem in checked.stdout, (path, checked)
    place.refused(1, "STORAGE", "man", "--dir", "missing", words=["missing"])


def test_completions(place):
    for shell in ("bash", "elvish", "fish", "powershell", "zsh"):
        script = place.ok("completions", shell)
        assert all(word in script for word in ("retire-data-key", "dry-run")), shell
    assert place.run("completions", "cmd").code == 2
    # In a real shell: what it offers behind words.
    script = place.ok("completions", "bash")
    function = re.search(r"complete -F (\S+)", script)[1]
    for words, offered in (
        ("sche", ["schedule-deletion"]),
        ("rotate orders --re", ["--rewrap"]),
        ("retire-data-key orders --key-s", ["--key-stdin"]),
        ("audit verify x --he", ["--head", "--help"]),
        ("--log de", ["debug"]),
    ):
        *_, previous, last = ("cyborg-kms " + words).split()
        offer = f"COMP_WORDS=(cyborg-kms {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))"
        call = f'{function} cyborg-kms "{last}" "{previous}"; printf "%s\n" "${{COMPREPLY[@]}}"'
        shell = subprocess.run(["bash", "-c", f"{script}\n{offer}\n{call}"], capture_output=True, text=True)
        assert (shell.stdout.split(), shell.stderr) == (offered, ""), (words, shell.stdout, shell.stderr)


def same(text, place):
    """Without what is another each time."""
    folder = str(place.folder)
    longer = len(folder) - len("/srv/db")
    if text.startswith("SLOT"):
        # The column of the keys is as wide as the longest path.
        narrow = lambda line: line if folder in line else re.sub(f" {{{longer + 2},}}", lambda gap: gap[0][longer:], line)
        text = "".join(narrow(line) for line in text.splitlines(keepends=True))
    text = text.replace(folder, "/srv/db")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-01-31T12:00:00Z", text)
    return re.sub(r"[A-Za-z0-9+/]{43}=", "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFBDwCgg=", text)


def played(page, place):
    """The page with what its commands print now."""
    (config,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    place.write("cyborg_kms.yaml", config)

    def play(block):
        lines = []
        for command in re.findall(r"^\$ (.*)$", block[1], re.MULTILINE):
            shell = subprocess.run(
                ["bash", "-c", f"{command}"],
                cwd=place.folder,
                env=place.environment(LC_ALL="C.UTF-8"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            place.printed.append(shell.stdout)
            lines += [f"$ {command}\n", same(shell.stdout, place)]
        return f"```console\n{''.join(lines)}```"

    return re.sub(r"^```console\n(.*?)^```$", play, page, flags=re.MULTILINE | re.DOTALL)


def test_the_page_tells_the_truth(place):
    page = PAGE.read_text()
    now = played(page, place)
    assert now.count("\n$ cyborg-kms ") > 25, "the page's commands were not found"
    difference = "".join(difflib.unified_diff(page.splitlines(True), now.splitlines(True), "docs/command.md", "now"))
    assert page == now, f"run python3 -m tests.command.pages and look at what changed:\n{difference}"


def test_the_readme_s_commands(place):
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^    cyborg-kms (.*)$", readme, re.MULTILINE)
    assert len(commands) > 1, "README.md does not show the command"
    place.write("db.yaml", re.search(r"^```yaml\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)[1])
    place.ok("create", "customers", "prod", "--config", "db.yaml")
    printed = [place.ok(*command.split()) for command in commands]
    assert printed[0] == "customers\n" and "slot prod" in printed[1], printed


if __name__ == "__main__":
    if not COMMAND.exists():
        sys.exit(f"there is no {COMMAND}: cargo build -p cyborg-kms-cli, or set CYBORG_KMS_COMMAND")
    with Place() as fresh:
        PAGE.write_text(played(PAGE.read_text(), fresh))
