#!/bin/sh
# Makes or updates .venv from the locked requirements, with uv; says what it installs and why.
# Needs Python 3.11 or later. uv is taken from the PATH, or installed by pip into the cache.
set -eu
cd "$(dirname "$0")/.."
cache="${AETHER_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/aether}"

say() { printf 'venv: %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@" >&2
    exit 1
}

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    # The system's own comes first: it is there for every user, and stays.
    for python in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$python" >/dev/null && recent "$python"; then
            command -v "$python"
            return
        fi
    done
    fail "no Python 3.11 or later on this machine" "on Debian 12 or later: sudo apt-get install -y python3"
}

install_packages() {
    # $1: why; the rest: Debian packages
    why="$1"
    shift
    if [ "$(id -u)" -ne 0 ]; then
        # What set-up needs next is named with it: one visit to the administrator is enough.
        command -v qemu-system-x86_64 >/dev/null || [ "$(uname -m)" != x86_64 ] || set -- "$@" qemu-system-x86
        fail "$why" "ask an administrator to run:" \
            "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
    fi
    command -v apt-get >/dev/null || fail "$why" "install these, then run it again: $*"
    say "apt-get install $*: $why"
    export DEBIAN_FRONTEND=noninteractive
    ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || apt-get update -q=2 >&2
    apt-get install -q=2 -y --no-install-recommends "$@" >&2
}

find_uv() {
    if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
        command -v uv
        return
    fi
    home="$cache/tools/uv"
    if ! cmp -s requirements/uv.txt "$home/requirements.txt"; then
        "$python" -m pip --version >/dev/null 2>&1 ||
            install_packages "pip is missing, which installs uv, which installs the rest" python3-pip
        say "installing uv into $home, with pip, checked by hash: it installs the rest"
        rm -rf "$home" "$home.new"
        "$python" -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore \
            --require-hashes --no-deps --target "$home.new" -r requirements/uv.txt >&2 ||
            fail "pip could not install uv" "check the network, then run it again"
        cp requirements/uv.txt "$home.new/requirements.txt"
        mv "$home.new" "$home"
    fi
    echo "$home/bin/uv"
}

python="$(find_python)"
uv="$(find_uv)"
export VIRTUAL_ENV="$PWD/.venv"
if ! recent .venv/bin/python; then
    say "making .venv with $("$python" --version) of $python"
    rm -rf .venv
    "$uv" venv --quiet --no-project --python "$python" .venv
fi
say "installing the locked requirements, checked by hash"
"$uv" pip sync --require-hashes requirements/dev.txt
say "installing Aether itself, editable"
"$uv" pip install --no-deps --no-build-isolation --offline --editable .
