#!/bin/sh
# Programs that some tests use and skip without: installed when run by root, named otherwise.
set -eu

"$(dirname "$0")/s3-server.sh"
packages=""
services=""
PATH="$PATH:/usr/sbin"
command -v nginx >/dev/null || { packages="$packages nginx-light"; services="$services nginx"; }
command -v openssl >/dev/null || packages="$packages openssl"
command -v etcd >/dev/null || { packages="$packages etcd-server"; services="$services etcd"; }
command -v redis-server >/dev/null || { packages="$packages redis-server"; services="$services redis-server"; }
command -v haproxy >/dev/null || { packages="$packages haproxy"; services="$services haproxy"; }
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || {
    packages="$packages postgresql"
    services="$services postgresql"
}
[ -n "$packages" ] || exit 0

command="apt-get install -y --no-install-recommends$packages"
if [ "$(id -u)" -eq 0 ]; then
    echo "installing$packages: some tests need them"
    apt-get update -q=2
    DEBIAN_FRONTEND=noninteractive $command
    if [ -n "$services" ] && [ -d /run/systemd/system ]; then
        echo "disabling$services: tests start servers of their own"
        systemctl disable --now $services
    fi
else
    echo "tests that need$packages are skipped; to run them too: sudo $command"
fi
