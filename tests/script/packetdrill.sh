#!/bin/sh
# packetdrill.sh: runs one packet script on the stack by the public packetdrill tool (packetdrill.c).
#
#     packetdrill.sh PACKETDRILL SO SCRIPT
#
# In a network namespace of its own, because scripts set sysctls, of which the stack takes those it knows; tun0 is
# there for the scripts that change its queue discipline. Needs root; exit status 77 (skipped) without it. In a fresh
# namespace a congestion control may be chosen only if the initial one allows it for all
# (net.ipv4.tcp_allowed_congestion_control).
set -eu
tool=$1 so=$2 script=$3
[ "$(id -u)" = 0 ] || exit 77
mtu=$(sed -n 's/.*--mtu=\([0-9]*\).*/\1/p' "$script" | head -n 1)
cd "$(dirname "$script")"
exec unshare -n sh -euc '
    ip link set lo up
    ip tuntap add tun0 mode tun
    ip link set tun0 up
    tool=$1 so=$2 mtu=$3 script=$4
    LD_PRELOAD=$so exec "$tool" --send_omit_free --ip_version=ipv4 --local_ip=192.168.0.1 --gateway_ip=192.168.0.1 \
        --netmask_ip=255.255.0.0 --remote_ip=192.0.2.1 -D CMSG_LEVEL_IP=SOL_IP -D CMSG_TYPE_RECVERR=IP_RECVERR \
        -D CODE=host_unreachable -D TFO_COOKIE=3021b9d889017eeb \
        --so_filename="$so" --so_flags="mtu=$mtu" "$script"' sh "$tool" "$so" "${mtu:-1500}" "$(basename "$script")"
