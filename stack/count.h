/* count.h: every counter of the stack, named once. A function that drops a packet returns or passes the name
 * of the reason; one place counts and frees. Names follow /proc/net/snmp and /proc/net/netstat where Linux
 * has one ("linux name" is what nstat shows). */
#ifndef SHUNT_COUNT_H
#define SHUNT_COUNT_H

/* X(identifier, "nstat-style name") */
#define COUNTERS(X)                                                                                          \
    X(OK, "")                                                                                                \
    X(ETH_RUNT, "EthRunt")                                                                                   \
    X(ETH_TYPE, "EthUnknownType")                                                                            \
    X(ETH_VLAN, "EthUnknownVlan")                                                                            \
    X(ETH_QINQ, "EthStackedVlan")                                                                            \
    X(ETH_NOT_US, "EthNotForUs")                                                                             \
    X(ARP_BAD, "ArpMalformed")                                                                               \
    X(ARP_CONFLICT, "ArpAddressConflict")                                                                    \
    X(NEIGH_FULL, "NeighQueueFull")                                                                          \
    X(NEIGH_FAILED, "NeighUnreachable")                                                                      \
    X(IP_IN, "IpInReceives")                                                                                 \
    X(IP_IN_OCTETS, "IpExtInOctets")                                                                         \
    X(IP_DELIVERED, "IpInDelivers")                                                                          \
    X(IP_OUT, "IpOutRequests")                                                                               \
    X(IP_OUT_OCTETS, "IpExtOutOctets")                                                                       \
    X(IP_HDR, "IpInHdrErrors")                                                                               \
    X(IP_IN_NOECT, "IpExtInNoECTPkts") /* these four in the order of the header's two bits */                \
    X(IP_IN_ECT1, "IpExtInECT1Pkts")                                                                         \
    X(IP_IN_ECT0, "IpExtInECT0Pkts")                                                                         \
    X(IP_IN_CE, "IpExtInCEPkts")                                                                             \
    X(IP_TRUNC, "IpExtInTruncatedPkts")                                                                      \
    X(IP_CSUM, "IpExtInCsumErrors")                                                                          \
    X(IP_ADDR, "IpInAddrErrors")                                                                             \
    X(IP_PROTO, "IpInUnknownProtos")                                                                         \
    X(IP_NOT_MEMBER, "ShuntIpNotMember")                                                                     \
    X(IP_NOROUTE, "IpOutNoRoutes")                                                                           \
    X(IP_OUT_DISCARD, "IpOutDiscards")                                                                       \
    X(IP_REASM_REQ, "IpReasmReqds")                                                                          \
    X(IP_REASM_OK, "IpReasmOKs")                                                                             \
    X(IP_REASM_FAIL, "IpReasmFails")                                                                         \
    X(IP_REASM_TIMEOUT, "IpReasmTimeout")                                                                    \
    X(IP_REASM_OVERLAP, "IpExtReasmOverlaps")                                                                \
    X(IP_FRAG_OK, "IpFragOKs")                                                                               \
    X(IP_FRAG_CREATE, "IpFragCreates")                                                                       \
    X(IP_FRAG_FAIL, "IpFragFails")                                                                           \
    X(ICMP_IN, "IcmpInMsgs")                                                                                 \
    X(ICMP_ERR, "IcmpInErrors")                                                                              \
    X(ICMP_CSUM, "IcmpInCsumErrors")                                                                         \
    X(ICMP_OUT, "IcmpOutMsgs")                                                                               \
    X(ICMP_RATELIMIT, "IcmpOutRateLimitHost")                                                                \
    X(ICMP_IN_DESTUNREACHS, "IcmpInDestUnreachs") /* both directions in one order */                         \
    X(ICMP_IN_TIMEEXCDS, "IcmpInTimeExcds")                                                                  \
    X(ICMP_IN_PARMPROBS, "IcmpInParmProbs")                                                                  \
    X(ICMP_IN_REDIRECTS, "IcmpInRedirects")                                                                  \
    X(ICMP_IN_ECHOS, "IcmpInEchos")                                                                          \
    X(ICMP_IN_ECHOREPS, "IcmpInEchoReps")                                                                    \
    X(ICMP_OUT_DESTUNREACHS, "IcmpOutDestUnreachs")                                                          \
    X(ICMP_OUT_TIMEEXCDS, "IcmpOutTimeExcds")                                                                \
    X(ICMP_OUT_PARMPROBS, "IcmpOutParmProbs")                                                                \
    X(ICMP_OUT_REDIRECTS, "IcmpOutRedirects")                                                                \
    X(ICMP_OUT_ECHOS, "IcmpOutEchos")                                                                        \
    X(ICMP_OUT_ECHOREPS, "IcmpOutEchoReps")                                                                  \
    X(IP6_IN, "Ip6InReceives")                                                                               \
    X(IP6_IN_OCTETS, "Ip6InOctets")                                                                          \
    X(IP6_DELIVERED, "Ip6InDelivers")                                                                        \
    X(IP6_OUT, "Ip6OutRequests")                                                                             \
    X(IP6_OUT_OCTETS, "Ip6OutOctets")                                                                        \
    X(IP6_HDR, "Ip6InHdrErrors")                                                                             \
    X(IP6_TRUNC, "Ip6InTruncatedPkts")                                                                       \
    X(IP6_ADDR, "Ip6InAddrErrors")                                                                           \
    X(IP6_PROTO, "Ip6InUnknownProtos")                                                                       \
    X(IP6_NOROUTE, "Ip6OutNoRoutes")                                                                         \
    X(IP6_OUT_DISCARD, "Ip6OutDiscards")                                                                     \
    X(IP6_REASM_REQ, "Ip6ReasmReqds")                                                                        \
    X(IP6_REASM_OK, "Ip6ReasmOKs")                                                                           \
    X(IP6_REASM_FAIL, "Ip6ReasmFails")                                                                       \
    X(IP6_REASM_TIMEOUT, "Ip6ReasmTimeout")                                                                  \
    X(IP6_FRAG_OK, "Ip6FragOKs")                                                                             \
    X(IP6_FRAG_CREATE, "Ip6FragCreates")                                                                     \
    X(IP6_FRAG_FAIL, "Ip6FragFails")                                                                         \
    X(ICMP6_IN, "Icmp6InMsgs")                                                                               \
    X(ICMP6_ERR, "Icmp6InErrors")                                                                            \
    X(ICMP6_CSUM, "Icmp6InCsumErrors")                                                                       \
    X(ICMP6_OUT, "Icmp6OutMsgs")                                                                             \
    X(ICMP6_RATELIMIT, "Icmp6OutRateLimitHost")                                                              \
    X(ICMP6_IN_DESTUNREACHS, "Icmp6InDestUnreachs") /* as above */                                           \
    X(ICMP6_IN_PKTTOOBIGS, "Icmp6InPktTooBigs")                                                              \
    X(ICMP6_IN_TIMEEXCDS, "Icmp6InTimeExcds")                                                                \
    X(ICMP6_IN_PARMPROBLEMS, "Icmp6InParmProblems")                                                          \
    X(ICMP6_IN_ECHOS, "Icmp6InEchos")                                                                        \
    X(ICMP6_IN_ECHOREPLIES, "Icmp6InEchoReplies")                                                            \
    X(ICMP6_IN_GROUPMEMBQUERIES, "Icmp6InGroupMembQueries")                                                  \
    X(ICMP6_IN_GROUPMEMBRESPONSES, "Icmp6InGroupMembResponses")                                              \
    X(ICMP6_IN_GROUPMEMBREDUCTIONS, "Icmp6InGroupMembReductions")                                            \
    X(ICMP6_IN_ROUTERSOLICITS, "Icmp6InRouterSolicits")                                                      \
    X(ICMP6_IN_ROUTERADVERTISEMENTS, "Icmp6InRouterAdvertisements")                                          \
    X(ICMP6_IN_NEIGHBORSOLICITS, "Icmp6InNeighborSolicits")                                                  \
    X(ICMP6_IN_NEIGHBORADVERTISEMENTS, "Icmp6InNeighborAdvertisements")                                      \
    X(ICMP6_IN_REDIRECTS, "Icmp6InRedirects")                                                                \
    X(ICMP6_IN_MLDV2REPORTS, "Icmp6InMLDv2Reports")                                                          \
    X(ICMP6_OUT_DESTUNREACHS, "Icmp6OutDestUnreachs")                                                        \
    X(ICMP6_OUT_PKTTOOBIGS, "Icmp6OutPktTooBigs")                                                            \
    X(ICMP6_OUT_TIMEEXCDS, "Icmp6OutTimeExcds")                                                              \
    X(ICMP6_OUT_PARMPROBLEMS, "Icmp6OutParmProblems")                                                        \
    X(ICMP6_OUT_ECHOS, "Icmp6OutEchos")                                                                      \
    X(ICMP6_OUT_ECHOREPLIES, "Icmp6OutEchoReplies")                                                          \
    X(ICMP6_OUT_GROUPMEMBQUERIES, "Icmp6OutGroupMembQueries")                                                \
    X(ICMP6_OUT_GROUPMEMBRESPONSES, "Icmp6OutGroupMembResponses")                                            \
    X(ICMP6_OUT_GROUPMEMBREDUCTIONS, "Icmp6OutGroupMembReductions")                                          \
    X(ICMP6_OUT_ROUTERSOLICITS, "Icmp6OutRouterSolicits")                                                    \
    X(ICMP6_OUT_ROUTERADVERTISEMENTS, "Icmp6OutRouterAdvertisements")                                        \
    X(ICMP6_OUT_NEIGHBORSOLICITS, "Icmp6OutNeighborSolicits")                                                \
    X(ICMP6_OUT_NEIGHBORADVERTISEMENTS, "Icmp6OutNeighborAdvertisements")                                    \
    X(ICMP6_OUT_REDIRECTS, "Icmp6OutRedirects")                                                              \
    X(ICMP6_OUT_MLDV2REPORTS, "Icmp6OutMLDv2Reports")                                                        \
    X(ND_BAD, "NdMalformed")                                                                                 \
    X(ND_CONFLICT, "NdAddressConflict")                                                                      \
    X(UDP_IN, "UdpInDatagrams")                                                                              \
    X(UDP_NOPORT, "UdpNoPorts")                                                                              \
    X(UDP_IGNORED_MC, "UdpIgnoredMulti")                                                                     \
    X(UDP_ERR, "UdpInErrors")                                                                                \
    X(UDP_OUT, "UdpOutDatagrams")                                                                            \
    X(UDP_RCVBUF, "UdpRcvbufErrors")                                                                         \
    X(UDP_CSUM, "UdpInCsumErrors")                                                                           \
    X(UDP6_IN, "Udp6InDatagrams") /* in the order of UDP_IN ... (udp_count) */                               \
    X(UDP6_NOPORT, "Udp6NoPorts")                                                                            \
    X(UDP6_IGNORED_MC, "Udp6IgnoredMulti")                                                                   \
    X(UDP6_ERR, "Udp6InErrors")                                                                              \
    X(UDP6_OUT, "Udp6OutDatagrams")                                                                          \
    X(UDP6_RCVBUF, "Udp6RcvbufErrors")                                                                       \
    X(UDP6_CSUM, "Udp6InCsumErrors")                                                                         \
    X(UDPLITE_IN, "UdpLiteInDatagrams")                                                                      \
    X(UDPLITE_NOPORT, "UdpLiteNoPorts")                                                                      \
    X(UDPLITE_IGNORED_MC, "UdpLiteIgnoredMulti")                                                             \
    X(UDPLITE_ERR, "UdpLiteInErrors")                                                                        \
    X(UDPLITE_OUT, "UdpLiteOutDatagrams")                                                                    \
    X(UDPLITE_RCVBUF, "UdpLiteRcvbufErrors")                                                                 \
    X(UDPLITE_CSUM, "UdpLiteInCsumErrors")                                                                   \
    X(UDPLITE6_IN, "UdpLite6InDatagrams")                                                                    \
    X(UDPLITE6_NOPORT, "UdpLite6NoPorts")                                                                    \
    X(UDPLITE6_IGNORED_MC, "UdpLite6IgnoredMulti")                                                           \
    X(UDPLITE6_ERR, "UdpLite6InErrors")                                                                      \
    X(UDPLITE6_OUT, "UdpLite6OutDatagrams")                                                                  \
    X(UDPLITE6_RCVBUF, "UdpLite6RcvbufErrors")                                                               \
    X(UDPLITE6_CSUM, "UdpLite6InCsumErrors")                                                                 \
    X(TCP_ACTIVE_OPEN, "TcpActiveOpens")                                                                     \
    X(TCP_PASSIVE_OPEN, "TcpPassiveOpens")                                                                   \
    X(TCP_ATTEMPT_FAIL, "TcpAttemptFails")                                                                   \
    X(TCP_ESTAB_RESET, "TcpEstabResets")                                                                     \
    X(TCP_IN, "TcpInSegs")                                                                                   \
    X(TCP_OUT, "TcpOutSegs")                                                                                 \
    X(TCP_RETRANS, "TcpRetransSegs")                                                                         \
    X(TCP_ERR, "TcpInErrs")                                                                                  \
    X(TCP_OUT_RST, "TcpOutRsts")                                                                             \
    X(TCP_CSUM, "TcpInCsumErrors")                                                                           \
    X(TCP_LISTEN_OVERFLOW, "TcpExtListenOverflows")                                                          \
    X(TCP_LISTEN_DROP, "TcpExtListenDrops")                                                                  \
    X(TCP_REQQ_DROP, "TcpExtTCPReqQFullDrop")                                                                \
    X(TCP_REQQ_COOKIES, "TcpExtTCPReqQFullDoCookies")                                                        \
    X(TCP_COOKIE_SENT, "TcpExtSyncookiesSent")                                                               \
    X(TCP_COOKIE_RECV, "TcpExtSyncookiesRecv")                                                               \
    X(TCP_COOKIE_FAILED, "TcpExtSyncookiesFailed")                                                           \
    X(TFO_ACTIVE, "TcpExtTCPFastOpenActive")                                                                 \
    X(TFO_ACTIVE_FAIL, "TcpExtTCPFastOpenActiveFail")                                                        \
    X(TFO_PASSIVE, "TcpExtTCPFastOpenPassive")                                                               \
    X(TFO_PASSIVE_FAIL, "TcpExtTCPFastOpenPassiveFail")                                                      \
    X(TFO_OVERFLOW, "TcpExtTCPFastOpenListenOverflow")                                                       \
    X(TFO_COOKIE_REQ, "TcpExtTCPFastOpenCookieReqd")                                                         \
    X(TFO_BLACKHOLE, "TcpExtTCPFastOpenBlackhole")                                                           \
    X(TFO_ALT_KEY, "TcpExtTCPFastOpenPassiveAltKey")                                                         \
    X(TCP_MD5_NOT_FOUND, "TcpExtTCPMD5NotFound")                                                             \
    X(TCP_MD5_UNEXPECTED, "TcpExtTCPMD5Unexpected")                                                          \
    X(TCP_MD5_FAILURE, "TcpExtTCPMD5Failure")                                                                \
    X(TCP_EMBRYONIC_RST, "TcpExtEmbryonicRsts")                                                              \
    X(TCP_SYN_RETRANS, "TcpExtTCPSynRetrans")                                                                \
    X(TCP_DEFER_ACCEPT, "TcpExtTCPDeferAcceptDrop")                                                          \
    X(TCP_SKIP_SYN_RECV, "TcpExtTCPACKSkippedSynRecv")                                                       \
    X(TCP_PAWS_TW, "TcpExtPAWSTimewait")                                                                     \
    X(TCP_SKIP_PAWS, "TcpExtTCPACKSkippedPAWS")                                                              \
    X(TCP_SKIP_SEQ, "TcpExtTCPACKSkippedSeq")                                                                \
    X(TCP_SKIP_FIN_WAIT_2, "TcpExtTCPACKSkippedFinWait2")                                                    \
    X(TCP_SKIP_TIME_WAIT, "TcpExtTCPACKSkippedTimeWait")                                                     \
    X(TCP_SKIP_CHALLENGE, "TcpExtTCPACKSkippedChallenge")                                                    \
    X(TCP_TSECR, "TcpExtTSEcrRejected")                                                                      \
    X(TCP_PAWS_ACTIVE, "TcpExtPAWSActive")                                                                   \
    X(TCP_PAWS, "TcpExtPAWSEstab")                                                                           \
    X(TCP_OOW_ICMP, "TcpExtOutOfWindowIcmps")                                                                \
    X(TCP_MINTTL, "TcpExtTCPMinTTLDrop")                                                                     \
    X(TCP_SEQ, "TcpExtTCPOutOfWindow")                                                                       \
    X(TCP_RST_SEQ, "TcpExtTCPRstSequence")                                                                   \
    X(TCP_ACK_UNSENT, "TcpExtTCPAckUnsent")                                                                  \
    X(TCP_ACK_OLD, "TcpExtTCPAckOld")                                                                        \
    X(TCP_NOACK, "TcpExtTCPNoAckFlag")                                                                       \
    X(TCP_CHALLENGE, "TcpExtTCPChallengeACK")                                                                \
    X(TCP_SYN_CHALLENGE, "TcpExtTCPSYNChallenge")                                                            \
    X(TCP_DUP_DATA, "TcpExtTCPDuplicateData")                                                                \
    X(TCP_OFO, "TcpExtTCPOFOQueue")                                                                          \
    X(TCP_OFO_DROP, "TcpExtTCPOFODrop")                                                                      \
    X(TCP_RCV_FULL, "TcpExtTCPRcvQDrop")                                                                     \
    X(TCP_CLOSED_DATA, "TcpExtTCPAbortOnData")                                                               \
    X(TCP_ABORT_CLOSE, "TcpExtTCPAbortOnClose")                                                              \
    X(TCP_ABORT_TIMEOUT, "TcpExtTCPAbortOnTimeout")                                                          \
    X(TCP_ABORT_LINGER, "TcpExtTCPAbortOnLinger")                                                            \
    X(TCP_TIMEOUT, "TcpExtTCPTimeouts")                                                                      \
    X(TCP_FAST_RETRANS, "TcpExtTCPFastRetrans")                                                              \
    X(TCP_SLOW_START_RETRANS, "TcpExtTCPSlowStartRetrans")                                                   \
    X(TCP_SACK_RECOVERY, "TcpExtTCPSackRecovery")                                                            \
    X(TCP_RENO_RECOVERY, "TcpExtTCPRenoRecovery")                                                            \
    X(TCP_MTUP_SUCCESS, "TcpExtTCPMTUPSuccess")                                                              \
    X(TCP_MTUP_FAIL, "TcpExtTCPMTUPFail")                                                                    \
    X(TCP_SACK_RENEGING, "TcpExtTCPSACKReneging")                                                            \
    X(TCP_SACK_REORDER, "TcpExtTCPSACKReorder")                                                              \
    X(TCP_RENO_REORDER, "TcpExtTCPRenoReorder")                                                              \
    X(TCP_TS_REORDER, "TcpExtTCPTSReorder")                                                                  \
    X(TCP_FULL_UNDO, "TcpExtTCPFullUndo")                                                                    \
    X(TCP_PARTIAL_UNDO, "TcpExtTCPPartialUndo")                                                              \
    X(TCP_DSACK_UNDO, "TcpExtTCPDSACKUndo")                                                                  \
    X(TCP_LOSS_UNDO, "TcpExtTCPLossUndo")                                                                    \
    X(TCP_SPURIOUS_RTOS, "TcpExtTCPSpuriousRTOs")                                                            \
    X(TCP_LOST_RETRANSMIT, "TcpExtTCPLostRetransmit")                                                        \
    X(TCP_LOSS_PROBES, "TcpExtTCPLossProbes")                                                                \
    X(TCP_LOSS_PROBE_RECOVERY, "TcpExtTCPLossProbeRecovery")                                                 \
    X(TCP_DSACK_RECV, "TcpExtTCPDSACKRecv")                                                                  \
    X(TCP_DSACK_OFO_RECV, "TcpExtTCPDSACKOfoRecv")                                                           \
    X(TCP_DSACK_IGNORED_OLD, "TcpExtTCPDSACKIgnoredOld")                                                     \
    X(TCP_DSACK_IGNORED_NO_UNDO, "TcpExtTCPDSACKIgnoredNoUndo")                                              \
    X(TCP_DSACK_IGNORED_DUBIOUS, "TcpExtTCPDSACKIgnoredDubious")                                             \
    X(TCP_SACK_BAD, "TcpExtTCPSACKDiscard")                                                                  \
    X(TCP_HYSTART, "TcpExtTCPHystartDelayDetect")                                                            \
    X(TCP_DELIVERED_CE, "TcpExtTCPDeliveredCE")                                                              \
    X(TCP_DELACK, "TcpExtDelayedACKs")                                                                       \
    X(TCP_TW, "TcpExtTW")                                                                                    \
    X(TCP_TW_OVERFLOW, "TcpExtTCPTimeWaitOverflow")                                                          \
    X(TCP_TW_RECYCLED, "TcpExtTWRecycled")                                                                   \
    X(TCP_KEEPALIVE, "TcpExtTCPKeepAlive")                                                                   \
    X(TCP_PROBE, "TcpExtTCPWinProbe")                                                                        \
    X(TCP_FAST_PATH, "TcpExtTCPHPHits")                                                                      \
    X(SOCK_FILTER, "ShuntSocketFilter")                                                                      \
    X(NOMEM_PKT, "ShuntNoPacketBuffer")                                                                      \
    X(NOMEM_PCB, "ShuntNoControlBlock")                                                                      \
    X(TX_FULL, "ShuntTxQueueFull")                                                                           \
    X(TX_LOST, "ShuntTxLost")                                                                                \
    X(RX_LOST, "ShuntRxLost")                                                                                \
    X(LOCK_RECOVERED, "ShuntLockRecovered")                                                                  \
    X(SHARD_FULL, "ShuntShardQueueFull")                                                                     \
    X(SHARD_SLOW, "ShuntShardSlowFrames") /* with several shards: frames that took all their locks */        \
    X(SHARD_MOVED, "ShuntShardMoved")     /* connections that went to another shard */                       \
    X(PKT_FOUND, "ShuntPktFound")         /* buffers that a killed process left with nobody */               \
    X(UNCOPIED, "ShuntSendfileUncopied")  /* bytes of files that were sent without a copy */

enum count {
#define X(id, name) COUNT_##id,
    COUNTERS(X)
#undef X
        COUNT_MAX
};

/* The printed name; "" for COUNT_OK. */
const char *count_name(enum count c);

#endif
