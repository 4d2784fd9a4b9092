"""Kernel, initramfs, runtime root filesystems and code images: everything a microVM is made of.

Set-up (`setup`) turns Debian and PyPI packages into the first three, as an ordinary user, once:

    packages -> kernel (vmlinux + modules) -> initramfs (+ the guest agent, compiled here)
    packages -> runtime root filesystems (read-only ext4)

and keeps them in the cache directory (`store`) under names derived from what they were made of.
`catalog.load_images` finds them again; `probe` tells what this machine can do with them.
"""
