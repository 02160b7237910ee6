#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetches riscv64 packages of Debian 13 for tests and demos, and unpacks them.

    fetch_guests.py [PACKAGE...]      print one line "PACKAGE DIRECTORY" each
    fetch_guests.py --root PACKAGE... one tree of these with all they depend on

Packages come from the archive that this machine's own apt uses, through apt with
a private configuration, so that signatures are checked against Debian's keyring
and the host's package lists stay as they are. They are kept unpacked under
$XDG_CACHE_HOME/doppel/guests and fetched once.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEFAULT = ["linux-image-riscv64", "busybox-static"]


def fail(text):
    sys.exit(f"fetch_guests: {text}")


def cache_root():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "doppel"


def archive_address():
    """The archive of the machine's own apt sources that carries Debian's main."""
    lines = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT) $(ORIGIN) $(LABEL)",
         "Created-By: Packages"], capture_output=True, text=True, check=False).stdout
    for line in lines.splitlines():
        words = line.split()
        if len(words) >= 4 and words[1] == "main" and words[2] == "Debian" and words[3] == "Debian":
            return words[0]
    fail("apt knows no Debian archive; run 'apt-get update' once (as root)")


class Apt:
    """apt with lists, cache and status of its own."""

    def __init__(self, root):
        self.root = root
        for part in ("lists/partial", "archives/partial", "etc/preferences.d", "etc/apt.conf.d"):
            (root / part).mkdir(parents=True, exist_ok=True)
        (root / "status").touch()
        (root / "etc/sources.list").write_text(
            f"deb [arch=riscv64 signed-by={KEYRING}] {archive_address()} {SUITE} main\n")
        self.config = root / "apt.conf"
        self.config.write_text(f"""
Dir::Etc "{root}/etc";
Dir::Etc::sourcelist "{root}/etc/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "{root}";
Dir::State::lists "{root}/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}";
Dir::Cache::archives "{root}/archives";
APT::Architecture "riscv64";
APT::Architectures {{ "riscv64"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
""")

    def run(self, *arguments, **options):
        environment = dict(os.environ, APT_CONFIG=str(self.config))
        return subprocess.run(arguments, env=environment, check=True, **options)

    def update(self):
        if not any((self.root / "lists").glob("*Packages*")):
            print("fetching the riscv64 package lists of Debian 13", file=sys.stderr)
            self.run("apt-get", "-qq", "update", stdout=sys.stderr)

    def real_name(self, package):
        """linux-image-riscv64 is only a name for the newest kernel: follow it."""
        text = self.run("apt-cache", "show", "--no-all-versions", package, capture_output=True,
                        text=True).stdout
        for line in text.splitlines():
            if line.startswith("Depends:") and package.startswith("linux-image-"):
                for word in line[len("Depends:"):].split(","):
                    name = word.split()[0]
                    if name.startswith("linux-image-"):
                        return name
        return package

    def closure(self, packages):
        """The packages with everything they depend on, as apt would install them."""
        text = self.run("apt-get", "--simulate", "--no-install-recommends", "-qq", "install",
                        *packages, capture_output=True, text=True).stdout
        return [line.split()[1] for line in text.splitlines() if line.startswith("Inst ")]

    def download(self, package, directory):
        print(f"fetching {package} (riscv64)", file=sys.stderr)
        self.run("apt-get", "-qq", "download", package, cwd=directory, stdout=sys.stderr)
        files = list(pathlib.Path(directory).glob("*.deb"))
        if len(files) != 1:
            fail(f"apt did not download {package}")
        return files[0]


def unpack(apt, packages, target):
    """Unpacks beside the target and renames, so that a target is always whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        tree = pathlib.Path(work) / "tree"
        # Debian's directories /bin, /lib and /sbin are links since 2023.
        for link in ("bin", "lib", "sbin"):
            (tree / "usr" / link).mkdir(parents=True, exist_ok=True)
            (tree / link).symlink_to(f"usr/{link}")
        for package in packages:
            deb = apt.download(apt.real_name(package), work)
            archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], check=True,
                                     capture_output=True).stdout
            subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", str(tree)],
                           input=archive, check=True)
            deb.unlink()
        for link in ("bin", "lib", "sbin"):
            if not any((tree / "usr" / link).iterdir()):
                (tree / link).unlink()
                (tree / "usr" / link).rmdir()
        os.chmod(tree, 0o755)
        shutil.rmtree(target, ignore_errors=True)
        tree.rename(target)


def open_apt(root):
    apt = Apt(root / "apt")
    apt.update()
    return apt


def main(words):
    root = cache_root()
    apt = None
    if words[:1] == ["--root"]:
        wanted = [("+".join(sorted(words[1:])), words[1:])]
    else:
        wanted = [(package, [package]) for package in words or DEFAULT]
    for name, packages in wanted:
        target = root / ("roots" if words[:1] == ["--root"] else "guests") / name
        if not target.is_dir():
            apt = apt or open_apt(root)
            try:
                closure = apt.closure(packages) if words[:1] == ["--root"] else packages
                unpack(apt, closure, target)
            except subprocess.CalledProcessError as error:
                fail(f"cannot fetch {name}: {' '.join(error.cmd[:2])} failed")
        print(name, target)


if __name__ == "__main__":
    main(sys.argv[1:])
