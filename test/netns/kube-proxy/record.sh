#!/usr/bin/env bash
# Writes down what kube-proxy does to netfilter, for the tests of capture beside it:
#   record.sh KUBE_APISERVER KUBE_PROXY VERSION        (root; also needs etcd, curl, openssl)
# Both programs are built from the Go module k8s.io/kubernetes at that version. In a network namespace of its own it
# starts etcd, the API server and kube-proxy, creates a node and the services that the tests speak of,
# and writes iptables.rules and nftables.rules beside this file: the commands that kube-proxy ran to change something,
# with their input, as a shell script. Run again, the script does what kube-proxy's full synchronisation does.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ ${1:-} != inside ]]; then
  for mode in iptables nftables; do
    ip netns add "hm-record-$mode"
    trap 'ip netns del "hm-record-$mode"' EXIT
    ip netns exec "hm-record-$mode" bash "$0" inside "$mode" "$@"
    ip netns del "hm-record-$mode"
    trap - EXIT
  done
  exit
fi

mode=$2 apiserver=$3 proxy=$4 version=$5
work=$(mktemp -d)
children=()
finish() {
  kill "${children[@]}" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap finish EXIT
cd "$work"

# The node, as test/netns/harness.ts makes the first host of a lab.
ip link set lo up
ip link add up0 type veth peer name up1
ip link set up0 arp off
ip link set up1 up
ip link set up0 up
ip addr add 10.254.1.1/32 dev up0
ip -6 addr add fd00:254:1::1/128 dev up0 nodad
ip route add default dev up0
ip -6 route add default dev up0

# Every command that kube-proxy runs passes one of these: number, arguments, input and exit code are kept.
mkdir bin calls
for tool in iptables ip6tables iptables-save ip6tables-save iptables-restore ip6tables-restore nft; do
  cat >"bin/$tool" <<WRAPPER
#!/usr/bin/env bash
exec 9>"$work/lock"; flock 9
n=\$((\$(cat "$work/count" 2>/dev/null || echo 1000) + 1)); echo \$n >"$work/count"
cat >"$work/calls/\$n.input"
printf '%q ' "$tool" "\$@" >"$work/calls/\$n.command"
code=0
"$(command -v "$tool")" "\$@" <"$work/calls/\$n.input" || code=\$?
echo \$code >"$work/calls/\$n.code"
exit \$code
WRAPPER
  chmod +x "bin/$tool"
done

openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
echo 'token,admin,1,system:masters' >tokens
etcd --data-dir etcd --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 >etcd.log 2>&1 &
children+=($!)
"$apiserver" --etcd-servers=http://127.0.0.1:2379 --bind-address=127.0.0.1 --secure-port=6443 \
  --advertise-address=10.254.1.1 --cert-dir=certs --token-auth-file=tokens --authorization-mode=AlwaysAllow \
  --service-account-issuer=https://record --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key \
  --service-cluster-ip-range=10.96.0.0/16,fd00:96::/112 >apiserver.log 2>&1 &
children+=($!)

api() { curl -sk --fail-with-body -H 'authorization: Bearer token' -H 'content-type: application/json' "https://127.0.0.1:6443$1" "${@:2}"; }
create() { api "$1" -X "${3:-POST}" -d "$2" >answer || { cat answer >&2; exit 1; }; }
eventually() {
  for _ in $(seq 200); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  echo "$* did not come true" >&2
  tail -n 5 ./*.log >&2
  exit 1
}
eventually api /readyz

create /api/v1/nodes '{"metadata":{"name":"node-a"},"spec":{"podCIDR":"10.1.0.0/24","podCIDRs":["10.1.0.0/24","fd00:1::/64"]}}'
create /api/v1/nodes/node-a/status '{"metadata":{"name":"node-a"},"status":{"addresses":[{"type":"InternalIP","address":"10.254.1.1"},{"type":"InternalIP","address":"fd00:254:1::1"}]}}' PUT
create /api/v1/namespaces '{"metadata":{"name":"shop"}}'

# service NAME LAST TYPE EXTRA-OF-THE-SPEC EXTRA-OF-THE-PORT
service() {
  create /api/v1/namespaces/shop/services "{\"metadata\":{\"name\":\"$1\"},\"spec\":{\"type\":\"$3\",\"ipFamilyPolicy\":\"RequireDualStack\",\"clusterIP\":\"10.96.0.$2\",\"clusterIPs\":[\"10.96.0.$2\",\"fd00:96::$2\"]$4,\"ports\":[{\"name\":\"http\",\"port\":80,\"targetPort\":8080$5}]}}"
}
# slice SERVICE FAMILY ADDRESS@NODE...
slice() {
  local service=$1 family=$2 endpoints=() entry
  for entry in "${@:3}"; do
    endpoints+=("{\"addresses\":[\"${entry%@*}\"],\"conditions\":{\"ready\":true},\"nodeName\":\"${entry#*@}\"}")
  done
  create /apis/discovery.k8s.io/v1/namespaces/shop/endpointslices "{\"metadata\":{\"name\":\"$service-${family,,}\",\"labels\":{\"kubernetes.io/service-name\":\"$service\"}},\"addressType\":\"$family\",\"ports\":[{\"name\":\"http\",\"port\":8080,\"protocol\":\"TCP\"}],\"endpoints\":[$(IFS=, && echo "${endpoints[*]}")]}"
}
service web 10 NodePort ',"externalTrafficPolicy":"Cluster"' ',"nodePort":30080'
service plain 20 NodePort ',"externalTrafficPolicy":"Local"' ',"nodePort":30081'
service empty 30 ClusterIP '' ''
slice web IPv4 10.1.0.3@node-a 10.2.0.2@node-b
slice web IPv6 fd00:1::3@node-a fd00:2::2@node-b
slice plain IPv4 10.1.0.4@node-a
slice plain IPv6 fd00:1::4@node-a

cat >kubeconfig <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: token}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
CONFIG
PATH=$work/bin:$PATH "$proxy" --kubeconfig=kubeconfig --hostname-override=node-a --proxy-mode="$mode" \
  --cluster-cidr=10.1.0.0/16,fd00:1::/48 --iptables-min-sync-period=0s --conntrack-max-per-core=0 \
  --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s -v=2 >proxy.log 2>&1 &
children+=($!)
# Both families, each in a turn of its own; the canary chains, of mode iptables, come before or after.
synced() { grep -q "SyncProxyRules complete.*ipFamily=\"$1\"" proxy.log; }
eventually synced IPv4
eventually synced IPv6
if [[ $mode == iptables ]]; then
  eventually iptables -t filter -S KUBE-PROXY-CANARY
  eventually ip6tables -t filter -S KUBE-PROXY-CANARY
fi

{
  echo "# What kube-proxy $version wrote in mode $mode, recorded by record.sh, which says how. A script for sh -eu."
  for file in calls/*.command; do
    n=$(basename "$file" .command)
    command=$(sed 's/ $//' "$file")
    case $command in
      nft\ -f*)
        # What fails here removes a table of another mode, which is not there.
        [[ $(cat "calls/$n.code") == 0 ]] && printf "%s <<'EOF'\n%s\nEOF\n" "$command" "$(cat "calls/$n.input")" ;;
      *-restore*)
        [[ $mode == iptables ]] && printf "%s <<'EOF'\n%s\nEOF\n" "$command" "$(cat "calls/$n.input")" ;;
      *\ -N\ *) [[ $mode == iptables ]] && echo "$command 2>/dev/null || true" ;;
      *\ -I\ *) [[ $mode == iptables ]] && echo "${command/ -I / -C } 2>/dev/null || $command" ;;
    esac || true
  done
} |
  # Counters only; kube-proxy makes their objects over netlink, where it is not seen, and leaves them out on other kernels.
  sed 's/ -m nfacct --nfacct-name [a-z_]*//' >"$here/$mode.rules"
echo "$mode: $(wc -l <"$here/$mode.rules") lines"
