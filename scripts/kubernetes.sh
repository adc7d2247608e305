#!/usr/bin/env bash
# A real Kubernetes for tests, with two nodes on this machine: built from Go modules, run beside a containerd of its own for each node.
#
#   scripts/kubernetes.sh build          compiles it, once for a version: about 10 minutes on 2 cores
#   scripts/kubernetes.sh up             starts it, and writes $PV_KUBERNETES/kubeconfig and $PV_KUBERNETES/gateway: where pods reach this machine
#   scripts/kubernetes.sh load TAR       gives the images of a `docker save` to both nodes
#   scripts/kubernetes.sh down           ends it, and removes all but what was built
#
# Needs root, and what `scripts/setup.sh kubernetes` installs. Nothing is pulled: pods run images that were loaded.
set -euo pipefail

VERSION=1.34.2
HOME_OF_CLUSTER=${PV_KUBERNETES:-${XDG_CACHE_HOME:-$HOME/.cache}/pv/kubernetes}
BIN=$HOME_OF_CLUSTER/bin-$VERSION
RUN=$HOME_OF_CLUSTER/run
GATEWAY=10.213.0.1
PODS=10.213.0.0/16
NODES="node1 node2"
PROGRAMS="kube-apiserver kube-controller-manager kube-scheduler kubelet"

# Kubernetes needs its own parts at the versions that belong to it, which its module file does not name.
build() {
    for program in $PROGRAMS; do [ -x "$BIN/$program" ] || break; done && [ -x "$BIN/kubelet" ] && return 0
    local src=$HOME_OF_CLUSTER/src; mkdir -p "$src" "$BIN"; cd "$src"
    local module; module=$(go mod download -json "k8s.io/kubernetes@v$VERSION" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    {
        echo "module test.invalid/kubernetes"
        grep -E '^(go|godebug) ' "$module/go.mod"
        echo "require k8s.io/kubernetes v$VERSION"
        grep -oE 'k8s\.io/[a-z-]+ v0\.0\.0( |$)' "$module/go.mod" | sort -u | awk -v v="v0.${VERSION#1.}" '{ print "replace " $1 " => " $1 " " v }'
    } > go.mod
    { echo "package tools"; for program in $PROGRAMS; do echo "import _ \"k8s.io/kubernetes/cmd/$program/app\""; done; } > tools.go
    go mod tidy
    local at=k8s.io/component-base/version
    CGO_ENABLED=0 go build -trimpath -o "$BIN/" \
        -ldflags "-s -w -X $at.gitVersion=v$VERSION -X $at.gitMajor=1 -X $at.gitMinor=$(cut -d. -f2 <<< "$VERSION")" \
        $(printf 'k8s.io/kubernetes/cmd/%s ' $PROGRAMS)
}

# Starts a program in the background: its name, then the command.
start() {
    local name=$1; shift
    setsid "$@" > "$RUN/$name.log" 2>&1 &
    echo $! > "$RUN/$name.pid"
}

# Waits up to 60 s for a command to succeed.
await() {
    for _ in $(seq 300); do "$@" > /dev/null 2>&1 && return 0; sleep 0.2; done
    echo "gave up waiting for: $*" >&2; tail -5 "$RUN"/*.log >&2; return 1
}

kubectl() { command kubectl --kubeconfig "$RUN/../kubeconfig" "$@"; }

# The image that holds a pod's network: the smallest program that waits.
pause_image() {
    local root=$RUN/pause; mkdir -p "$root/layer/bin"
    cp "$(command -v busybox)" "$root/layer/bin/busybox"
    python3 - "$root" <<'PY'
import hashlib, json, os, sys, tarfile
root = sys.argv[1]
with tarfile.open(f"{root}/layer.tar", "w") as layer:
    layer.add(f"{root}/layer", arcname=".")
diff = hashlib.sha256(open(f"{root}/layer.tar", "rb").read()).hexdigest()
arch = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
config = {"architecture": arch, "os": "linux", "config": {"Entrypoint": ["/bin/busybox", "sleep", "1000000"]},
          "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]}, "history": [{}]}
json.dump(config, open(f"{root}/config.json", "w"))
json.dump([{"Config": "config.json", "RepoTags": ["pv.test/pause:1"], "Layers": ["layer.tar"]}], open(f"{root}/manifest.json", "w"))
with tarfile.open(f"{root}/pause.tar", "w") as image:
    for name in ["config.json", "manifest.json", "layer.tar"]:
        image.add(f"{root}/{name}", arcname=name)
PY
}

node() {
    local node=$1 port=$2 dir=$RUN/$1; mkdir -p "$dir"
    cat > "$dir/containerd.toml" <<T
version = 2
root = "$dir/containerd"
state = "/run/pv-$node"
[grpc]
address = "/run/pv-$node.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "pv.test/pause:1"
# Where a capability is missing, no process may become harder to kill.
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$RUN/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.internal.v1.opt"]
path = "$dir/opt"
T
    start "containerd-$node" containerd --config "$dir/containerd.toml"
    await ctr -a "/run/pv-$node.sock" version
    ctr -a "/run/pv-$node.sock" -n k8s.io images import --no-unpack=false "$RUN/pause/pause.tar" > /dev/null 2>&1 ||
        ctr -a "/run/pv-$node.sock" -n k8s.io images import "$RUN/pause/pause.tar" > /dev/null
    for hierarchy in /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs; do
        [ ! -e "$hierarchy" ] || mkdir -p "$(dirname "$hierarchy")/pv-$node"
    done
    # A new group of processors is empty, and then no process fits in.
    local cpus=/sys/fs/cgroup/cpuset
    [ ! -d "$cpus" ] || for file in cpuset.cpus cpuset.mems; do cat "$cpus/$file" > "$cpus/pv-$node/$file"; done
    cat > "$dir/kubelet.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: $port
healthzPort: $((port + 1))
authentication: { anonymous: { enabled: false }, webhook: { enabled: false }, x509: { clientCAFile: $RUN/tls/ca.crt } }
authorization: { mode: AlwaysAllow }
containerRuntimeEndpoint: unix:///run/pv-$node.sock
cgroupDriver: cgroupfs
cgroupsPerQOS: true
cgroupRoot: /pv-$node
enforceNodeAllocatable: []
podPidsLimit: 1024
clusterDNS: [$GATEWAY]
failSwapOn: false
failCgroupV1: false
imageGCHighThresholdPercent: 100
evictionHard: { memory.available: "1Mi" }
makeIPTablesUtilChains: false
resolvConf: ""
K
    start "kubelet-$node" "$BIN/kubelet" --config "$dir/kubelet.yaml" --kubeconfig "$HOME_OF_CLUSTER/kubeconfig" \
        --hostname-override "$node" --node-ip "$GATEWAY" --root-dir "$dir/kubelet" --cert-dir "$dir/certs"
}

up() {
    [ -x "$BIN/kubelet" ] || { echo "build it first: $0 build" >&2; exit 1; }
    down
    mkdir -p "$RUN/tls" "$RUN/cni"; cd "$RUN"
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout tls/ca.key -out tls/ca.crt 2> /dev/null
    openssl genrsa -out tls/accounts.key 2048 2> /dev/null
    openssl rsa -in tls/accounts.key -pubout -out tls/accounts.pub 2> /dev/null
    ip link add pvkube0 type bridge; ip addr add "$GATEWAY/16" dev pvkube0; ip link set pvkube0 up
    cat > cni/10-pv.conflist <<C
{ "cniVersion": "0.4.0", "name": "pvkube", "plugins": [
  { "type": "bridge", "bridge": "pvkube0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
    "ipam": { "type": "host-local", "dataDir": "$RUN/ipam", "ranges": [[{ "subnet": "$PODS", "rangeStart": "10.213.1.0" }]],
              "routes": [{ "dst": "0.0.0.0/0" }] } } ] }
C
    echo "secret-of-this-test,admin,1,\"system:masters\"" > tokens.csv
    cat > "$HOME_OF_CLUSTER/kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{ name: test, cluster: { server: "https://127.0.0.1:26443", insecure-skip-tls-verify: true } }]
users: [{ name: admin, user: { token: secret-of-this-test } }]
contexts: [{ name: test, context: { cluster: test, user: admin } }]
current-context: test
K
    echo "$GATEWAY" > "$HOME_OF_CLUSTER/gateway"
    pause_image
    start etcd etcd --data-dir "$RUN/etcd" --unsafe-no-fsync --listen-client-urls http://127.0.0.1:22379 \
        --advertise-client-urls http://127.0.0.1:22379 --listen-peer-urls http://127.0.0.1:22380
    start apiserver "$BIN/kube-apiserver" --etcd-servers http://127.0.0.1:22379 --bind-address 127.0.0.1 --secure-port 26443 \
        --advertise-address "$GATEWAY" --cert-dir "$RUN/certs" --token-auth-file tokens.csv --authorization-mode RBAC \
        --service-account-key-file tls/accounts.pub --service-account-signing-key-file tls/accounts.key \
        --service-account-issuer https://kubernetes.default.svc --service-cluster-ip-range 10.214.0.0/24 \
        --endpoint-reconciler-type none --allow-privileged
    await kubectl get --raw /readyz
    start controllers "$BIN/kube-controller-manager" --kubeconfig "$HOME_OF_CLUSTER/kubeconfig" --leader-elect=false --secure-port 0 \
        --service-account-private-key-file tls/accounts.key --root-ca-file tls/ca.crt --use-service-account-credentials \
        --controllers '*,-nodeipam,-node-route-controller,-service-lb-controller'
    start scheduler "$BIN/kube-scheduler" --kubeconfig "$HOME_OF_CLUSTER/kubeconfig" --leader-elect=false --secure-port 0
    local port=22500
    for node in $NODES; do node "$node" "$port"; port=$((port + 10)); done
    for node in $NODES; do await kubectl wait --for=condition=Ready "node/$node" --timeout=1s; done
    await kubectl get serviceaccount default
    kubectl get nodes
    echo "export KUBECONFIG=$HOME_OF_CLUSTER/kubeconfig"
}

load() {
    for node in $NODES; do ctr -a "/run/pv-$node.sock" -n k8s.io images import "$1" > /dev/null; done
}

# Ends a program that `start` began, for good.
end() {
    local file=$RUN/$1.pid pid
    [ -f "$file" ] || return 0
    pid=$(cat "$file"); rm -f "$file"
    kill "$pid" 2> /dev/null || return 0
    for _ in $(seq 50); do kill -0 "$pid" 2> /dev/null || return 0; sleep 0.1; done
    kill -9 "$pid" 2> /dev/null || true
}

down() {
    for node in $NODES; do
        end "kubelet-$node"
        local socket=/run/pv-$node.sock
        if [ -S "$socket" ]; then
            timeout 20 ctr -a "$socket" -n k8s.io tasks ls -q 2> /dev/null | xargs -r -n1 timeout 10 ctr -a "$socket" -n k8s.io tasks kill -s SIGKILL > /dev/null 2>&1 || true
        fi
        end "containerd-$node"
        pkill -f "containerd-shim-runc-v2 .*-address $socket" || true
    done
    for name in scheduler controllers apiserver etcd; do end "$name"; done
    awk -v run="$RUN/" 'index($2, run) == 1 || index($2, "/run/pv-node") == 1 || index($2, "/run/netns/cni-") == 1 { print $2 }' /proc/mounts |
        sort -r | xargs -r -n1 umount -l 2> /dev/null || true
    rm -f /run/netns/cni-*
    ip link del pvkube0 2> /dev/null || true
    find /sys/fs/cgroup -depth -path '*/pv-node[12]*' -type d -exec rmdir {} \; 2> /dev/null || true
    rm -rf "$RUN" /run/pv-node1* /run/pv-node2*
}

case ${1:-} in
    build | up | down) "$1" ;;
    load) load "$2" ;;
    *) echo "usage: $0 build|up|load TAR|down" >&2; exit 2 ;;
esac
