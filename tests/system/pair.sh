# pair.sh: two stacks joined by a link in shared memory, without root and without huge pages. Sourced by pair_*.test.
#
#   "${ON_A[@]}" COMMAND   COMMAND on stack a, $A, the link's first end (the server's: it is started first)
#   "${ON_B[@]}" COMMAND   COMMAND on stack b, $B
#
# Where the lab is entered as root, the programs run as an unprivileged user all the same. --kernel: a and b are the kernel on
# both sides of a veth.

A=$STACK
B=$KERN
UNPRIVILEGED=(env HOME=/nonexistent XDG_RUNTIME_DIR=)
mkdir -p m
if grep -q ' 4294967295$' /proc/self/uid_map; then
    UNPRIVILEGED=(setpriv --reuid=65534 --regid=65534 --clear-groups "${UNPRIVILEGED[@]}")
    chown 65534:65534 m
fi
# The source tree by a path that needs nobody's permission on the way.
mkdir -p /run/src
mount --bind "$top" /run/src
SHUNT=/run/src/scripts/shunt

# links of a and b
pair() {
    on_stack stack "$1" "$A"
    ON_A=("${UNPRIVILEGED[@]}" "${ON[@]}")
    on_stack b "$2" "$B"
    ON_B=("${UNPRIVILEGED[@]}" "${ON[@]}")
    if [ "$SYSTEM_ON" = kernel ]; then
        ON_A=(ip netns exec stack "${UNPRIVILEGED[@]}")
        ON_B=("${UNPRIVILEGED[@]}")
    fi
}

b_connects() { # port
    timeout 5 "${ON_B[@]}" nc -z -w 3 "$A" "$1"
}

pair_redis() {
    start redis "${ON_A[@]}" redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save '' --dir "$T/m"
    if ! check "redis: stack b reaches stack a" eventually 15 b_connects 6379; then
        diag "$(tail -n 3 redis.err)"
    fi
    redis_answers() { [ "$(timeout 10 "${ON_B[@]}" redis-cli -h "$A" ping)" = PONG ]; }
    check "redis-cli" redis_answers
    redis_bench() { # arguments
        timeout 40 "${ON_B[@]}" redis-benchmark -h "$A" -q "$@" >bench.out 2>&1 || { cat bench.out; return 1; }
        tr '\r' '\n' <bench.out | grep -q 'requests per second' || { cat bench.out; return 1; }
    }
    check "redis-benchmark, 50 connections" redis_bench -t set,get -n 50000 -c 50
    diag "$(tr '\r' '\n' <bench.out | grep 'requests per second')"
    check "redis-benchmark, pipelines of 16" redis_bench -t get -n 200000 -c 50 -P 16
    diag "$(tr '\r' '\n' <bench.out | grep 'requests per second')"
    stop redis 0
}

pair_nginx() {
    mkdir -p www
    make_file www/small 64
    make_file www/large 64M
    cat >nginx.conf <<END
worker_processes 2;
daemon off;
pid $T/m/nginx.pid;
error_log $T/m/nginx.log;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path $T/m/body;
    proxy_temp_path $T/m/proxy;
    fastcgi_temp_path $T/m/fastcgi;
    uwsgi_temp_path $T/m/uwsgi;
    scgi_temp_path $T/m/scgi;
    server { listen 8080; root $T/www; }
}
END
    start nginx "${ON_A[@]}" nginx -e stderr -c "$T/nginx.conf"
    if ! check "nginx: stack b reaches stack a" eventually 15 b_connects 8080; then
        diag "$(tail -n 3 nginx.err)"
    fi
    pair_get() {
        rm -f m/got
        timeout 25 "${ON_B[@]}" curl -sS -o "$T/m/got" "http://$A:8080/$1" && same m/got "www/$1"
    }
    check "curl, 64 bytes" pair_get small
    check "curl, 64 MiB" pair_get large
    pair_wrk() {
        timeout 20 "${ON_B[@]}" wrk -t1 -c32 -d3s "http://$A:8080/small" >wrk.out 2>&1 || { cat wrk.out; return 1; }
        ! grep -q 'Socket errors\|Non-2xx' wrk.out && grep -q '^Requests/sec' wrk.out || { cat wrk.out; return 1; }
    }
    check "wrk, 32 connections" pair_wrk
    diag "$(grep '^Requests/sec' wrk.out)"
    stop nginx 0
}

pair_iperf3() {
    start iperf "${ON_A[@]}" iperf3 -s -p 5201 --pidfile "$T/m/iperf.pid"
    pair_iperf() {
        timeout 20 "${ON_B[@]}" iperf3 -c "$A" "$@" >iperf.out 2>&1 || { cat iperf.out; return 1; }
        grep -aq 'receiver' iperf.out
    }
    if ! check "iperf3: stack b reaches stack a" eventually 15 pair_iperf -n 100K; then
        diag "$(tail -n 3 iperf.err)"
    fi
    check "iperf3, b to a" pair_iperf -t 2
    diag "$(grep -a receiver iperf.out)"
    check "iperf3, a to b" pair_iperf -t 2 -R
    diag "$(grep -a receiver iperf.out)"
    check "iperf3, four streams" pair_iperf -t 2 -P 4
    stop iperf 0 1
}
