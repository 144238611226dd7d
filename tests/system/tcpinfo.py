#!/usr/bin/env python3
"""TCP_INFO of both ends of one connection, side by side.

  tcpinfo.py serve ADDRESS PORT FILE    takes one connection: reads, answers, and writes its TCP_INFO to FILE
  tcpinfo.py connect ADDRESS PORT FILE  the other end
  tcpinfo.py compare CLIENT SERVER WHO  checks that the two views fit together; a line for each that does not.
                                        WHO: the end on the stack, client or server. The kernel takes a packet of
                                        many segments that came by a tap for one.
"""
import json, socket, struct, sys, time

HEAD = "state ca_state retransmits probes backoff options wscale limits".split()
WORDS = """rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv
last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space
total_retrans""".split()
TAIL = [("Q", "pacing_rate max_pacing_rate bytes_acked bytes_received"),
        ("I", "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"),
        ("Q", "delivery_rate busy_time rwnd_limited sndbuf_limited"), ("I", "delivered delivered_ce"),
        ("Q", "bytes_sent bytes_retrans"), ("I", "dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash")]
FORM = "=8B24I" + "".join(f"{len(n.split())}{f}" for f, n in TAIL)
NAMES = HEAD + WORDS + [n for _, names in TAIL for n in names.split()]

ASK, ANSWER, ROUNDS = 300_000, 500_000, 5


def info(s):
    raw = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, struct.calcsize(FORM))
    return dict(zip(NAMES, struct.unpack(FORM, raw)))


def read(s, n):
    while n:
        got = len(s.recv(min(n, 65536)))
        if not got:
            raise SystemExit("the connection ended early")
        n -= got


def settle(s, path):
    time.sleep(0.5)  # the last ACK, which may be delayed, has come
    with open(path, "w") as f:
        json.dump(info(s), f)
    time.sleep(0.5)


def serve(addr, port, path):
    l = socket.create_server((addr, port))
    s, _ = l.accept()
    for _ in range(ROUNDS):
        read(s, ASK)
        s.sendall(bytes(ANSWER))
    settle(s, path)


def connect(addr, port, path):
    s = socket.create_connection((addr, port))
    for _ in range(ROUNDS):
        s.sendall(bytes(ASK))
        read(s, ANSWER)
    settle(s, path)


def compare(client, server, on_stack):
    c, s = json.load(open(client)), json.load(open(server))
    checks = {
        "state": (c["state"], s["state"]),
        "options": (c["options"] & 7, s["options"] & 7),
        "window scales": (c["wscale"] & 15, c["wscale"] >> 4, s["wscale"] >> 4, s["wscale"] & 15),
        "client's bytes": (c["bytes_acked"] - 1, s["bytes_received"]),
        "all of them": (c["bytes_acked"] - 1, ASK * ROUNDS),
        "server's bytes": (s["bytes_acked"], c["bytes_received"]),
        "bytes sent": (c["bytes_sent"] - c["bytes_retrans"], s["bytes_received"]),
        "client's segments": (c["segs_out"], s["segs_in"]),
        "server's segments": (s["segs_out"] + 1, c["segs_in"]),  # the SYN,ACK is no connection's yet
        "client's segments of data": (c["data_segs_out"], s["data_segs_in"]),
        "server's segments of data": (s["data_segs_out"], c["data_segs_in"]),
        "delivered": (c["delivered"] - 1 + c["total_retrans"], c["data_segs_out"]),
        "MSS": (c["snd_mss"], s["snd_mss"]),
        "advertised MSS": (c["advmss"], s["advmss"]),
        "path MTU": (c["pmtu"], s["pmtu"]),
        "client's window": (c["rcv_wnd"], s["snd_wnd"]),
        "server's window": (s["rcv_wnd"], c["snd_wnd"]),
        "nothing under way": (c["unacked"], c["sacked"], c["lost"], c["retrans"], c["notsent_bytes"], 0, 0, 0, 0, 0),
    }
    for way in ("segments", "segments of data"):
        sent, seen = checks[f"{on_stack}'s {way}"]
        if seen <= sent:
            del checks[f"{on_stack}'s {way}"]
    bad = 0
    for what, v in checks.items():
        half = len(v) // 2
        if v[:half] != v[half:]:
            bad += 1
            print(f"{what}: {v[:half]} and {v[half:]}")
    for who, i in (("client", c), ("server", s)):
        plausible = {
            "rtt": 0 < i["min_rtt"] <= i["rtt"] + i["rttvar"] * 4 and i["rtt"] < 200_000,
            "rto": 200_000 <= i["rto"] <= 400_000,
            "cwnd": i["snd_cwnd"] >= 10,
            "busy": i["busy_time"] < 60_000_000 and i["rwnd_limited"] + i["sndbuf_limited"] <= i["busy_time"],
            "rates": i["delivery_rate"] > 100_000 and i["pacing_rate"] > 100_000,
            "times": all(400 <= i[k] <= 5000 for k in ("last_data_sent", "last_data_recv", "last_ack_recv")),
            "receiver": i["rcv_mss"] == i["advmss"] and i["rcv_space"] > 10_000 and i["rcv_ssthresh"] > 10_000,
        }
        for what, good in plausible.items():
            if not good:
                bad += 1
                print(f"{who}'s {what}: {i}")
    sys.exit(bad != 0)


if __name__ == "__main__":
    if sys.argv[1] == "compare":
        compare(*sys.argv[2:5])
    else:
        {"serve": serve, "connect": connect}[sys.argv[1]](sys.argv[2], int(sys.argv[3]), sys.argv[4])
