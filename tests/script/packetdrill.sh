#!/bin/sh
# packetdrill.sh: runs one packet script on the stack by the public packetdrill tool (packetdrill.c).
#
#     packetdrill.sh PACKETDRILL SO SCRIPT [ipv4|ipv6|ipv4-mapped-ipv6]
#
# In a network namespace of its own, because scripts set sysctls, of which the stack takes those it knows; tun0 is
# there for the scripts that change its queue discipline. Needs root; exit status 77 (skipped) without it, and where the
# script itself asks for another version of IP. In a fresh namespace a congestion control may be chosen only if the
# initial one allows it for all (net.ipv4.tcp_allowed_congestion_control).
set -eu
tool=$1 so=$2 script=$3 version=${4:-ipv4}
[ "$(id -u)" = 0 ] || exit 77
own=$(sed -n 's/^--ip_version=\([a-z0-9-]*\).*/\1/p' "$script" | head -n 1)
[ -z "$own" ] || [ "$own" = "$version" ] || exit 77
mtu=$(sed -n 's/.*--mtu=\([0-9]*\).*/\1/p' "$script" | head -n 1)
if [ "$version" = ipv6 ]; then
    # 20 bytes more, so that segments are as long as over IPv4
    mtu=${mtu:-1520}
    set -- --mtu="$mtu" --ip_version=ipv6 --local_ip=fd3d:0a0b:17d6::1 --gateway_ip=fd3d:0a0b:17d6:8888:: \
        --remote_ip=2001:db8::1 -D CMSG_LEVEL_IP=SOL_IPV6 -D CMSG_TYPE_RECVERR=IPV6_RECVERR \
        -D CODE=address_unreachable
else
    mtu=${mtu:-1500}
    set -- --ip_version="$version" --local_ip=192.168.0.1 --gateway_ip=192.168.0.1 --netmask_ip=255.255.0.0 \
        --remote_ip=192.0.2.1 -D CMSG_LEVEL_IP=SOL_IP -D CMSG_TYPE_RECVERR=IP_RECVERR -D CODE=host_unreachable
fi
cd "$(dirname "$script")"
exec unshare -n sh -euc '
    ip link set lo up
    ip tuntap add tun0 mode tun
    ip link set tun0 up
    exec "$@"' sh "$tool" --send_omit_free "$@" -D TFO_COOKIE=3021b9d889017eeb \
    --so_filename="$so" --so_flags="mtu=$mtu" "$(basename "$script")"
