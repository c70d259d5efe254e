"""A Ceph object gateway: monitor, one storage daemon in memory, gateway; all on 127.0.0.1.

From the packages radosgw, ceph-mon and ceph-osd. Deleted data are freed after seconds rather than
hours, since they lie in memory.
"""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from tests.s3.process import ServerError, end, free_port, start, wait_until_answering

__all__ = ["KEY", "SECRET", "CephGateway", "missing_programs"]

KEY, SECRET = "testkey", "testsecret123"
PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")

CONFIG = """
[global]
fsid = {fsid}
auth cluster required = none
auth service required = none
auth client required = none
mon host = [v1:127.0.0.1:{mon_port}]
ms bind msgr2 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class update on start = false
osd crush update on start = false
osd objectstore = memstore
osd max object name len = 256
osd max object namespace len = 64
memstore device bytes = 8589934592
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 1
run dir = {root}/run
admin socket = {root}/run/$name.asok
log file = {root}/log/$name.log
debug none = 0/0
[mon.a]
mon data = {root}/mon
mon initial members = a
[osd.0]
osd data = {root}/osd
ms bind port min = {osd_port}
ms bind port max = {osd_port_end}
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw enable usage log = false
rgw enable ops log = false
rgw gc obj min wait = 5
rgw gc processor period = 5
rgw gc processor max time = 5
"""


def missing_programs() -> list[str]:
    """Return the programs that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


class CephGateway:
    """A running gateway.

    Attributes
    ----------
    endpoint
        Its URL.
    spare
        A bucket from before any crash: it takes half a minute to make one after it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._config = root / "ceph.conf"
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.gateway: subprocess.Popen[bytes] | None = None
        self.spare: Any = None

    def start(self) -> None:
        """Start everything; takes 15 to 50 seconds."""
        for name in ("mon", "osd", "run", "log"):
            (self.root / name).mkdir(parents=True)
        mon_port, osd_port = free_port(), free_port(8)
        fsid = str(uuid.uuid4())
        self._config.write_text(
            CONFIG.format(
                fsid=fsid,
                root=self.root,
                port=self.port,
                mon_port=mon_port,
                osd_port=osd_port,
                osd_port_end=osd_port + 7,
            )
        )
        self._run("monmaptool", "--create", "--clobber", "--fsid", fsid,
                  "--addv", "a", f"[v1:127.0.0.1:{mon_port}]", str(self.root / "monmap"),
                  config=False)  # fmt: skip
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(self.root / "monmap"))
        self._daemon("ceph-mon", "-i", "a")
        osd_uuid = str(uuid.uuid4())
        self._run("ceph", "osd", "new", osd_uuid)
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "host=localhost", "root=default")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_uuid)
        self._daemon("ceph-osd", "-i", "0")
        self._wait_for_storage()
        self._add_user("test", KEY, SECRET)
        self.start_gateway()

    def start_gateway(self) -> None:
        """Start the gateway alone, as after a crash of it."""
        self.gateway = self._daemon("radosgw", "-n", "client.rgw")
        wait_until_answering(self.endpoint, self.gateway, self._log("radosgw"), 60)

    def kill_gateway(self) -> None:
        """End the gateway as a crash would."""
        assert self.gateway is not None
        self.gateway.kill()
        self.gateway.wait()

    def add_user(self, name: str, *more: str) -> tuple[str, str]:
        """Make another user; return key and secret."""
        key, secret = f"{name}-key", f"{name}-secret"
        self._add_user(name, key, secret, *more)
        return key, secret

    def _add_user(self, name: str, key: str, secret: str, *more: str) -> None:
        """Make a user."""
        identity = [f"--uid={name}", f"--display-name={name}"]
        keys = [f"--access-key={key}", f"--secret-key={secret}"]
        self._run("radosgw-admin", "-n", "client.rgw", "user", "create", *identity, *keys, *more)

    def stop(self) -> None:
        """End every daemon, the gateway first."""
        for process in reversed(self._daemons):
            end(process)
        self._daemons.clear()

    def _run(self, program: str, *arguments: str, config: bool = True) -> None:
        """Run a program to its end."""
        chosen = ["-c", str(self._config)] if config else []
        done = subprocess.run(
            [program, *chosen, *arguments], capture_output=True, timeout=60, check=False
        )
        if done.returncode:
            raise ServerError(f"{program} {arguments}: {done.stderr.decode()[-2000:]}")

    def _daemon(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a daemon in the foreground."""
        command = [program, "-c", str(self._config), *arguments, "-f"]
        process = start(command, self._log(program))
        self._daemons.append(process)
        return process

    def _log(self, program: str) -> Path:
        """Return the file that a daemon's output goes to."""
        return self.root / "log" / f"{program}.out"

    def _wait_for_storage(self) -> None:
        """Return when the storage daemon is up."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            told = subprocess.run(
                ["ceph", "-c", str(self._config), "osd", "stat"],
                capture_output=True,
                timeout=10,
                check=False,
            )
            if b"1 up" in told.stdout:
                return
            if self._daemons[-1].poll() is not None:
                raise ServerError(f"ceph-osd ended; see {self._log('ceph-osd')}")
            time.sleep(0.2)
        raise ServerError("ceph-osd did not come up")
