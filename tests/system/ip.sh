#!/bin/bash
# ip.sh: the commands of ip.test: the same ones on a stack and in a namespace of the kernel's, whose answers are then compared.
# Says what each prints, without what is each side's own: numbers of interfaces, link-local addresses, times.
#
#   ip.sh LINK      the link of that name, with 198.18.0.2/24 and 2001:db8::2/64

L=$1
tidy() {
    sed -E "s/^[0-9]+: //; s/@[a-z0-9]+//; s/fe80::[0-9a-f:]+/fe80::LL/g; s/ nodad//; s/ link-netns [a-z-]+//; s/ (used|ref|probes) [0-9\/]+//g; s/expires [0-9]+sec/expires Nsec/; s/ +/ /g; s/\"(link_index|link_netnsid)\":[0-9]+,//g; s/\"nodad\":true,//" | sort
}
x() {
    echo "\$ $*"
    timeout 10 "$@" 2>&1 | tidy
}

x ip -o addr show dev "$L"
x ip -j addr show dev "$L"
x ip -br link show dev "$L"
x ip route
x ip route show table all
x ip -6 route show table all
x ip rule
x ip -6 rule
for a in 198.18.0.2 198.18.0.5 198.18.9.1 198.18.8.1 198.18.0.255 198.19.0.1 2001:db8::2 2001:db8::5 2001:db9::1; do
    x ip route get "$a"
    x ip route get fibmatch "$a"
done
x ip route show table 77

# Routes come, are replaced, and go.
x ip route add 198.18.77.0/24 via 198.18.200.1
x ip route add 198.18.77.0/24 via 198.18.0.7
x ip route add 198.18.77.0/24 via 198.18.0.8
x ip route add 198.18.77.0/24 via 198.18.0.8 metric 10
x ip route append 198.18.77.0/24 via 198.18.0.9
x ip route replace 198.18.77.0/24 via 198.18.0.6
x ip route show 198.18.77.0/24
x ip route del 198.18.77.0/24 metric 10
x ip route flush 198.18.77.0/24
x ip route change 198.18.99.0/24 dev "$L"
x ip route del 198.18.99.0/24
x ip route add 198.18.66.0/24 nexthop via 198.18.0.7 nexthop via 198.18.0.8 weight 2
x ip route add 198.18.65.0/24 via 198.18.0.7 mtu 1400
x ip route add blackhole 198.18.64.0/24
x ip route add prohibit 198.18.63.0/24
x ip route add 198.18.62.1/24 dev "$L"
x ip route add 198.18.61.0/24 dev "$L" src 198.18.0.2
x ip route add 198.18.60.0/24 dev "$L" src 198.18.0.77
x ip route add 198.18.59.0/24 via 198.18.250.1 dev "$L" onlink
x ip route add default via 198.18.0.4
x ip route add default via 198.18.0.4 metric 50
x ip -6 route add 2001:db8:5::/48 via 2001:db8::7
x ip -6 route add 2001:db8:5::/48 via 2001:db8::8
x ip -6 route add 2001:db8:6::/48 dev "$L" metric 77
x ip -6 route add 2001:db8:7::/48 via 2001:db9:77::7
x ip -6 route del 2001:db8:99::/48
x ip route
x ip -6 route
for a in 198.18.63.1 198.18.64.1 198.18.65.1; do
    x ip route get "$a"
done

# Tables and rules.
x ip route add 198.18.40.0/24 via 198.18.0.7 table 100
x ip route add default via 198.18.0.8 table 100
x ip route add 198.18.41.0/24 via 198.18.0.7 table 1000
x ip route add 198.18.42.0/24 via 198.19.43.7 table 100
x ip route show table 100
x ip route show table 1000
x ip route show table 99
x ip route get 198.18.40.1
x ip rule add from 198.18.0.2 table 100
x ip rule add from 198.18.0.2 table 100
x ip rule add to 198.18.44.0/24 table 1000
x ip rule add fwmark 7 table 100
x ip rule add fwmark 0x10/0xf0 prio 500 table 1000
x ip rule add iif lo prio 600 table 1000
x ip rule add iif nosuch prio 601 table 1000
x ip rule add oif "$L" prio 602 table 1000
x ip rule add tos 0x10 prio 603 table 100
x ip rule add not from 198.18.0.0/16 prio 604 table 100
x ip rule add to 198.18.45.0/24 prio 605 unreachable
x ip rule add to 198.18.46.0/24 prio 606 blackhole
x ip rule add to 198.18.47.0/24 prio 607 prohibit
x ip rule add prio 608 goto 700
x ip rule add prio 609 goto 600
x ip rule add prio 610 nop
x ip rule add prio 611 table main suppress_prefixlength 0
x ip rule add ipproto tcp prio 612 table 100
x ip rule add prio 700 table 100
x ip rule add prio 701 from 198.18.0.2/33 table 100
x ip rule
x ip route show table all
for a in 198.18.0.2 198.18.41.1 198.18.44.1 198.18.45.1 198.19.0.1; do
    x ip route get "$a"
    x ip route get fibmatch "$a"
    x ip route get "$a" from 198.18.0.2
    x ip route get "$a" mark 0x13
done
for rest in 'oif '"$L" 'tos 0x10' 'ipproto tcp' 'mark 7'; do
    # shellcheck disable=SC2086
    x ip route get 198.18.40.1 $rest
done
for p in 500 600 601 602 603 604 605 606 607 608 610 611 612 700 701; do x ip rule del prio $p; done
x ip rule del from 198.18.0.2 table 77
x ip rule del from 198.18.0.2
x ip rule del fwmark 7
x ip rule del to 198.18.44.0/24
x ip rule
x ip -6 route add 2001:db8:40::/48 via 2001:db8::7 table 100
x ip -6 route add default via 2001:db8::8 table 100
x ip -6 rule add from 2001:db8::2 table 100
x ip -6 rule add to 2001:db8:41::/48 table 100 prio 77
x ip -6 rule add to 2001:db8:42::/48 prohibit
x ip -6 rule
x ip -6 route show table 100
x ip -6 route show table 101
for a in 2001:db8:40::1 2001:db8:41::1 2001:db8:42::1; do
    x ip route get "$a"
    x ip route get "$a" from 2001:db8::2
done
x ip -6 rule del prio 77
x ip -6 rule del prohibit
x ip -6 rule del from 2001:db8::2
x ip -6 rule
x ip route flush table 100
x ip route flush table 1000
x ip -6 route flush table 100
x ip route show table 100
x ip -6 route show table 100
x ip route show table all
# Metrics.
x ip route add 198.18.50.0/24 via 198.18.0.7 mtu 1400 advmss 1000 window 20000 initcwnd 20 initrwnd 5 hoplimit 33 rto_min 5ms quickack 1 congctl reno features ecn fastopen_no_cookie 1
x ip route add 198.18.51.0/24 via 198.18.0.7 mtu lock 1300 rtt 10ms rttvar 5ms ssthresh 100 cwnd 10 reordering 5
x ip route add 198.18.52.0/24 via 198.18.0.7 congctl nosuch
x ip route add 198.18.53.0/24 via 198.18.0.7 congctl lock cubic hoplimit 300
x ip -6 route add 2001:db8:50::/48 via 2001:db8::7 mtu 1400 advmss 1000 hoplimit 33 initcwnd 20
x ip route
x ip -6 route
for a in 198.18.50.1 198.18.51.1 2001:db8:50::1; do
    x ip route get "$a"
    x ip route get fibmatch "$a"
done
x ip route del 198.18.50.0/24
x ip route del 198.18.51.0/24
x ip route del 198.18.53.0/24
x ip -6 route del 2001:db8:50::/48

# Addresses.
x ip addr add 198.18.0.2/24 brd + dev "$L"
x ip addr add 198.18.0.3/24 brd + dev "$L"
x ip addr add 198.18.3.3/16 brd + dev "$L"
x ip addr del 198.18.0.22/24 dev "$L"
x ip -6 addr add 2001:db8::2/64 dev "$L" nodad
x ip -6 addr add 2001:db8:3::2/64 dev "$L" nodad
x ip -6 addr del 2001:db8::22/64 dev "$L"
x ip -o addr show dev "$L"
x ip route show table all
x ip addr del 198.18.3.3/16 dev "$L"
x ip addr del 198.18.0.3/24 dev "$L"
x ip -6 addr del 2001:db8:3::2/64 dev "$L"
x ip route show table all

# Neighbours.
x ip neigh add 198.18.0.19 lladdr 02:00:00:00:00:19 dev "$L"
x ip neigh add 198.18.0.19 lladdr 02:00:00:00:00:19 dev "$L"
x ip neigh replace 198.18.0.19 lladdr 02:00:00:00:00:20 dev "$L" nud stale
x ip neigh add 198.18.0.20 dev "$L"
x ip neigh add 198.18.0.21 lladdr 02:00:00:00:00:21 dev "$L" nud reachable
x ip -6 neigh add 2001:db8::19 lladdr 02:00:00:00:00:19 dev "$L"
x ip neigh
x ip neigh get 198.18.0.21 dev "$L"
x ip neigh get 198.18.0.99 dev "$L"
x ip neigh del 198.18.0.21 dev "$L"
x ip neigh del 198.18.0.21 dev "$L"
x ip neigh flush dev "$L"
x ip neigh

# Who listens.
timeout 10 ip -o monitor route address >"${TMPDIR:-/tmp}/monitor.$$" 2>&1 &
monitor=$!
sleep 0.5
ip route add 198.18.55.0/24 via 198.18.0.7
ip route del 198.18.55.0/24
ip addr add 198.18.4.4/24 brd + dev "$L"
ip addr del 198.18.4.4/24 dev "$L"
sleep 0.5
kill $monitor
wait $monitor 2>/dev/null
echo "monitor:"
grep -v 'table local' "${TMPDIR:-/tmp}/monitor.$$" | tidy
rm -f "${TMPDIR:-/tmp}/monitor.$$"

# The link.
x ip link set "$L" mtu 10
x ip link set "$L" mtu 1400
x ip -br link show "$L"
x ip link set "$L" down
x ip -br link show "$L"
x ip route
x ip link set "$L" up
x ip -br link show "$L"
x ip route
x ip link set "$L" txqueuelen 77
x ip link set "$L" alias "the first of them"
x ip link set "$L" multicast off
x ip link set "$L" promisc on
x ip link set "$L" arp off
x ip link set "$L" allmulticast on
x ip -o link show "$L"
x ip link set "$L" name lo
x ip link set "$L" name "a/b"
x ip link set "$L" name other0
x ip -o link show other0
x ifconfig other0 -promisc
x ifconfig other0 txqueuelen 88
x ip link set other0 name "$L"
x ip link set "$L" multicast on arp on allmulticast off alias ""
x ip -o link show "$L"
x ip link show nosuch
x ip link set nosuch up
