#!/bin/bash
# The loop never blocks: on the main thread of a program that looks names up, connects, works and closes on a frozen server,
# no system call waits but the loop's own epoll_wait. Run beside a server; $1 is the program.
set -eu
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT
# What the program starts, a server perhaps that outlives it, goes its own way (-b execve).
strace -f -qq -b execve -o "$trace" \
  -e trace=poll,ppoll,select,pselect6,nanosleep,clock_nanosleep,connect,recvfrom,recvmsg,ioctl,fcntl,execve "$1"
main=$(awk 'NR == 1 { print $1 }' "$trace")
waits='^[0-9]+ +(poll|ppoll|select|pselect6|nanosleep|clock_nanosleep)\('

# What waits with a timeout that is not zero. The control: the threads do, or this would prove nothing.
on_main=$(grep -E "$waits" "$trace" | awk -v m="$main" '$1 == m' | grep -vE ', 0\) ' || true)
on_threads=$(grep -E "$waits" "$trace" | awk -v m="$main" '$1 != m' | grep -vcE ', 0\) ' || true)

# Each socket that the main thread connects to an address is non-blocking by then.
blocking=$(awk -v m="$main" '$1 == m' "$trace" | awk '
  /fcntl\([0-9]+, F_SETFL, .*O_NONBLOCK/ { match($0, /\([0-9]+/); open[substr($0, RSTART + 1, RLENGTH - 1)] = 1 }
  /connect\([0-9]+, \{sa_family=AF_INET/ {
    match($0, /connect\([0-9]+/); fd = substr($0, RSTART + 8, RLENGTH - 8)
    if (!(fd in open) && $0 !~ /SOCK_DGRAM/) print
    delete open[fd]
  }')

status=0
report() { [ "$2" = yes ] && echo "ok - $1" || { echo "not ok - $1"; status=1; }; }
report "the main thread waits in its loop only" "$([ -z "$on_main" ] && echo yes || echo no)"
report "it connects without blocking" "$([ -z "$blocking" ] && echo yes || echo no)"
report "the threads are where the waiting is" "$([ "$on_threads" -gt 0 ] && echo yes || echo no)"
[ -z "$on_main$blocking" ] || printf '# %s\n' "$on_main" "$blocking"
exit $status
