#!/usr/bin/env bash
# A Kubernetes of this machine's own, for tests: its programs compiled from Go modules, two nodes, nothing from a registry of images.
#
# Usage: kubernetes.sh build            compile what is missing (10 minutes on 2 cores the first time, 5 GB of disk meanwhile)
#        kubernetes.sh up               start it; prints the line that sets KUBECONFIG
#        kubernetes.sh load IMAGE.tar   an image as `docker save` writes it, to both nodes
#        kubernetes.sh down             end it, and remove all that it left
#
# All is kept in the folder PV_KUBERNETES (else ~/.cache/pv/kubernetes): `bin`, `kubeconfig`, `gateway` (the address at which pods reach
# servers of this machine), and `run`, which `down` removes (logs of the programs are there, and their process ids: end `kubelet-node2`
# to lose a node). Needs root, and what `scripts/setup.sh kubernetes` installs.
#
# Both nodes share the network of this machine: one bridge for the pods of both, which reach each other, this machine, and what it
# reaches. Each node has a containerd, a root of cgroups and a kubelet of its own. There is no DNS for names of services.
set -euo pipefail

version=1.37.2
bridge=pv-kubernetes
subnet=10.203.0.0/24
gateway=10.203.0.1
services=10.96.0.0/16
first_service=10.96.0.1 # by which pods reach the API
nodes=(node1 node2)
pause=pv.local/pause:1

here=$(cd "$(dirname "$0")/.." && pwd)
state=$(realpath -m -- "${PV_KUBERNETES:-${XDG_CACHE_HOME:-$HOME/.cache}/pv/kubernetes}")
bin=$state/bin/$version
run=$state/run
programs=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet)
export PATH=$bin:$PATH:/usr/sbin:/sbin:$(realpath -m -- "${CARGO_TARGET_DIR:-$here/target}")/kubernetes-tools/bin
command -v kubectl >/dev/null || programs+=(kubectl) # any kubectl of the last years will do
export KUBECONFIG=$state/kubeconfig

stop() { # stop CODE LINE...: says why
    local code=$1
    shift
    printf 'kubernetes: %s\n' "$@" >&2
    exit "$code"
}
within() { # within SECONDS COMMAND...: until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}
is_built() {
    local program
    for program in "${programs[@]}"; do [ -x "$bin/$program" ] || return 1; done
}

# ---- build

build() {
    is_built && return
    local program major minor replaced work=$state/build-$version
    for program in go jq; do command -v "$program" >/dev/null || stop 6 "there is no $program: scripts/setup.sh kubernetes installs it"; done
    minor=$(go env GOVERSION | sed 's/^go1\.//; s/[^0-9].*//')
    [ "$minor" -ge 21 ] || stop 6 "$(go version) is too old; 1.21 or newer fetches the one it takes: https://go.dev/dl"
    mkdir -p "$work" "$bin"
    exec 9>"$state/lock" # two builds at a time would do the same work twice
    flock 9
    is_built && return
    echo "kubernetes: compiling Kubernetes $version (about 10 minutes on 2 cores, 5 GB of disk meanwhile)" >&2
    local started=$SECONDS
    # A newer Go than the one here is a Go module too, which Go fetches by itself from 1.21 on.
    export GOTOOLCHAIN=auto GOFLAGS='-mod=mod -modcacherw -buildvcs=false' GOMODCACHE=$work/modules GOCACHE=$work/cache GOTMPDIR=$work CGO_ENABLED=0
    # Kubernetes names the modules it is made of by paths of its repository; as modules of their own they have its version, from 0.
    replaced=$(cd "$work" && go mod download -json "k8s.io/kubernetes@v$version" | jq -r .GoMod) || stop 1 'its sources cannot be had'
    {
        printf 'module kubernetes\n\ngo %s\n\nrequire k8s.io/kubernetes v%s\n\n' "$(sed -n 's/^go //p' "$replaced")" "$version"
        sed -nE "s#^[[:space:]]+(k8s\.io/[a-z0-9-]+) => \./staging/.*#replace \1 => \1 v0.${version#*.}#p" "$replaced"
    } >"$work/go.mod"
    IFS=. read -r major minor _ <<<"$version"
    local package=k8s.io/component-base/version
    (
        cd "$work"
        go get "${programs[@]/#/k8s.io/kubernetes/cmd/}"
        go build -trimpath -o "$bin/" -ldflags "-s -w -X $package.gitVersion=v$version -X $package.gitMajor=$major \
            -X $package.gitMinor=$minor -X $package.gitTreeState=clean" "${programs[@]/#/k8s.io/kubernetes/cmd/}"
    ) >"$work/log" 2>&1 || { tail -n 15 "$work/log" >&2 && stop 1 'it does not compile'; }
    rm -rf "$work"
    echo "kubernetes: compiled after $(((SECONDS - started) / 60)) min" >&2
}

# ---- up

# start NAME PROGRAM ARGUMENT...: as a process that outlives this script
start() {
    local name=$1
    shift
    setsid env -C "$run" "$@" >"$run/$name.log" 2>&1 </dev/null &
    echo "$! $(began "$!")" >"$run/$name.pid"
}
began() { awk '{ print $22 }' "/proc/$1/stat" 2>/dev/null; } # when a process did
# The process id of NAME, if it still runs: another process that got its number since is none of ours.
pid_of() {
    local pid since
    { read -r pid since <"$run/$1.pid"; } 2>/dev/null && [ "$(began "$pid")" = "$since" ] && echo "$pid"
}
fail() { # fail NAME: what does not start
    tail -n 15 "$run/$1.log" >&2 || true
    cp -r "$run" "$state/failed-$$" 2>/dev/null || true
    down
    stop 1 "$1 does not start within its time; logs are in $state/failed-$$"
}

# certificate NAME SUBJECT EXTENSION...: with a key, from the authority of this cluster
certificate() {
    local name=$1 subject=$2
    shift 2
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$run/$name.key" -subj "$subject" 2>/dev/null |
        openssl x509 -req -days 3650 -CA "$run/ca.crt" -CAkey "$run/ca.key" -CAcreateserial -out "$run/$name.crt" \
            -extfile <(printf '%s\n' basicConstraints=CA:FALSE "$@") 2>/dev/null
}
credentials() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=kubernetes \
        -keyout "$run/ca.key" -out "$run/ca.crt" 2>/dev/null
    certificate server /CN=kube-apiserver extendedKeyUsage=serverAuth \
        "subjectAltName=IP:$gateway,IP:$first_service,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    certificate admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$run/accounts.key"
    openssl pkey -in "$run/accounts.key" -pubout -out "$run/accounts.pub"
    (
        umask 077
        cat >"$KUBECONFIG" <<E
apiVersion: v1
kind: Config
current-context: pv
contexts: [{name: pv, context: {cluster: pv, user: admin}}]
clusters: [{name: pv, cluster: {server: "https://$gateway:6443", certificate-authority-data: $(base64 -w0 "$run/ca.crt")}}]
users: [{name: admin, user: {client-certificate-data: $(base64 -w0 "$run/admin.crt"), client-key-data: $(base64 -w0 "$run/admin.key")}}]
E
    )
}

# Settings of the machine that a kubelet changes, and the number of inotify instances, of which it takes many; `down` sets them back.
sysctls=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes
    fs.inotify.max_user_instances)
rules() { # rules -A|-D: pods reach the world, also where Docker forbids what it does not know
    iptables -w -t nat "$1" POSTROUTING -s "$subnet" ! -d "$subnet" -m comment --comment pv-kubernetes -j MASQUERADE
    iptables -w "${1/A/I}" FORWARD -i "$bridge" -m comment --comment pv-kubernetes -j ACCEPT
    iptables -w "${1/A/I}" FORWARD -o "$bridge" -m comment --comment pv-kubernetes -j ACCEPT
}
network() {
    ip link add "$bridge" type bridge
    ip address add "$gateway/${subnet#*/}" dev "$bridge"
    ip link set "$bridge" up
    sysctl -q net.ipv4.ip_forward=1
    rules -A
    mkdir "$run/cni"
    cat >"$run/cni/pods.conflist" <<E
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "$bridge", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "$run/addresses", "ranges": [[{"subnet": "$subnet", "gateway": "$gateway"}]],
           "routes": [{"dst": "0.0.0.0/0"}]}}]}
E
}

# Roots for the cgroups of NODE, in each hierarchy: a kubelet removes what it does not know below its root.
cgroups() {
    local hierarchy folder
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mkdir -p "/sys/fs/cgroup/pv-kubernetes/$1"
        for folder in /sys/fs/cgroup /sys/fs/cgroup/pv-kubernetes "/sys/fs/cgroup/pv-kubernetes/$1"; do
            sed 's/[a-z_]*/+&/g' "$folder/cgroup.controllers" >"$folder/cgroup.subtree_control" || true
        done
        return
    fi
    for hierarchy in $(awk '$3 == "cgroup" { print $2 }' /proc/mounts); do
        for folder in "$hierarchy/pv-kubernetes" "$hierarchy/pv-kubernetes/$1"; do
            mkdir -p "$folder"
            if [ -e "$folder/cpuset.cpus" ]; then
                cat "$folder/../cpuset.cpus" >"$folder/cpuset.cpus"
                cat "$folder/../cpuset.mems" >"$folder/cpuset.mems"
            fi
        done
    done
}

runtime() { # runtime NODE
    local folder=$run/$1
    mkdir -p "$folder"
    cat >"$folder/containerd.toml" <<E
version = 2
root = "$folder/images"
state = "$folder/containers"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "$folder/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "$folder/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$pause"
netns_mounts_under_state_dir = true
restrict_oom_score_adj = true # where this machine may not lower it
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$run/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "$folder/runc"
SystemdCgroup = false
E
    start "containerd-$1" containerd --config "$folder/containerd.toml"
}
import() { # import NODE IMAGE.tar
    ctr --address "$run/$1/containerd.sock" --namespace k8s.io images import "$2"
}
# The image of the process that holds a pod's namespaces, as `docker save` would write it.
pause_image() {
    local work=$run/pause layer config
    mkdir -p "$work/root"
    cp "$(command -v busybox)" "$work/root/busybox"
    tar -C "$work/root" --owner=0 --group=0 --sort=name -cf "$work/layer.tar" busybox
    layer=$(sha256sum <"$work/layer.tar")
    config='"Entrypoint":["/busybox","sh","-c","trap exit TERM INT; sleep 2147483647 & wait"],"User":"65535:65535"'
    echo "{\"architecture\":\"$(go_architecture)\",\"os\":\"linux\",\"config\":{$config}," \
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:${layer%% *}\"]}}" >"$work/config.json"
    echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"$pause\"],\"Layers\":[\"layer.tar\"]}]" >"$work/manifest.json"
    tar -C "$work" -cf "$run/pause.tar" manifest.json config.json layer.tar
}
go_architecture() { uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/'; }

node() { # node NAME NUMBER
    local folder=$run/$1
    cat >"$folder/kubelet.yaml" <<E
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $gateway
port: 1025$2
healthzPort: 1026$2
authentication: {x509: {clientCAFile: $run/ca.crt}}
containerRuntimeEndpoint: unix://$folder/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /pv-kubernetes/$1
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
podPidsLimit: 1024
makeIPTablesUtilChains: false
evictionHard: {memory.available: 100Mi} # a disk that is nearly full is no matter here
imageGCHighThresholdPercent: 100
nodeLeaseDurationSeconds: 20
podLogsDir: $folder/logs
volumePluginDir: $folder/plugins
E
    start "kubelet-$1" kubelet --config="$folder/kubelet.yaml" --kubeconfig="$KUBECONFIG" --root-dir="$folder/kubelet" \
        --cert-dir="$folder/kubelet/pki" --hostname-override="$1" --node-ip="$gateway"
}

is_up() { # all nodes are ready, and so is what a pod needs
    [ "$(kubectl --request-timeout=5s get nodes --no-headers 2>/dev/null | grep -cw Ready)" = ${#nodes[@]} ] &&
        kubectl --request-timeout=5s get serviceaccount default
}

up() {
    local node number=0 name
    [ "$(id -u)" = 0 ] || stop 6 'needs root'
    for name in etcd containerd runc ctr iptables ip openssl busybox; do
        command -v "$name" >/dev/null || stop 6 "there is no $name: scripts/setup.sh kubernetes installs it"
    done
    [ -x /usr/lib/cni/bridge ] || stop 6 'there are no CNI plugins: scripts/setup.sh kubernetes installs them'
    is_built || stop 6 'it is not compiled: run `build` first'
    if pid_of apiserver >/dev/null && is_up >/dev/null; then
        echo "export KUBECONFIG=$KUBECONFIG"
        return
    fi
    down
    ! ip link show "$bridge" >/dev/null 2>&1 || stop 6 "the network $bridge is there: another such cluster is up, or was ended halfway"
    mkdir -p "$run/etcd"
    [ -e /var/lib/kubelet ] || touch "$run/made-var-lib-kubelet"
    sysctl "${sysctls[@]}" >"$run/sysctls" 2>/dev/null || true
    sysctl -q fs.inotify.max_user_instances=8192
    # In memory: a disk that is busy would slow all down.
    mount -t tmpfs -o size=1g,mode=700 etcd "$run/etcd"
    start etcd etcd --data-dir="$run/etcd/data" --listen-client-urls=http://127.0.0.1:23790 --advertise-client-urls=http://127.0.0.1:23790 \
        --listen-peer-urls=http://127.0.0.1:23800 --initial-advertise-peer-urls=http://127.0.0.1:23800 \
        --initial-cluster=default=http://127.0.0.1:23800
    network
    credentials
    start apiserver kube-apiserver --bind-address="$gateway" --advertise-address="$gateway" --secure-port=6443 \
        --etcd-servers=http://127.0.0.1:23790 --service-cluster-ip-range="$services" --authorization-mode=Node,RBAC --allow-privileged \
        --tls-cert-file="$run/server.crt" --tls-private-key-file="$run/server.key" --client-ca-file="$run/ca.crt" \
        --kubelet-client-certificate="$run/admin.crt" --kubelet-client-key="$run/admin.key" \
        --kubelet-preferred-address-types=InternalIP --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$run/accounts.pub" --service-account-signing-key-file="$run/accounts.key"
    for node in "${nodes[@]}"; do
        cgroups "$node"
        runtime "$node"
    done
    pause_image
    for node in "${nodes[@]}"; do
        within 20 ctr --address "$run/$node/containerd.sock" version || fail "containerd-$node"
        import "$node" "$run/pause.tar" >/dev/null || fail "containerd-$node"
    done
    within 60 kubectl --request-timeout=5s get --raw /readyz || fail apiserver
    start controller-manager kube-controller-manager --kubeconfig="$KUBECONFIG" --leader-elect=false --bind-address=127.0.0.1 \
        --root-ca-file="$run/ca.crt" --service-account-private-key-file="$run/accounts.key" --node-monitor-grace-period=20s
    start scheduler kube-scheduler --kubeconfig="$KUBECONFIG" --leader-elect=false --bind-address=127.0.0.1
    cat >"$run/proxy.yaml" <<E
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
hostnameOverride: ${nodes[0]}
clientConnection: {kubeconfig: "$KUBECONFIG"}
clusterCIDR: $subnet
nodePortAddresses: ["$gateway/32"]
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
iptables: {masqueradeAll: true, localhostNodePorts: false}
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
E
    start proxy kube-proxy --config="$run/proxy.yaml"
    for node in "${nodes[@]}"; do node "$node" $((number++)); done
    within 60 is_up || fail "kubelet-${nodes[0]}"
    echo "$gateway" >"$state/gateway"
    echo "export KUBECONFIG=$KUBECONFIG"
}

# ---- down

end() { # end SECONDS NAME...: asks them to end, and kills those that do not
    local seconds=$1 name pid pids=()
    shift
    for name in "$@"; do pid=$(pid_of "$name") && pids+=("$pid"); done
    [ ${#pids[@]} -gt 0 ] || return 0
    kill "${pids[@]}" 2>/dev/null || true
    within "$seconds" are_gone "${pids[@]}" || kill -9 "${pids[@]}" 2>/dev/null || true
}
are_gone() {
    local pid
    for pid in "$@"; do
        # One that its parent has not fetched yet is gone too.
        [ ! -e "/proc/$pid" ] || grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null || return 1
    done
}
in_cgroups() { # the processes of pods
    find /sys/fs/cgroup -path '*/pv-kubernetes/*' -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u
}
shims() { # the processes of our containerds that each hold a pod; the daemon may have ended before them
    local file
    for file in /proc/[0-9]*/cmdline; do
        if tr '\0' ' ' <"$file" 2>/dev/null | grep -qE -- "^[^ ]*containerd-shim.* -address $run/[a-z0-9]*/containerd.sock"; then
            file=${file#/proc/}
            echo "${file%/cmdline}"
        fi
    done
}
# What is left of each container, so that its shim ends by itself.
forget_containers() {
    local socket=$run/$1/containerd.sock
    timeout 5 ctr --address "$socket" --namespace k8s.io tasks list -q 2>/dev/null |
        timeout 20 xargs -r -P 4 -n 1 ctr --address "$socket" --namespace k8s.io tasks delete --force >/dev/null 2>&1 || true
}
forget_services() { # the rules of our kube-proxy, and a chain that it leaves
    local tables
    ! pgrep -x kube-proxy >/dev/null || return 0 # of another cluster, with rules of the same names
    timeout 10 kube-proxy --cleanup >/dev/null 2>&1 || true
    for tables in iptables ip6tables; do
        "$tables" -w -D INPUT -j KUBE-FIREWALL && "$tables" -w -D OUTPUT -j KUBE-FIREWALL && "$tables" -w -F KUBE-FIREWALL &&
            "$tables" -w -X KUBE-FIREWALL || true
    done 2>/dev/null
}
no_shims() { [ -z "$(shims)" ]; }

down() {
    [ "$(id -u)" = 0 ] || stop 6 'needs root'
    rm -f "$KUBECONFIG" "$state/gateway"
    [ -e "$run" ] || return 0
    local node mount
    end 5 "${nodes[@]/#/kubelet-}" scheduler controller-manager proxy
    in_cgroups | xargs -r kill -9 2>/dev/null || true
    for node in "${nodes[@]}"; do forget_containers "$node"; done
    within 3 no_shims || shims | xargs -r kill -9 2>/dev/null || true
    end 5 "${nodes[@]/#/containerd-}" apiserver etcd
    forget_services
    rules -D 2>/dev/null || true
    ip link delete "$bridge" 2>/dev/null || true
    # The deepest mounts first.
    awk -v folder="$run/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
        umount "$mount" 2>/dev/null || umount -l "$mount"
    done
    find /sys/fs/cgroup -path '*/pv-kubernetes*' -depth -type d -exec rmdir {} + 2>/dev/null || true
    find /var/log/containers -lname "$run/*" -delete 2>/dev/null || true
    if ! pgrep -x kubelet >/dev/null; then # one of another cluster needs both
        [ ! -e "$run/made-var-lib-kubelet" ] || rm -rf /var/lib/kubelet
        sysctl -q -p "$run/sysctls" >/dev/null 2>&1 || true
    fi
    rm -rf --one-file-system "$run"
}

load() {
    local node
    [ -f "${1:-}" ] || stop 2 'load needs an image, as `docker save` writes it'
    for node in "${nodes[@]}"; do import "$node" "$1"; done
}

case ${1:-} in
    build | up | down) "$1" ;;
    load) load "${2:-}" ;;
    *) stop 2 'usage: kubernetes.sh build | up | down | load IMAGE.tar' ;;
esac
