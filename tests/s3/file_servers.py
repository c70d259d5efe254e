"""Servers for files on 127.0.0.1, on threads of this process: FTP and SFTP.

Each serves one directory to one user.
"""

from __future__ import annotations

import os
import socket
import threading
import warnings
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path

import paramiko

with warnings.catch_warnings():  # of asyncore, which left the standard library in Python 3.12
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

__all__ = ["PASSWORD", "USER", "ftp_server", "sftp_server"]

USER, PASSWORD = "me", "quite-secret"


@contextmanager
def ftp_server(root: Path):
    """Serve a directory over FTP; gives the port."""
    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, str(root), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer})
    server = FTPServer(("127.0.0.1", 0), handler)
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            server.serve_forever(timeout=0.05, blocking=False)
        server.close_all()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.address[1]
    finally:
        stop.set()
        thread.join()


class _Login(paramiko.ServerInterface):
    """Lets the one user in."""

    def check_auth_password(self, username, password):
        known = (username, password) == (USER, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def get_allowed_auths(self, username):
        return "password"


def _answering(method):
    """Turn an error of the operating system into an answer."""

    @wraps(method)
    def answer(self, *arguments):
        try:
            result = method(self, *arguments)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return paramiko.SFTP_OK if result is None else result

    return answer


class _Files(paramiko.SFTPServerInterface):
    """The files of a directory."""

    root = Path()

    def _path(self, name):
        return self.root / name.lstrip("/")

    @_answering
    def list_folder(self, path):
        found = []
        for file in self._path(path).iterdir():
            attributes = paramiko.SFTPAttributes.from_stat(file.stat())
            attributes.filename = file.name
            found.append(attributes)
        return found

    @_answering
    def stat(self, path):
        return paramiko.SFTPAttributes.from_stat(self._path(path).stat())

    lstat = stat

    @_answering
    def open(self, path, flags, attr):
        handle = paramiko.SFTPHandle(flags)
        writing = flags & (os.O_WRONLY | os.O_RDWR)
        descriptor = os.open(self._path(path), flags, 0o666)
        handle.readfile = handle.writefile = os.fdopen(descriptor, "wb" if writing else "rb")
        handle.stat = lambda: paramiko.SFTPAttributes.from_stat(os.fstat(descriptor))
        return handle

    @_answering
    def remove(self, path):
        self._path(path).unlink()

    @_answering
    def rename(self, oldpath, newpath):
        self._path(oldpath).rename(self._path(newpath))

    posix_rename = rename

    @_answering
    def mkdir(self, path, attr):
        self._path(path).mkdir()

    @_answering
    def rmdir(self, path):
        self._path(path).rmdir()


@contextmanager
def sftp_server(root: Path):
    """Serve a directory over SFTP; gives the port."""
    files = type("Files", (_Files,), {"root": root})
    key = paramiko.ECDSAKey.generate()
    listening = socket.create_server(("127.0.0.1", 0))
    transports = []

    def serve():
        with suppress(OSError):
            while True:
                transport = paramiko.Transport(listening.accept()[0])
                transports.append(transport)
                transport.add_server_key(key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, files)
                transport.start_server(server=_Login())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
        for transport in transports:
            transport.close()
