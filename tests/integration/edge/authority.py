"""A certificate authority for tests, and certificates by it."""

from __future__ import annotations

import subprocess
from pathlib import Path

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """One that signs what it is asked to, in a folder of its own."""

    def __init__(self, folder: Path, name: str = "cluster") -> None:
        self._folder = folder
        self.cert, self._key = folder / f"{name}-ca.pem", folder / f"{name}-ca.key"
        _openssl(
            *("req", "-x509", *EC, "-keyout", self._key, "-out", self.cert, "-days", "2"),
            *("-subj", f"/CN={name} CA"),
        )

    def certificate(self, name: str, use: str = "serverAuth,clientAuth", days: int = 2) -> tuple[Path, Path]:
        """A certificate and its key; `days` below zero for one that has run out."""
        cert, key, request = (self._folder / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
        _openssl("req", *EC, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"extendedKeyUsage={use}\n")
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", extensions, "-out", cert),
        )
        return cert, key


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
