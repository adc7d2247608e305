#!/usr/bin/env bash
# Installs what is missing on a bare Debian or Ubuntu machine; says what, asks nothing, does nothing when all is there.
# Arguments: which parts are needed: build (C++ compiler, libclang), docker (engine), python (for the example's
# stages), terminal (a pager and a pseudo-terminal, for tests); from PyPI into the target folder, for tests: s3 (a server), numpy (numpy, pandas, Pillow …, which reckon independently),
# proof (outside tools that check what pv signs); metrics (what reads metrics, alert rules and units: prometheus-client, promtool, systemd-analyze); api (what reads and calls the HTTP API: validators, schemathesis, a generator of clients); notify (standardwebhooks and aiosmtpd, which receive notifications); page (Chromium, nginx and axe-core, which open the page); kubernetes (what `scripts/kubernetes.sh` builds and runs a cluster with); bare-root (mmdebstrap, for the test of this script); bench (the rivals).
# Exit code 6: something is missing that it may not install; it says what, in a line to paste.
set -euo pipefail

missing=()
need() { # need PACKAGE TEST...: PACKAGE is needed when TEST fails
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
# Whether bindgen will find libclang: what clang-sys looks for, where it looks (its build/common.rs and dynamic.rs). `libclang-cpp` is
# another library, which looks alike. The library alone is no use: the headers of the compiler itself have to be there too.
has_libclang() {
    local folders=() more=() prefix folder file head own
    shopt -s nullglob
    LC_ALL=C IFS= read -rN 5 own </proc/self/exe || true
    if [ -n "${LIBCLANG_PATH:-}" ]; then
        folders=("$LIBCLANG_PATH" "$(dirname "$LIBCLANG_PATH")")
        [ -d "$LIBCLANG_PATH" ] && unset 'folders[1]'
    else
        if prefix=$("${LLVM_CONFIG_PATH:-llvm-config}" --prefix 2>/dev/null); then
            folders=("$prefix/bin" "$prefix/lib" "$prefix/lib64")
        fi
        IFS=: read -ra more <<<"${LD_LIBRARY_PATH:-}:${LIBRARY_PATH:-}"
        folders+=("${more[@]}" /usr/local/llvm*/lib* /usr/local/lib*/*/* /usr/local/lib*/* /usr/local/lib* /usr/lib*/*/* /usr/lib*/* /usr/lib*)
    fi
    for folder in "${folders[@]}"; do
        for file in "$folder"/libclang.so "$folder"/libclang.so.* "$folder"/libclang-*.so "$folder"/libclang-*.so.*; do
            [[ $file != *-cpp.* ]] && [ -f "$file" ] && LC_ALL=C IFS= read -rN 5 head <"$file" || continue
            [ "$head" = "$own" ] && has_headers "$(dirname "$(realpath "$file")")" && return 0 # an ELF file of this machine's class
        done
    done
    return 1
}
has_headers() { # has_headers FOLDER: of a compiler, beside its library or where distributions put them
    local headers=("$1"/clang/*/include/stddef.h "$1"/../lib*/clang/*/include/stddef.h
        /usr/lib*/clang/*/include/stddef.h /usr/lib/llvm*/lib/clang/*/include/stddef.h /usr/local/lib*/clang/*/include/stddef.h)
    [ ${#headers[@]} -gt 0 ] && [ -e "${headers[0]}" ]
}

has_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
has_fonts() { find -L /usr/share/fonts /usr/local/share/fonts -name '*.ttf' | grep -q .; }

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
# unpacked FOLDER PACKAGE FILE: a program alone, out of Debian's package, into the target folder: to install the package would start a server.
unpacked() {
    local folder=${CARGO_TARGET_DIR:-target}/$1/bin unpacked
    [ -x "$folder/${3##*/}" ] && return
    mkdir -p "$folder" && unpacked=$(mktemp -d) || return
    (cd "$unpacked" && apt-get -o APT::Sandbox::User=root download -qq "$2" && dpkg -x "$2"_*.deb .) >&2 &&
        cp "$unpacked/$3" "$folder/"
    local done=$?
    rm -rf "$unpacked"
    return "$done"
}
# axe VERSION SHA256: axe-core as its makers publish it, one script, into the target folder.
axe() {
    local folder=${CARGO_TARGET_DIR:-target}/page-tools file=axe-core-$1.tgz fetched
    [ -e "$folder/axe-$1.js" ] && return
    mkdir -p "$folder" && fetched=$(mktemp -d) || return
    (
        cd "$fetched"
        if command -v npm >/dev/null; then npm pack --silent "axe-core@$1" >/dev/null; else
            curl -fsSLO "https://registry.npmjs.org/axe-core/-/$file"
        fi && echo "$2  $file" | sha256sum --check --quiet && tar -xzf "$file" package/axe.min.js
    ) >&2 && cp "$fetched/package/axe.min.js" "$folder/axe-$1.js"
    local done=$?
    rm -rf "$fetched"
    return "$done"
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
    if [[ " $* " == *' bench '* ]]; then
        unpacked bench-tools nginx usr/sbin/nginx || echo 'setup: nginx could not be fetched; the case `server` will fail' >&2
    fi
    if [[ " $* " == *' metrics '* ]]; then
        venv metrics-tools 'prometheus-client==0.26.0' ||
            echo 'setup: the parser of OpenMetrics could not be installed; its test is left out' >&2
        unpacked metrics-tools prometheus usr/bin/promtool || echo 'setup: promtool could not be fetched; its test is left out' >&2
    fi
    if [[ " $* " == *' api '* ]]; then
        venv api-tools 'openapi-spec-validator==0.9.0' 'schemathesis==4.32.5' 'openapi-python-client==0.29.1' 'ruff==0.17.6' ||
            echo 'setup: tools that call the API could not be installed; their tests are left out' >&2
    fi
    if [[ " $* " == *' notify '* ]]; then
        venv notify-tools 'standardwebhooks==1.1.0' 'aiosmtpd==1.4.6' ||
            echo 'setup: receivers of notifications could not be installed; their tests are left out' >&2
    fi
    if [[ " $* " == *' kubernetes '* ]] && ! command -v etcd >/dev/null; then
        unpacked kubernetes-tools etcd-server usr/bin/etcd || echo 'setup: etcd could not be fetched; no cluster can be started' >&2
    fi
    if [[ " $* " == *' page '* ]]; then
        unpacked page-tools nginx usr/sbin/nginx || echo 'setup: nginx could not be fetched; its tests are left out' >&2
        axe 4.14.1 e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745 ||
            echo 'setup: axe-core could not be fetched; its tests are left out' >&2
    fi
}

for part in "$@"; do
    case $part in
        build)
            need g++ command -v c++
            need gcc command -v cc
            need libc6-dev test -e /usr/include/stdio.h
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
        terminal)
            need less command -v less
            need bsdutils command -v script
            ;;
        kubernetes)
            need golang-go command -v go
            need containerd command -v containerd
            need runc command -v runc
            need containernetworking-plugins test -x /usr/lib/cni/bridge
            need iptables test -x /usr/sbin/iptables
            need iproute2 command -v ip
            need procps command -v pgrep
            need openssl command -v openssl
            need jq command -v jq
            need busybox-static test -x /bin/busybox
            ;;
        bare-root)
            need mmdebstrap command -v mmdebstrap
            ;;
        bench)
            need python3 command -v python3
            need gcc command -v cc
            need libc6-dev test -e /usr/include/stdio.h
            need git command -v git
            need borgbackup command -v borg
            need restic command -v restic
            need xz-utils command -v xz
            need openssl command -v openssl
            need wrk command -v wrk
            need inotify-tools command -v inotifywait
            need curl command -v curl
            need libpcre2-8-0 test -e "/usr/lib/$(uname -m)-linux-gnu/libpcre2-8.so.0"
            ;;
        metrics)
            need python3 command -v python3
            need python3-venv python3 -c 'import ensurepip, venv'
            need systemd command -v systemd-analyze
            need curl command -v curl
            need openssl command -v openssl
            ;;
        page)
            need chromium has_chromium
            need fonts-dejavu-core has_fonts
            need curl command -v curl
            need libpcre2-8-0 test -e "/usr/lib/$(uname -m)-linux-gnu/libpcre2-8.so.0"
            ;;
        s3 | numpy | proof | api | notify)
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

lacks=()
command -v cargo >/dev/null || lacks+=('setup: no cargo here; install Rust from https://rustup.rs')
if [ ${#missing[@]} -gt 0 ]; then
    sudo=()
    if ! command -v apt-get >/dev/null; then
        lacks+=("setup: please install: ${missing[*]} (as Debian calls them; this is no Debian or Ubuntu, so nothing is installed by itself)")
    elif [ "$(id -u)" != 0 ]; then
        sudo=(sudo -n)
        if ! sudo -n true 2>/dev/null; then
            as_root='' who=' as root'
            if command -v sudo >/dev/null; then as_root='sudo ' who=''; fi
            lacks+=("setup: not everything is installed, and this user may not do that without a password. Please run$who:")
            lacks+=("    ${as_root}apt-get update && ${as_root}apt-get install -y --no-install-recommends ${missing[*]}")
        fi
    fi
fi
if [ ${#lacks[@]} -gt 0 ]; then
    printf '%s\n' "${lacks[@]}" >&2
    exit 6
fi
if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing ${missing[*]} with apt-get (one to three minutes)" >&2
    started=$SECONDS
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    install() {
        "${sudo[@]}" apt-get update -qq &&
            "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    }
    if ! install >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        echo "setup: apt-get failed; once it works again: apt-get install -y --no-install-recommends ${missing[*]}" >&2
        exit 6
    fi
    echo "setup: installed after $((SECONDS - started)) s" >&2
fi
after "$@"
