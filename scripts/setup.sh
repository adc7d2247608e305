#!/usr/bin/env bash
# Installs what is missing on a bare Debian or Ubuntu machine; says what, asks nothing, does nothing when all is there.
# Arguments: which parts are needed: build (C++ compiler, libclang), docker (engine), python (for the example's
# stages); from PyPI into the target folder, for tests: s3 (a server), numpy (numpy, pandas, Pillow …, which reckon independently),
# proof (outside tools that check what pv signs); bench (the rivals).
set -euo pipefail

missing=()
need() { # need PACKAGE TEST...: PACKAGE is needed when TEST fails
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_libclang() { compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' || compgen -G '/usr/lib/*/libclang*.so*' || [ -n "${LIBCLANG_PATH:-}" ]; }

# venv NAME PACKAGE...: a Python with these packages, below the target folder. Versions are fixed where tests depend on them.
venv() {
    local folder=${CARGO_TARGET_DIR:-target}/$1
    shift
    [ "$(cat "$folder/packages" 2>/dev/null)" = "$*" ] && return
    echo "setup: installing $* into $folder" >&2
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@" >&2 || { rm -rf "$folder"; return 1; }
    echo "$*" >"$folder/packages"
}
after() { # what is left to do when all packages are there
    if [[ " $* " == *' numpy '* ]]; then
        venv numpy 'numpy>=2,<3' 'pandas>=2.2,<4' 'pillow>=11,<13' 'safetensors>=0.5,<1' 'pyyaml>=6,<7' ||
            echo 'setup: numpy and its like could not be installed; their tests are left out' >&2
    fi
    if [[ " $* " == *' s3 '* ]]; then
        venv s3-server 'moto[server]==5.2.5' || echo 'setup: no S3 server could be installed; its tests are left out' >&2
    fi
    if [[ " $* " == *' proof '* ]]; then
        venv proof-tools 'in-toto-attestation==0.9.3' 'securesystemslib[crypto]==1.6.0' ||
            echo 'setup: tools that check proofs could not be installed; their tests are left out' >&2
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
        s3 | numpy | proof)
            need python3 command -v python3
            need python3-venv python3 -c 'import ensurepip, venv'
            need openssl command -v openssl
            need unzip command -v unzip
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
