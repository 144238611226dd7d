# synflood.py: what synflood.test needs at the kernel's end of the link.
#
#   synflood.py flood IFACE ADDR PORT COUNT SECONDS   SYNs at full rate from 198.18.64.0/18 (nobody is there), each from
#                                                     another address and port, until COUNT are out or SECONDS are over
#   synflood.py connect ADDR PORT N SECONDS           for SECONDS, eight at a time: connect, a request of HTTP, its answer;
#                                                     fails unless all succeed and they are N at least
#
# The frames go out by a packet socket, so that the kernel's own stack has no part in them. The answers come to the gateway,
# which forwards nothing: as on the Internet, nobody resets what was spoofed.
import concurrent.futures
import random
import socket
import struct
import subprocess
import sys
import threading
import time


def sum16(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def link_address(addr):
    line = subprocess.run(["ip", "neigh", "show", addr], capture_output=True, text=True, check=True).stdout.split()
    return bytes.fromhex(line[line.index("lladdr") + 1].replace(":", ""))


def frame(eth, dst, port, rnd):
    src = socket.inet_aton(f"198.18.{64 + rnd.randrange(64)}.{1 + rnd.randrange(254)}")
    tcp = struct.pack("!HHIIBBHHHBBH", rnd.randrange(1024, 65536), port, rnd.getrandbits(32), 0, 0x60, 2, 64240, 0, 0, 2, 4, 1460)
    check = sum16(src + dst + struct.pack("!BBH", 0, 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, src, dst)
    return eth + ip[:10] + struct.pack("!H", sum16(ip)) + ip[12:] + tcp


def flood(iface, addr, port, count, seconds):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((iface, 0))
    eth = link_address(addr) + s.getsockname()[4] + b"\x08\x00"
    rnd = random.Random(3)
    frames = [frame(eth, socket.inet_aton(addr), port, rnd) for _ in range(min(count, 20000))]
    print("ready", flush=True)
    begin, sent = time.monotonic(), 0
    while sent < count and time.monotonic() - begin < seconds:
        for f in frames[: min(count - sent, len(frames))]:
            try:
                s.send(f)
            except OSError:  # ENOBUFS: the tap's queue is full
                continue
            sent += 1
            if sent % 512 == 0 and time.monotonic() - begin >= seconds:
                break
    took = time.monotonic() - begin
    print(f"{sent} SYNs in {took:.2f} s, {sent / took:.0f} a second", flush=True)


def connect(addr, port, n, seconds):
    until, took, lock = time.monotonic() + seconds, [], threading.Lock()

    def one():
        begin = time.monotonic()
        with socket.create_connection((addr, port), timeout=15) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: s.recv(4096), b""))
        if not answer.startswith(b"HTTP/1.0 200") or not answer.endswith(b"hello\n"):
            raise OSError("another answer")
        with lock:
            took.append(time.monotonic() - begin)

    def some():
        # A pause: the ports and the TIME_WAITs of this end are not what is tried here.
        while time.monotonic() < until:
            one()
            time.sleep(0.05)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(some) for _ in range(8)]:
            done.result()
    print(f"{len(took)} connections, half took {sorted(took)[len(took) // 2] * 1000:.0f} ms, the slowest {max(took) * 1000:.0f} ms")
    if len(took) < n:
        sys.exit(f"less than {n}")


if sys.argv[1] == "flood":
    flood(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
else:
    connect(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
