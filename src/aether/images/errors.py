"""What can go wrong with images, each with the command that puts it right."""

from __future__ import annotations

from aether.domain.errors import AetherError


class MissingImages(AetherError):
    """Kernel, initramfs or runtime is not there, or made from older sources. The hint says what to run."""

    code, status = "missing_images", 503

    def __init__(self, message: str, *, hint: str = "run: aether setup") -> None:
        super().__init__(message, hint=hint, component="worker")


class SetupFailed(AetherError):
    """Set-up cannot go on. Nothing half-made is used; running it again resumes."""

    code, status = "setup_failed", 500

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, component="setup")
