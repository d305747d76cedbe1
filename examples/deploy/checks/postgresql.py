"""Runs PostgreSQL of Debian's package on loopback, which can be stopped and started again."""

import os
import pathlib
import shutil
import subprocess
import tempfile

from running import LOOPBACK, free_port


class PostgreSQL:
    def __init__(self):
        self.programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
        # The server does not run as root, and its user cannot read a folder of root.
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postgresql-"))
        if self.user:
            shutil.chown(self.folder, "postgres")
        self.port = free_port()
        self.url = f"postgres://postgres@{LOOPBACK}:{self.port}/postgres"

    def __enter__(self):
        self._run("initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder)

    def start(self):
        options = f"-c listen_addresses={LOOPBACK} -c port={self.port} -c fsync=off -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self):
        """Stops the server, if it runs, and closes its connections."""
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "fast", "stop", check=False)

    def execute(self, statement):
        self._run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-c", statement)

    def _run(self, program, *arguments, check=True):
        command = [*self.user, str(self.programs / program), *map(str, arguments)]
        subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=check)
