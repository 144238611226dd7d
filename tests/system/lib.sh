# lib.sh: what the system tests are written with. Sourced inside a lab by `run`; see there.
#
# Addresses: the kernel's end of the link is $KERN (198.18.0.1), the stack's $STACK (198.18.0.2).
#
#   start NAME COMMAND...      runs COMMAND in the background; its output goes to $T/NAME.out and $T/NAME.err
#   stop NAME [STATUS...]      SIGTERM, then a check that it ended within 10 s with one of the statuses (default 0 143)
#   check TEXT COMMAND...      one result: passed when COMMAND (a program or a function) ends with 0
#   skip TEXT REASON           one result that is neither
#   check_rest NAME            one result: the server is as if nothing had been asked of it
#   eventually SECONDS COMMAND tries again until it succeeds
#   "${ON_STACK[@]}" COMMAND   COMMAND on the stack (--kernel: on the kernel, in the namespace at the stack's place)
#
# Every wait is bounded: commands by LIMIT seconds (30), the whole test by its `# limit:`.

KERN=198.18.0.1
STACK=198.18.0.2
SHUNT=$top/scripts/shunt
BUILD=${SHUNT_BUILD:-$top/build}
TRAFFIC=$BUILD/tests/system/traffic
LINK=${LINK:-tap:s0,host=$KERN/24}
LIMIT=30
T=/run/t
mkdir -p "$T"
# A program that gives up root goes on reading and writing here.
chmod 755 "$T"

declare -A PID
results=0
failures=0

# SYSTEM_SANITIZED=1 (scripts/test asan): the build is an instrumented one. The sanitizers' run-time library has to come before
# all others into programs that were built without it; what it finds goes to files that finish looks at.
SANITIZED=()
if [ "${SYSTEM_SANITIZED:-}" = 1 ]; then
    mkdir -p -m 1777 "$T/san"
    chmod 1777 "$T/san"
    options="detect_leaks=0:verify_asan_link_order=0:halt_on_error=1:print_stacktrace=1:log_path=$T/san/report"
    SANITIZED=(env "LD_PRELOAD=$(gcc -print-file-name=libasan.so)" "ASAN_OPTIONS=$options" "UBSAN_OPTIONS=$options")
fi

# The prefix that runs a command on a stack with name $1, link $2 and address $3, in the array ON.
on_stack() {
    if [ "$SYSTEM_ON" = kernel ]; then
        ON=(ip netns exec "$1" env)
    else
        ON=("${SANITIZED[@]}" "$SHUNT" run --name "$1" --link "$2" --addr "$3/24" --)
    fi
}

# --- results (TAP) ---

diag() {
    sed 's/^/#   /' <<<"$*"
}

result() {
    results=$((results + 1))
    if [ "$1" = 0 ]; then
        echo "ok $results - $2"
    else
        failures=$((failures + 1))
        echo "not ok $results - $2"
    fi
}

skip() {
    results=$((results + 1))
    echo "ok $results - $1 # SKIP $2"
}

check() {
    local text=$1 out status=0
    shift
    if [ "$(type -t "$1")" = function ]; then
        out=$("$@" 2>&1) || status=$?
    else
        out=$(timeout --kill-after=2 "$LIMIT" "$@" 2>&1) || status=$?
    fi
    result $status "$text"
    if [ $status -ne 0 ]; then
        diag "status $status: $*"
        [ -z "$out" ] || diag "$(tail -n 15 <<<"$out")"
    fi
    return $status
}

# --- processes ---

start() {
    local name=$1
    shift
    "$@" >"$T/$name.out" 2>"$T/$name.err" </dev/null &
    PID[$name]=$!
}

alive() {
    kill -0 "${PID[$1]}" 2>/dev/null
}

# The exit status of what was started as $1, waiting at most $2 seconds: then it is killed and the status 999.
ended() {
    local pid=${PID[$1]} i
    for ((i = 0; i < $2 * 20; i++)); do
        # A zombie has ended: wait takes its status.
        case $(sed 's/.*) //;s/ .*//' "/proc/$pid/stat" 2>/dev/null) in Z | '') break ;; esac
        sleep 0.05
    done
    if [ "$i" -ge $(($2 * 20)) ]; then
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        unset "PID[$1]"
        STATUS=999
        return
    fi
    wait "$pid" 2>/dev/null # bash would tell of a signal
    STATUS=$?
    unset "PID[$1]"
}

# One result: what was started as $1 ends by itself within LIMIT seconds, with status 0.
check_ended() {
    ended "$1" "$LIMIT"
    [ "$STATUS" = 0 ]
    result $? "$1 ends with status 0"
    [ "$STATUS" = 0 ] || diag "status $STATUS$(tail -n 5 "$T/$1.out" "$T/$1.err" 2>/dev/null)"
}

stop() {
    local name=$1 want
    shift
    [ $# -gt 0 ] || set -- 0 143
    kill -TERM "${PID[$name]}" 2>/dev/null
    ended "$name" 10
    for want; do
        [ "$STATUS" != "$want" ] || break
    done
    [ "$STATUS" = "$want" ]
    result $? "$name ends on SIGTERM"
    [ "$STATUS" = "$want" ] || diag "status $STATUS, not $* $(tail -n 5 "$T/$name.err")"
}

eventually() {
    local until=$((SECONDS + $1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.05
    done
}

connects() {
    timeout 1 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null
}

# A server on the kernel's side listens on a TCP port. Its address may come with the stack's tap only.
kernel_listens() {
    eventually 10 bash -c "ss -Hltn 'sport = :$1' | grep -q LISTEN"
}

# One result: a server on the stack answers on a port (by a connection that is closed again).
check_listens() {
    local port=$1 name=${2:-}
    if eventually 10 connects "$STACK" "$port"; then
        result 0 "port $port takes connections"
    else
        result 1 "port $port takes connections"
        [ -z "$name" ] || diag "$(tail -n 5 "$T/$name.err" "$T/$name.out" 2>/dev/null)"
        return 1
    fi
}

# User and system ticks (1/100 s) that processes have used.
cpu_ticks() {
    local pid sum=0 n
    for pid; do
        n=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | awk '{print $12 + $13}')
        sum=$((sum + ${n:-0}))
    done
    echo $sum
}

# All processes of the lab but its first one and the test's own shell with its subshells.
others() {
    local pid self
    self=$(tr '\0' ' ' <"/proc/$$/cmdline")
    for pid in /proc/[0-9]*; do
        pid=${pid#/proc/}
        [ "$pid" != 1 ] || continue
        [ "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")" != "$self" ] || continue
        case $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) in Z | '') continue ;; esac
        echo "$pid"
    done
}

# One result: the server started as $1 is at rest: no warning of the stack's among what it wrote, no connection left but in
# TIME-WAIT, and no more than 2 % of a core for all that runs in the lab.
check_rest() {
    local out pids t0 used=0
    out=$(rest_why "$1")
    if [ -z "$out" ]; then
        mapfile -t pids < <(others)
        t0=$(cpu_ticks "${pids[@]}")
        sleep 1
        used=$(($(cpu_ticks "${pids[@]}") - t0))
        [ $used -le 2 ] || out="$used ticks of 100 by ${#pids[@]} processes"
    fi
    [ -z "$out" ]
    result $? "$1 at rest: no warning, no connection left, no processor time"
    [ -z "$out" ] || diag "$out"
}

rest_why() {
    grep '^shunt: ' "$T/$1.err" | head -n 3
    [ "$SYSTEM_ON" = shunt ] || return
    eventually 8 only_listens && return
    "$SHUNT" ls
}

only_listens() {
    ! "$SHUNT" ls | grep -E 'sockets.*(ESTAB|SYN|FIN|CLOSE|CLOSING|LAST-ACK)'
}

# --- files ---

# A file of $2 bytes (numfmt's suffixes) that does not compress, the same on every run.
make_file() {
    local bytes
    bytes=$(numfmt --from=iec "$2")
    random_bytes "$bytes" >"$1"
    chmod 644 "$1"
}

# $1 pseudo-random bytes: a fixed seed, so that a failure can be looked at again.
random_bytes() {
    /usr/bin/python3 -c '
import random, sys
r, n = random.Random(2), int(sys.argv[1])
while n > 0:
    k = min(n, 1 << 20)
    sys.stdout.buffer.write(r.randbytes(k))
    n -= k' "$1"
}

same() {
    cmp "$1" "$2"
}

# --- the far end of --kernel ---

kernel_stack() {
    ip netns add "$1"
    ip -n "$1" link set lo up
}

# veth between the lab (address $4 on interface $3) and the namespace $1 (address $2).
kernel_link() {
    ip link add "$3" type veth peer name eth0 netns "$1"
    ip -n "$1" addr add "$2/24" dev eth0
    ip -n "$1" link set eth0 up
    ip addr add "$4/24" dev "$3"
    ip link set "$3" up
}

# --- beginning and end ---

begin() {
    on_stack stack "$LINK" "$STACK"
    ON_STACK=("${ON[@]}")
    if [ "$SYSTEM_ON" = kernel ]; then
        kernel_stack stack
        ip link show k0 >/dev/null 2>&1 && ip link del k0
        kernel_link stack "$STACK" s0 "$KERN"
    elif [ ! -x "$SHUNT" ]; then
        echo "Bail out! $SHUNT is missing"
        exit 1
    fi
    before_links=$(links)
    before_files=$(left_files)
}

links() {
    ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | sort
}

left_files() {
    {
        find /tmp /var/tmp /dev/shm /run/shunt /run/dpdk /dev/hugepages -mindepth 1 -print 2>/dev/null
        find /run -maxdepth 1 -name '*shunt*' -print
    } | sort
}

left_processes() {
    local pid
    for pid in $(others); do
        tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | sed "s/^/process $pid: /;s/\$/\n/"
    done
}

nothing_runs() {
    [ -z "$(left_processes)" ]
}

# Ends the test: stops what still runs, looks at what is left, prints the plan.
finish() {
    local name left
    for name in "${!PID[@]}"; do
        kill -TERM "${PID[$name]}" 2>/dev/null
        ended "$name" 5
        [ "$STATUS" != 999 ] || { result 1 "$name ends when told to" && diag "killed"; }
    done
    # What an ended program left (queued data, FIN) is finished by its keeper, which then leaves.
    eventually 15 nothing_runs
    left=$(left_processes)
    [ -z "$left" ] || left+=$'\n'
    [ "$SYSTEM_ON" != kernel ] || { ip netns del stack && before_links=$(links); }
    left+=$(comm -13 <(echo "$before_links") <(links) | sed 's/^/interface /')
    left+=$(comm -13 <(echo "$before_files") <(left_files))
    [ -z "$left" ]
    result $? "nothing is left behind"
    [ -z "$left" ] || diag "$left"
    if [ ${#SANITIZED[@]} -gt 0 ]; then
        # That it does not know all of swapcontext is a warning at every start.
        left=$(grep -rh 'ERROR: \|runtime error: \|SUMMARY: ' "$T/san" | sort | uniq -c)
        [ -z "$left" ]
        result $? "the sanitizers found nothing"
        [ -z "$left" ] || diag "$left
$(head -n 40 "$(grep -rl 'ERROR: \|runtime error: ' "$T/san" | head -n 1)")"
    fi
    if [ $failures -gt 0 ]; then
        local f
        for f in "$T"/*.err; do
            [ ! -s "$f" ] || diag "$(basename "$f"): $(tail -n 8 "$f")"
        done
    fi
    echo "1..$results"
    [ $failures -eq 0 ]
}

begin
