/* tunable.h: every setting of --set KEY=VALUE, with its default and bounds. Names follow Linux's sysctl where
 * it has one. */
#ifndef SHUNT_TUNABLE_H
#define SHUNT_TUNABLE_H

#include <stdint.h>

/* X(name, default, min, max, "unit and meaning") */
#define TUNABLES(X)                                                                                          \
    X(ip_default_ttl, 64, 1, 255, "TTL of what is sent")                                                     \
    X(somaxconn, 4096, 1, 1 << 20, "upper bound of listen's backlog")                                        \
    X(tcp_max_syn_backlog, 4096, 1, 1 << 20, "half-open connections a listener")                             \
    X(tcp_fin_timeout, 60, 1, 3600, "seconds an orphan stays in FIN_WAIT_2")                                 \
    X(tcp_timewait, 60, 0, 3600, "seconds in TIME_WAIT")                                                     \
    X(tcp_max_tw_buckets, 262144, 0, 1 << 20, "TIME_WAIT entries")                                           \
    X(tcp_rfc1337, 0, 0, 1, "1: a RST does not end TIME_WAIT")                                               \
    X(tcp_tw_reuse, 2, 0, 2, "1: reuse TIME_WAIT for new connections, 2: loopback only")                     \
    X(tcp_syn_retries, 6, 1, 127, "SYN retransmissions")                                                     \
    X(tcp_syn_linear_timeouts, 4, 0, 127, "of which the first so many do not back off")                      \
    X(tcp_synack_retries, 5, 0, 127, "SYN-ACK retransmissions")                                              \
    X(tcp_retries1, 3, 1, 255, "retransmissions before the route is doubted")                                \
    X(tcp_retries2, 15, 1, 255, "retransmissions before the connection is given up")                         \
    X(tcp_orphan_retries, 0, 0, 255, "the same for an orphan, 0: 8")                                         \
    X(tcp_keepalive_time, 7200, 1, 32767, "seconds idle before the first probe")                             \
    X(tcp_keepalive_intvl, 75, 1, 32767, "seconds between probes")                                           \
    X(tcp_keepalive_probes, 9, 1, 127, "unanswered probes before the end")                                   \
    X(tcp_sack, 1, 0, 1, "offer SACK")                                                                       \
    X(tcp_timestamps, 1, 0, 1, "offer timestamps")                                                           \
    X(tcp_ecn, 2, 0, 2, "ECN: 1 offered and accepted, 2 accepted, 0 neither")                                \
    X(tcp_ecn_fallback, 1, 0, 1, "a SYN is sent again without ECN")                                          \
    X(tcp_window_scaling, 1, 0, 1, "offer window scaling")                                                   \
    X(tcp_stdurg, 0, 0, 1, "1: the urgent pointer stands on the last urgent byte (RFC 1122), 0: behind it")  \
    X(tcp_fastopen, 1, 0, INT32_MAX, "Fast Open: 1 client, 2 server, and Linux's further bits")              \
    X(tcp_fastopen_blackhole_timeout, 0, 0, 1 << 20,                                                         \
      "seconds without Fast Open after it failed; 0: detect nothing")                                        \
    X(tcp_syncookies, 1, 0, 2, "SYN cookies; 1: when the SYN queue is full, 2: always")                      \
    X(tcp_invalid_ratelimit, 500, 0, 1 << 30, "milliseconds between answers to what is out of place")        \
    X(tcp_challenge_ack_limit, INT32_MAX, 0, INT32_MAX, "challenge ACKs a second, all connections")          \
    X(tcp_abort_on_overflow, 0, 0, 1, "RST when the accept queue is full")                                   \
    X(tcp_slow_start_after_idle, 1, 0, 1, "shrink the window after an idle RTO (RFC 2861)")                  \
    X(tcp_min_tso_segs, 2, 1, 65535, "segments a burst has at least, when the windows allow")                \
    X(tcp_notsent_lowat, UINT32_MAX, 1, UINT32_MAX, "bytes not sent yet beyond which send takes no more")    \
    X(tcp_init_cwnd, 10, 1, 1000, "initial window in segments (RFC 6928)")                                   \
    X(tcp_delack_min, 40, 1, 500, "milliseconds an ACK may be delayed")                                      \
    X(tcp_rto_min, 200, 1, 10000, "milliseconds")                                                            \
    X(tcp_mtu_probing, 0, 0, 2, "search the path's MTU (RFC 4821): 1 after a black hole, 2 always")          \
    X(tcp_base_mss, 1024, 48, 65495, "bytes a segment where that search begins")                             \
    X(tcp_early_retrans, 3, 0, 4, "0: no tail loss probes")                                                  \
    X(tcp_frto, 2, 0, 2, "0: no detection of spurious timeouts (RFC 5682)")                                  \
    X(tcp_reordering, 3, 1, 127, "packets a path is first taken to reorder")                                 \
    X(tcp_max_reordering, 300, 1, 65535, "packets it may be found to reorder")                               \
    X(tcp_congestion_control, 0, 0, 3, "0 cubic, 1 reno, 2 bbr, 3 dctcp")                                    \
    X(tcp_allowed_congestion_control, 15, 0, 15,                                                             \
      "names, or bits in that order: what TCP_CONGESTION may name")                                          \
    X(tcp_hystart, 1, 0, 2,                                                                                  \
      "CUBIC's first slow start: 0 up to a loss, 1 HyStart++ (RFC 9406), 2 Linux's HyStart")                 \
    X(tcp_moderate_rcvbuf, 1, 0, 1, "receive buffers grow with what their readers take")                     \
    X(tcp_rmem_default, 131072, 2304, 1 << 30, "bytes of a receive buffer at start")                         \
    X(tcp_rmem_max, 6291456, 2304, 1 << 30, "bytes a receive buffer may grow to")                            \
    X(tcp_wmem_default, 262144, 4608, 1 << 30, "bytes of a send buffer at start")                            \
    X(tcp_wmem_max, 4194304, 4608, 1 << 30, "bytes a send buffer may grow to")                               \
    X(rmem_default, 212992, 2304, 1 << 30, "bytes of a UDP receive buffer")                                  \
    X(rmem_max, 212992, 2304, 1 << 30, "bound of SO_RCVBUF")                                                 \
    X(wmem_default, 212992, 4608, 1 << 30, "bytes of a UDP send buffer")                                     \
    X(wmem_max, 212992, 4608, 1 << 30, "bound of SO_SNDBUF")                                                 \
    X(ip_local_port_min, 32768, 1, 65535, "first ephemeral port")                                            \
    X(ip_local_port_max, 60999, 1, 65535, "last ephemeral port")                                             \
    X(ip_unprivileged_port_start, 0, 0, 65535, "lower ports need root (0: nobody does, the stack is yours)") \
    X(neigh_base_reachable, 30, 1, 3600, "seconds a neighbour is taken as reachable")                        \
    X(neigh_retrans, 1000, 10, 60000, "milliseconds between probes")                                         \
    X(neigh_probes, 3, 1, 100, "probes before a neighbour has failed")                                       \
    X(neigh_unres_qlen, 101, 1, 10000, "packets queued for an unresolved neighbour")                         \
    X(neigh_gc_thresh, 1024, 16, 1 << 20, "neighbour entries")                                               \
    X(arp_probe, 1, 0, 1, "probe an address for conflicts before its use (RFC 5227, shortened)")             \
    X(disable_ipv6, 0, 0, 1, "1: no IPv6, not even a link-local address")                                    \
    X(hop_limit, 64, 1, 255, "hop limit of what is sent by IPv6")                                            \
    X(dad_transmits, 1, 0, 16, "probes for duplicates of an IPv6 address (RFC 4862), 0: none")               \
    X(auto_flowlabels, 1, 0, 3,                                                                              \
      "IPv6 flow labels by hash: 0 never, 1 unless, 2 if the socket says, 3 always")                         \
    X(bindv6only, 0, 0, 1, "default of IPV6_V6ONLY")                                                         \
    X(accept_ra, 1, 0, 2, "believe routers: 1 on links without a given IPv6 address, 2 on all")              \
    X(autoconf, 1, 0, 1, "make addresses of the prefixes that routers advertise")                            \
    X(dhcp_timeout, 10, 1, 600, "seconds the start waits for an address by DHCP")                            \
    X(accept_redirects, 1, 0, 1, "believe a gateway's ICMP redirects")                                       \
    X(ipfrag_time, 30, 1, 600, "seconds an incomplete datagram is kept")                                     \
    X(ip6frag_time, 60, 1, 600, "the same for IPv6")                                                         \
    X(ipfrag_high_thresh, 4194304, 0, 1 << 30,                                                               \
      "bytes of buffers incomplete datagrams may hold, 0: no reassembly")                                    \
    X(ip6frag_high_thresh, 4194304, 0, 1 << 30, "the same for IPv6")                                         \
    X(igmp_max_memberships, 20, 0, 1 << 20, "multicast groups of IPv4 a socket may join")                    \
    X(igmp_max_msf, 10, 0, 64, "sources of one multicast filter, IPv4")                                      \
    X(mld_max_msf, 64, 0, 64, "sources of one multicast filter, IPv6")                                       \
    X(icmp_ratelimit, 1000, 0, 1000000, "ICMP errors a second, 0: no limit")                                 \
    X(shards, 1, 0, 8, "parts of the stack that are used at once; 0 or auto: one a CPU")                     \
    X(mem_mb, 1024, 64, 1 << 20, "MiB of packet memory that may be used")                                    \
    X(sendfile_cache, 256, 0, 1 << 20,                                                                       \
      "MiB of it for files that sendfile sends, a quarter at most; 0: they are copied")                      \
    X(spin_us, 50, 0, 1000000, "microseconds a blocking call spins at most before it sleeps")                \
    X(io_uring, 0, 0, 1, "1: io_uring_setup works, for other descriptors than the stack's")                  \
    X(resolve, 1, 0, 1,                                                                                      \
      "ask name servers on the stack: libc's resolver runs with its system calls handed over")               \
    X(netlink, 1, 0, 1, "0: AF_NETLINK stays with the kernel: ip, ss and their like show the host")          \
    X(syscall_dispatch, 2, 0, 2,                                                                             \
      "serve system calls that bypass the C library: 0 never, 1 always, 2 for Go programs")                  \
    X(metrics_port, 0, 0, 65535,                                                                             \
      "TCP port of the kernel's 127.0.0.1 where Prometheus finds metrics, 0: none")                          \
    X(telemetry, 0, 0, 1, "1: dpdk-telemetry.py -f shunt-NAME is answered")                                  \
    X(capture_buffer, 16777216, 65536, 1 << 30, "bytes of frames that may wait for --capture's file")        \
    X(capture_snaplen, 262144, 64, 262144, "bytes of each frame that --capture keeps")                       \
    X(flight_recorder, 0, 0, 1 << 25, "bytes of the last frames that are kept in memory, 0: none")           \
    X(flight_snaplen, 256, 64, 65536, "bytes of each of them")                                               \
    X(flight_record_on, 0, 0, 7, "names (rst,rto,crash), or bits in that order: when they are written")      \
    X(flight_record_files, 16, 1, 10000, "files they are written to at most")                                \
    X(keeper_linger, 2, 0, 3600, "seconds the keeper stays for TIME_WAIT alone after the last process")

struct tunables {
#define X(name, def, min, max, text) int64_t name;
    TUNABLES(X)
#undef X
    /* tcp_fastopen_key: "8 hex digits-8-8-8", twice with a comma between for a backup; none: a random one */
    uint8_t tcp_fastopen_key[32], tcp_fastopen_nkeys;
};

void tunables_default(struct tunables *t);
/* Sets by name. 0, -ENOENT for an unknown name, -EINVAL for no number, -ERANGE (with *min, *max set). For
 * tcp_rmem and tcp_wmem takes Linux's "min default max" triple too; tcp_congestion_control takes a name,
 * shards auto. */
int tunables_set(struct tunables *t, const char *key, const char *value, int64_t *min, int64_t *max);

#endif
