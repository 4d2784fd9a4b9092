#!/bin/sh
# Programs that some tests use and skip without: installed when run by root, named otherwise.
set -eu

packages=""
PATH="$PATH:/usr/sbin"
command -v nginx >/dev/null || packages="$packages nginx-light"
command -v openssl >/dev/null || packages="$packages openssl"
[ -n "$packages" ] || exit 0

command="apt-get install -y --no-install-recommends$packages"
if [ "$(id -u)" -eq 0 ]; then
    echo "installing$packages: some tests need them"
    apt-get update -q=2
    DEBIAN_FRONTEND=noninteractive $command
else
    echo "tests that need$packages are skipped; to run them too: sudo $command"
fi
