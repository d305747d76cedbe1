"""A small volume, which fills quickly."""

import os
import subprocess

SIZE = "2m"


class SmallVolume:
    """A file system in memory that only one process sees. It is gone when that process ends."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def mount(self):
        """Returns the prefix of a command that runs with the volume."""
        user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        script = f'mount -t tmpfs -o size={SIZE} tmpfs "$0" && exec "$@"'
        return "unshare", *user, "--mount", "sh", "-c", script, self.folder

    def can_be_mounted(self):
        try:
            return subprocess.run([*self.mount(), "true"], capture_output=True).returncode == 0
        except FileNotFoundError:
            return False
