/* procnet_snmp.c: the counters of /proc/net: snmp, netstat, snmp6, sockstat, sockstat6 (procnet.h). Names and
 * their order are Linux 6.18's (net/ipv4/proc.c, net/ipv6/proc.c, net/mptcp/mib.c). A name is the group's and
 * its own, as nstat shows it; the stack's counter of that name (count.h) is its value, and 0 where the stack
 * has none: what it does not do, or does not count.
 */
#include <stdio.h>
#include <string.h>

#include "frag.h"
#include "procnet.h"

struct group {
    const char *prefix, *names;
};

static const struct group snmp_groups[] = {
    {"Ip", "Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos"
           " InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds"
           " ReasmOKs ReasmFails FragOKs FragFails FragCreates OutTransmits"},
    {"Icmp", "InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs"
             " InRedirects InEchos InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps"
             " OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost OutDestUnreachs OutTimeExcds"
             " OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps"
             " OutTimestampReps OutAddrMasks OutAddrMaskReps"},
    {"Tcp", "RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets"
            " CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors"},
    {"Udp", "InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors"
            " IgnoredMulti MemErrors"},
    {"UdpLite", "InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors"
                " IgnoredMulti MemErrors"},
};

static const struct group netstat_groups[] = {
    {"TcpExt", "SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts PruneCalled RcvPruned"
               " OfoPruned OutOfWindowIcmps LockDroppedIcmps ArpFilter TW TWRecycled TWKilled PAWSActive"
               " PAWSEstab BeyondWindow TSEcrRejected PAWSOldAck PAWSTimewait DelayedACKs"
               " DelayedACKLocked DelayedACKLost ListenOverflows ListenDrops TCPHPHits TCPPureAcks"
               " TCPHPAcks TCPRenoRecovery TCPSackRecovery TCPSACKReneging TCPSACKReorder TCPRenoReorder"
               " TCPTSReorder TCPFullUndo TCPPartialUndo TCPDSACKUndo TCPLossUndo TCPLostRetransmit"
               " TCPRenoFailures TCPSackFailures TCPLossFailures TCPFastRetrans TCPSlowStartRetrans"
               " TCPTimeouts TCPLossProbes TCPLossProbeRecovery TCPRenoRecoveryFail TCPSackRecoveryFail"
               " TCPRcvCollapsed TCPBacklogCoalesce TCPDSACKOldSent TCPDSACKOfoSent TCPDSACKRecv"
               " TCPDSACKOfoRecv TCPAbortOnData TCPAbortOnClose TCPAbortOnMemory TCPAbortOnTimeout"
               " TCPAbortOnLinger TCPAbortFailed TCPMemoryPressures TCPMemoryPressuresChrono"
               " TCPSACKDiscard TCPDSACKIgnoredOld TCPDSACKIgnoredNoUndo TCPSpuriousRTOs TCPMD5NotFound"
               " TCPMD5Unexpected TCPMD5Failure TCPSackShifted TCPSackMerged TCPSackShiftFallback"
               " TCPBacklogDrop PFMemallocDrop TCPMinTTLDrop TCPDeferAcceptDrop IPReversePathFilter"
               " TCPTimeWaitOverflow TCPReqQFullDoCookies TCPReqQFullDrop TCPRetransFail TCPRcvCoalesce"
               " TCPOFOQueue TCPOFODrop TCPOFOMerge TCPChallengeACK TCPSYNChallenge TCPFastOpenActive"
               " TCPFastOpenActiveFail TCPFastOpenPassive TCPFastOpenPassiveFail"
               " TCPFastOpenListenOverflow TCPFastOpenCookieReqd TCPFastOpenBlackhole"
               " TCPSpuriousRtxHostQueues BusyPollRxPackets TCPAutoCorking TCPFromZeroWindowAdv"
               " TCPToZeroWindowAdv TCPWantZeroWindowAdv TCPSynRetrans TCPOrigDataSent"
               " TCPHystartTrainDetect TCPHystartTrainCwnd TCPHystartDelayDetect TCPHystartDelayCwnd"
               " TCPACKSkippedSynRecv TCPACKSkippedPAWS TCPACKSkippedSeq TCPACKSkippedFinWait2"
               " TCPACKSkippedTimeWait TCPACKSkippedChallenge TCPWinProbe TCPKeepAlive TCPMTUPFail"
               " TCPMTUPSuccess TCPDelivered TCPDeliveredCE TCPAckCompressed TCPZeroWindowDrop"
               " TCPRcvQDrop TCPWqueueTooBig TCPFastOpenPassiveAltKey TcpTimeoutRehash"
               " TcpDuplicateDataRehash TCPDSACKRecvSegs TCPDSACKIgnoredDubious TCPMigrateReqSuccess"
               " TCPMigrateReqFailure TCPPLBRehash TCPAORequired TCPAOBad TCPAOKeyNotFound TCPAOGood"
               " TCPAODroppedIcmps"},
    {"IpExt", "InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets"
              " OutOctets InMcastOctets OutMcastOctets InBcastOctets OutBcastOctets InCsumErrors"
              " InNoECTPkts InECT1Pkts InECT0Pkts InCEPkts ReasmOverlaps"},
    {"MPTcpExt", "MPCapableSYNRX MPCapableSYNTX MPCapableSYNACKRX MPCapableACKRX MPCapableFallbackACK"
                 " MPCapableFallbackSYNACK MPCapableSYNTXDrop MPCapableSYNTXDisabled MPCapableEndpAttempt"
                 " MPFallbackTokenInit MPTCPRetrans MPJoinNoTokenFound MPJoinSynRx MPJoinSynBackupRx"
                 " MPJoinSynAckRx MPJoinSynAckBackupRx MPJoinSynAckHMacFailure MPJoinAckRx"
                 " MPJoinAckHMacFailure MPJoinRejected MPJoinSynTx MPJoinSynTxCreatSkErr"
                 " MPJoinSynTxBindErr MPJoinSynTxConnectErr DSSNotMatching DSSCorruptionFallback"
                 " DSSCorruptionReset InfiniteMapTx InfiniteMapRx DSSNoMatchTCP DataCsumErr OFOQueueTail"
                 " OFOQueue OFOMerge NoDSSInWindow DuplicateData AddAddr AddAddrTx AddAddrTxDrop EchoAdd"
                 " EchoAddTx EchoAddTxDrop PortAdd AddAddrDrop MPJoinPortSynRx MPJoinPortSynAckRx"
                 " MPJoinPortAckRx MismatchPortSynRx MismatchPortAckRx RmAddr RmAddrDrop RmAddrTx"
                 " RmAddrTxDrop RmSubflow MPPrioTx MPPrioRx MPFailTx MPFailRx MPFastcloseTx MPFastcloseRx"
                 " MPRstTx MPRstRx SubflowStale SubflowRecover SndWndShared RcvWndShared"
                 " RcvWndConflictUpdate RcvWndConflict MPCurrEstab Blackhole MPCapableDataFallback"
                 " MD5SigFallback DssFallback SimultConnectFallback FallbackFailed WinProbe"},
};

static const char snmp6_names[] =
    "Ip6InReceives Ip6InHdrErrors Ip6InTooBigErrors Ip6InNoRoutes Ip6InAddrErrors"
    " Ip6InUnknownProtos Ip6InTruncatedPkts Ip6InDiscards Ip6InDelivers Ip6OutForwDatagrams"
    " Ip6OutRequests Ip6OutDiscards Ip6OutNoRoutes Ip6ReasmTimeout Ip6ReasmReqds Ip6ReasmOKs"
    " Ip6ReasmFails Ip6FragOKs Ip6FragFails Ip6FragCreates Ip6InMcastPkts Ip6OutMcastPkts"
    " Ip6InOctets Ip6OutOctets Ip6InMcastOctets Ip6OutMcastOctets Ip6InBcastOctets"
    " Ip6OutBcastOctets Ip6InNoECTPkts Ip6InECT1Pkts Ip6InECT0Pkts Ip6InCEPkts"
    " Ip6OutTransmits Icmp6InMsgs Icmp6InErrors Icmp6OutMsgs Icmp6OutErrors Icmp6InCsumErrors"
    " Icmp6OutRateLimitHost Icmp6InDestUnreachs Icmp6InPktTooBigs Icmp6InTimeExcds"
    " Icmp6InParmProblems Icmp6InEchos Icmp6InEchoReplies Icmp6InGroupMembQueries"
    " Icmp6InGroupMembResponses Icmp6InGroupMembReductions Icmp6InRouterSolicits"
    " Icmp6InRouterAdvertisements Icmp6InNeighborSolicits Icmp6InNeighborAdvertisements"
    " Icmp6InRedirects Icmp6InMLDv2Reports Icmp6OutDestUnreachs Icmp6OutPktTooBigs"
    " Icmp6OutTimeExcds Icmp6OutParmProblems Icmp6OutEchos Icmp6OutEchoReplies"
    " Icmp6OutGroupMembQueries Icmp6OutGroupMembResponses Icmp6OutGroupMembReductions"
    " Icmp6OutRouterSolicits Icmp6OutRouterAdvertisements Icmp6OutNeighborSolicits"
    " Icmp6OutNeighborAdvertisements Icmp6OutRedirects Icmp6OutMLDv2Reports Udp6InDatagrams"
    " Udp6NoPorts Udp6InErrors Udp6OutDatagrams Udp6RcvbufErrors Udp6SndbufErrors"
    " Udp6InCsumErrors Udp6IgnoredMulti Udp6MemErrors UdpLite6InDatagrams UdpLite6NoPorts"
    " UdpLite6InErrors UdpLite6OutDatagrams UdpLite6RcvbufErrors UdpLite6SndbufErrors"
    " UdpLite6InCsumErrors UdpLite6MemErrors";

/* ---- values ---- */

static uint64_t counter(const struct stack *st, enum count c)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < st->nshard; i++) /* each is one aligned word: read without the lock */
        n += __atomic_load_n(&st->shard[i].count[c], __ATOMIC_RELAXED);
    return n;
}

/* The counter of that name; COUNT_OK: none. Sought from where the last one was found: tables and counters
 * have much the same order. */
static enum count find(const char *prefix, const char *name, size_t len)
{
    static uint32_t last;
    uint32_t from = __atomic_load_n(&last, __ATOMIC_RELAXED);
    size_t plen = strlen(prefix);

    for (uint32_t i = 0; i < COUNT_MAX; i++) {
        uint32_t c = (from + i) % COUNT_MAX;
        const char *have = count_name((enum count)c);

        if (strncmp(have, prefix, plen) == 0 && strncmp(have + plen, name, len) == 0 && !have[plen + len]) {
            __atomic_store_n(&last, c + 1, __ATOMIC_RELAXED);
            return (enum count)c;
        }
    }
    return COUNT_OK;
}

static bool is(const char *prefix, const char *name, size_t len, const char *full)
{
    size_t plen = strlen(prefix);

    return strlen(full) == plen + len && strncmp(full, prefix, plen) == 0 &&
           strncmp(full + plen, name, len) == 0;
}

/* What is no counter. */
static bool fixed(const struct stack *st, const char *prefix, const char *name, size_t len, int64_t *v)
{
    struct inspect_tally t;
    const struct {
        const char *name;
        int64_t v;
    } known[] = {
        {"IpForwarding", 2},    {"IpDefaultTTL", st->set.ip_default_ttl},
        {"TcpRtoAlgorithm", 1}, {"TcpRtoMin", st->set.tcp_rto_min},
        {"TcpRtoMax", 120000},  {"TcpMaxConn", -1},
    };

    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (is(prefix, name, len, known[i].name)) {
            *v = known[i].v;
            return true;
        }
    }
    /* Packets as they go to the link: of what was fragmented the fragments. */
    if (is(prefix, name, len, "IpOutTransmits")) {
        *v = (int64_t)(counter(st, COUNT_IP_OUT) + counter(st, COUNT_IP_FRAG_CREATE) -
                       counter(st, COUNT_IP_FRAG_OK));
        return true;
    }
    if (is(prefix, name, len, "Ip6OutTransmits")) {
        *v = (int64_t)(counter(st, COUNT_IP6_OUT) + counter(st, COUNT_IP6_FRAG_CREATE) -
                       counter(st, COUNT_IP6_FRAG_OK));
        return true;
    }
    if (!is(prefix, name, len, "TcpCurrEstab"))
        return false;
    inspect_count(st, &t);
    *v = t.tcp_established;
    return true;
}

static int64_t value(const struct stack *st, const char *prefix, const char *name, size_t len)
{
    int64_t v = 0;
    enum count c;

    if (fixed(st, prefix, name, len, &v))
        return v;
    c = find(prefix, name, len);
    return c == COUNT_OK ? 0 : (int64_t)counter(st, c);
}

static void add_group(const struct stack *st, struct lines *o, const struct group *g)
{
    lines_add(o, "%s: %s\n%s:", g->prefix, g->names, g->prefix);
    for (const char *p = g->names; *p;) {
        size_t len = strcspn(p, " ");

        lines_add(o, " %lld", (long long)value(st, g->prefix, p, len));
        p += len + (p[len] == ' ');
    }
    lines_add(o, "\n");
}

void procnet_snmp(const struct stack *st, struct lines *o)
{
    for (unsigned i = 0; i < sizeof snmp_groups / sizeof snmp_groups[0]; i++)
        add_group(st, o, &snmp_groups[i]);
}

void procnet_netstat(const struct stack *st, struct lines *o)
{
    for (unsigned i = 0; i < sizeof netstat_groups / sizeof netstat_groups[0]; i++)
        add_group(st, o, &netstat_groups[i]);
}

void procnet_snmp6(const struct stack *st, struct lines *o)
{
    for (const char *p = snmp6_names; *p;) {
        size_t len = strcspn(p, " ");

        lines_add(o, "%-32.*s\t%lld\n", (int)len, p, (long long)value(st, "", p, len));
        p += len + (p[len] == ' ');
    }
}

/* ---- sockets ---- */

/* Datagrams being put together, and the bytes that this takes. */
static void add_frag(const struct stack *st, struct lines *o, const char *name, bool v6)
{
    uint32_t n = 0;
    uint64_t mem = 0;

    for (uint32_t i = 0; i < st->nshard; i++) {
        n += __atomic_load_n(&st->shard[i].frag->v[v6].n, __ATOMIC_RELAXED);
        mem += __atomic_load_n(&st->shard[i].frag->v[v6].mem, __ATOMIC_RELAXED);
    }
    lines_add(o, "%s: inuse %u memory %llu\n", name, n, (unsigned long long)mem);
}

void procnet_sockstat(const struct stack *st, struct lines *o)
{
    struct inspect_tally t;

    inspect_count(st, &t);
    lines_add(o,
              "sockets: used %u\nTCP: inuse %u orphan %u tw %u alloc %u mem %u\nUDP: inuse %u mem %u\n"
              "UDPLITE: inuse %u\nRAW: inuse %u\n",
              t.sockets, t.tcp_inuse[0], t.tcp_orphan, t.tcp_tw, t.tcp_alloc, t.tcp_pages, t.udp[0],
              t.udp_pages, t.udplite[0], t.raw[0]);
    add_frag(st, o, "FRAG", false);
}

void procnet_sockstat6(const struct stack *st, struct lines *o)
{
    struct inspect_tally t;

    inspect_count(st, &t);
    lines_add(o, "TCP6: inuse %u\nUDP6: inuse %u\nUDPLITE6: inuse %u\nRAW6: inuse %u\n", t.tcp_inuse[1],
              t.udp[1], t.udplite[1], t.raw[1]);
    add_frag(st, o, "FRAG6", true);
}
