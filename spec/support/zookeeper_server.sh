#!/bin/bash
# Real ZooKeeper servers for specs and benchmarks, from Debian's `zookeeper` package: loopback, own ports, temporary data.
#
#   zookeeper_server.sh start DIR [COUNT]   start 1 server or an ensemble of COUNT; prints "host:port,host:port,..."
#   zookeeper_server.sh up DIR N            start server N (again), after `kill` or `down`
#   zookeeper_server.sh wait DIR [N]        until N servers (default: all) serve clients, or 60 s
#   zookeeper_server.sh kill DIR N [SIGNAL] send a signal (default KILL) to server N
#   zookeeper_server.sh leader DIR          number of the leader (1 for a single server), empty when there is none
#   zookeeper_server.sh proposals DIR N     how many transactions server N, the leader, has proposed to the others
#   zookeeper_server.sh stop DIR            kill what DIR started and remove DIR
#   zookeeper_server.sh run COUNT CMD...    run CMD beside COUNT servers: ZK_SERVERS holds their addresses, ZK_DIR their DIR
#
#   zookeeper_server.sh link DIR I COMMAND  with ZK_LINKS=1: a command of tcp_proxy to all links by which server I reaches others;
#                                           they have taken it when it returns
#
# DIR/servers holds one line per server: number, client port, quorum port, election port, secure port. Environment:
# ZK_TICK (ms, default 200: session timeouts from 400 ms), ZK_HEAP (default 128m), ZK_SYNC (forceSync, default no),
# ZK_SYNC_LIMIT (ticks, default 10), ZK_LINKS (the program TCP_PROXY stands between each server and the others' quorum
# ports), ZK_TLS (the secure ports are served, too, with the files of DIR/tls: see tls_files.sh; `run` exports their
# addresses as ZK_SECURE_SERVERS).
set -u
here=$1 dir=${2:-}
[ -n "$dir" ] || { echo "usage: $0 start|up|wait|kill|link|leader|stop DIR ..." >&2; exit 2; }
java=/usr/share/java
jars=$java/zookeeper.jar:$java/slf4j-nop.jar:$java/netty-codec.jar

# A port where nobody listens and that no other folder has: a server that is down keeps its own. Another's server in its
# place would be another registry to the clients that wait for it. Below the ports of mysql_server and of the system.
ports=${TMPDIR:-/tmp}/moonwatch-zk-ports
free_port() {
  local port
  mkdir -p "$ports"
  exec 9>"$ports.lock"
  flock 9
  while :; do
    port=$((10000 + (RANDOM * 32768 + RANDOM) % 5000))
    [ -e "$ports/$port" ] && continue # a link to a folder that is gone is no claim any more
    (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null || break
  done
  ln -sfT "$(realpath "$dir")" "$ports/$port"
  echo $port
}

# four-letter word to server N
ask() {
  local port; port=$(awk -v n="$1" '$1 == n { print $2 }' "$dir/servers")
  timeout 1 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && printf $2 >&3 && cat <&3" 2>/dev/null
}

mode() { ask "$1" srvr | awk '/^Mode:/ { print $2 }'; }

up() {
  local n=$1
  java -Xmx${ZK_HEAP:-128m} -XX:+UseSerialGC -XX:TieredStopAtLevel=${ZK_JIT:-4} -Dzookeeper.forceSync=${ZK_SYNC:-no} \
    -Dzookeeper.admin.enableServer=false -Dzookeeper.jmx.log4j.disable=true -Djava.awt.headless=true \
    ${ZK_JAVA:-} -cp "$jars" org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/$n.cfg" \
    </dev/null >>"$dir/$n.log" 2>&1 &
  echo $! >"$dir/$n.pid"
}

# A proxy by which server I reaches the quorum port of server J; its commands come through a fifo. Prints its port.
link_start() {
  local fifo=$dir/link-$1-$2 port try
  mkfifo "$fifo"
  : >"$fifo.out"
  "${TCP_PROXY:?names the program}" "$3" <>"$fifo" >"$fifo.out" 2>&1 &
  echo $! >"$fifo.pid"
  for try in $(seq 250); do
    read -r port <"$fifo.out" && [ -n "$port" ] && break
    sleep 0.02
  done
  echo "$port"
}

link() {
  local fifo before
  for fifo in "$dir"/link-"$1"-?; do
    before=$(wc -l <"$fifo.out")
    echo "$2" >"$fifo"
    until [ "$(wc -l <"$fifo.out")" -gt "$before" ]; do sleep 0.01; done
  done
}

# Only Netty serves it; clients must show a certificate by DIR/tls/ca.pem.
configure_tls() {
  echo "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory"
  echo "secureClientPortAddress=127.0.0.1"
  echo "secureClientPort=$(awk -v n="$1" '$1 == n { print $5 }' "$dir/servers")"
  echo "ssl.keyStore.location=$dir/tls/server-both.pem"
  echo "ssl.trustStore.location=$dir/tls/ca.pem"
}

# The addresses of all servers by the port in one column.
addresses() {
  awk -v c="$1" '{ printf "%s127.0.0.1:%s", (NR > 1 ? "," : ""), $c } END { print "" }' "$dir/servers"
}

configure() {
  local n=$1 count=$2 i c q e s
  mkdir -p "$dir/$n.data"
  {
    echo "tickTime=${ZK_TICK:-200}"
    echo "maxSessionTimeout=60000"
    echo "initLimit=50"
    echo "syncLimit=${ZK_SYNC_LIMIT:-10}"
    echo "dataDir=$dir/$n.data"
    echo "clientPortAddress=127.0.0.1"
    echo "clientPort=$(awk -v n="$n" '$1 == n { print $2 }' "$dir/servers")"
    echo "maxClientCnxns=0"
    echo "admin.enableServer=false"
    echo "4lw.commands.whitelist=*"
    echo "reconfigEnabled=false"
    [ -n "${ZK_TLS:-}" ] && configure_tls "$n"
    [ "$count" -gt 1 ] && while read -r i c q e s; do
      [ -n "${ZK_LINKS:-}" ] && [ "$i" != "$n" ] && q=$(link_start "$n" "$i" "$q")
      echo "server.$i=127.0.0.1:$q:$e"
    done <"$dir/servers"
  } >"$dir/$n.cfg"
  echo "$n" >"$dir/$n.data/myid"
}

start() {
  local count=$1 n
  mkdir -p "$dir"
  for n in $(seq "$count"); do echo "$n $(free_port) $(free_port) $(free_port) $(free_port)"; done >"$dir/servers"
  [ -z "${ZK_TLS:-}" ] || { mkdir -p "$dir/tls" && "$(dirname "$0")/tls_files.sh" "$dir/tls" || exit 1; }
  for n in $(seq "$count"); do configure "$n" "$count"; up "$n"; done
  addresses 2
}

await() {
  local wanted=$1 n serving deadline=$((SECONDS + 60))
  while [ $SECONDS -lt $deadline ]; do
    serving=0
    for n in $(awk '{ print $1 }' "$dir/servers"); do
      case "$(mode "$n")" in leader | follower | standalone) serving=$((serving + 1)) ;; esac
    done
    [ "$serving" -ge "$wanted" ] && return 0
    sleep 0.1
  done
  echo "zookeeper: $serving of $wanted servers answer; see $dir/*.log" >&2
  return 1
}

run() {
  local count=$1 rc
  shift
  trap '"$0" stop "$dir"' EXIT
  ZK_SERVERS=$(start "$count") || exit 1
  await "$count" || exit 1
  export ZK_SERVERS ZK_SECURE_SERVERS=$(addresses 5) ZK_DIR=$dir ZK_CTL=$0
  "$@"
  rc=$?
  exit $rc
}

case $here in
run)
  count=$dir
  dir=$(mktemp -d "${TMPDIR:-/tmp}/moonwatch-zk.XXXXXX")
  shift 2
  run "$count" "$@" ;;
start) start "${3:-1}" ;;
up) up "$3" ;;
wait) await "${3:-$(wc -l <"$dir/servers")}" ;;
link) link "$3" "$4" ;;
kill) kill -"${4:-KILL}" "$(cat "$dir/$3.pid")" ;;
leader)
  for n in $(awk '{ print $1 }' "$dir/servers"); do
    case "$(mode "$n")" in leader | standalone) echo "$n"; exit 0 ;; esac
  done ;;
proposals) ask "$3" mntr | awk '$1 == "zk_proposal_count" { print int($2) }' ;;
stop)
  for pid in "$dir"/*.pid; do
    [ -f "$pid" ] && kill -KILL "$(cat "$pid")" 2>/dev/null
  done
  for port in $(awk '{ print $2, $3, $4, $5 }' "$dir/servers" 2>/dev/null); do rm -f "$ports/$port"; done
  rm -rf "$dir" ;;
*) echo "unknown command $here" >&2; exit 2 ;;
esac
