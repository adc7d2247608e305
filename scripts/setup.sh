#!/usr/bin/env bash
# Installs what is missing on a bare Debian or Ubuntu machine; says what, asks nothing, does nothing when all is there.
# Arguments: which parts are needed: build (C++ compiler, libclang), docker (engine), python (for the example's
# stages), s3 (a server for tests, from PyPI into the target folder), numpy (numpy, pandas, Pillow, safetensors and PyYAML for tests,
# from there into the same), bench (the rivals).
set -euo pipefail

missing=()
need() { # need PACKAGE TEST...: PACKAGE is needed when TEST fails
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_libclang() { compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' || compgen -G '/usr/lib/*/libclang*.so*' || [ -n "${LIBCLANG_PATH:-}" ]; }

install_s3() { # the version is fixed: what is tested must not change by itself
    local venv=${CARGO_TARGET_DIR:-target}/s3-server
    [ -x "$venv/bin/moto_server" ] && return
    echo "setup: installing moto into $venv" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'moto[server]==5.2.5' >&2 || { rm -rf "$venv"; return 1; }
}
install_numpy() {
    local venv=${CARGO_TARGET_DIR:-target}/numpy
    [ -e "$venv/complete" ] && return
    echo "setup: installing numpy, pandas, Pillow, safetensors into $venv" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
        'numpy>=2,<3' 'pandas>=2.2,<4' 'pillow>=11,<13' 'safetensors>=0.5,<1' 'pyyaml>=6,<7' >&2 || { rm -rf "$venv"; return 1; }
    touch "$venv/complete"
}
after() { # what is left to do when all packages are there
    if [[ " $* " == *' numpy '* ]]; then
        install_numpy || echo 'setup: numpy could not be installed; its tests are left out' >&2
    fi
    if [[ " $* " == *' s3 '* ]]; then
        install_s3 || echo 'setup: no S3 server could be installed; its tests are left out' >&2
    fi
}

for part in "$@"; do
    case $part in
        build)
            need g++ command -v c++
            need make command -v make
            need libclang-dev has_libclang
            ;;
        docker)
            need docker.io command -v dockerd
            need busybox-static test -x /bin/busybox
            ;;
        python)
            need python3 command -v /usr/bin/python3
            need python3-pip /usr/bin/python3 -m pip --version
            ;;
        bench)
            need python3 command -v python3
            need gcc command -v cc
            need libc6-dev test -e /usr/include/stdio.h
            need git command -v git
            need borgbackup command -v borg
            need restic command -v restic
            need xz-utils command -v xz
            ;;
        s3 | numpy)
            need python3 command -v python3
            need python3-venv python3 -c 'import ensurepip, venv'
            ;;
        *)
            echo "setup: unknown part $part" >&2
            exit 2
            ;;
    esac
done

if ! command -v cargo >/dev/null; then
    echo 'setup: no cargo here; install Rust from https://rustup.rs' >&2
    exit 6
fi
if [ ${#missing[@]} -eq 0 ]; then
    after "$@"
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "setup: please install: ${missing[*]} (this is no Debian or Ubuntu, so make does not)" >&2
    exit 6
fi
sudo=()
if [ "$(id -u)" != 0 ]; then
    sudo=(sudo -n)
    if ! sudo -n true 2>/dev/null; then
        echo "setup: please run: sudo apt-get install ${missing[*]}" >&2
        exit 6
    fi
fi
echo "setup: installing ${missing[*]}" >&2
"${sudo[@]}" apt-get update -qq >&2
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
after "$@"
