#!/usr/bin/env python3
"""ss.py: sockets in many states and what the host's tools say of them, in a form in which the kernel's answers and a stack's
can be compared: ports that were not chosen, process and inode numbers, pointers and times are replaced, lines sorted.

    ss.py show          runs the commands of COMMANDS among its own sockets and prints what they said
    ss.py many N        N connections to itself; says how many lines ss has for them and how long that took
    ss.py hold          a listener on port 7000 and a connection to it, until that ends; says how
"""
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import time

PORT = 7000
# Words that tell of time, memory or the path: their names alone are compared.
VALUES = re.compile(r'^(skmem:|rto:|rtt:|ato:|mss:|pmtu:|rcvmss:|advmss:|cwnd:|ssthresh:|wscale:|lastsnd:|lastrcv:|lastack:|'
                    r'rcv_space:|rcv_ssthresh:|minrtt:|snd_wnd:|rcv_rtt:|delivered:|segs_out:|segs_in:|ino:|sk:|bytes_acked:|busy:)')

COMMANDS = r'''
ss -tan
ss -tln
ss -tn
ss -t
ss -uan
ss -ul
ss -wan
ss -wl
ss -6wan
ss -wanp
ss -tanp
ss -tlnp
ss -tano
ss -tane
ss -tanm
ss -tni
ss -tan state time-wait
ss -tan state established
ss -tan state listening
ss -tan state close-wait
ss -tan state fin-wait-2
ss -tan state connected
ss -tan state synchronized
ss -tan state bucket
ss -tan state big
ss -tan exclude time-wait
ss -tn dport = :7000 or sport = :7001
ss -tn sport == 7000
ss -tn sport != 7000
ss -tan 'sport >= :7001'
ss -tan 'sport <= :7000 and dport > :1024'
ss -tan 'dport lt :7001'
ss -tan 'not sport = :7000'
ss -tan dst 127.0.0.1
ss -tan dst 127.0.0.0/8 and sport = :7000
ss -tan src 127.0.0.1:7000
ss -tan src 10.0.0.0/8
ss -tan '( dport = :7000 or dport = :7001 ) and not dst 127.0.0.2'
ss -4tan
ss -6tan
ss -6uan
ss -6tan src [::ffff:127.0.0.1]
ss -tan dev lo
ss -tuan
ss -H -tan
ss -s
ss -ti
ss -tmp
ss -tan state syn-sent
ss -tan state fin-wait-1
ss -an dport = :80 or sport = :443
ss -an dport = :7000 or sport = :7001
ss -tan -O
ss -atp
ss -M -a
ss -S -a
netstat -ant
netstat -antp
netstat -anu
netstat -anw
netstat -antup
netstat -anto
netstat -lnt
netstat -i | cut -c 1-10
netstat -s | grep -E 'connection openings|failed connection|resets sent|to unknown port'
netstat -st | grep -E 'connections established|connection openings|resets sent'
netstat -an46 -A inet
lsof -nP -i
lsof -nP -iTCP:7000
lsof -nP -iTCP -sTCP:LISTEN
nstat -asz TcpActiveOpens TcpPassiveOpens TcpAttemptFails TcpEstabResets TcpCurrEstab TcpOutRsts TcpInErrs TcpRetransSegs TcpExtTCPAbortOnData TcpExtTCPAbortOnClose UdpOutDatagrams UdpInDatagrams UdpNoPorts IcmpInMsgs IcmpOutMsgs IcmpOutDestUnreachs IcmpInDestUnreachs TcpExtListenDrops TcpExtListenOverflows Udp6OutDatagrams Udp6InDatagrams
ifconfig lo
arp -n
route -n
netstat -rn
'''


def pair(listener, address):
    c = socket.create_connection(address)
    return c, listener.accept()[0]


def refused(address, kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as s:
        try:
            s.connect(address)
            s.send(b'x')
            time.sleep(0.02)
            s.recv(1)
        except OSError:
            pass


def sockets():
    """What the commands are to find, in the kernel's order of ports where that shows."""
    keep = []
    l4 = socket.socket()
    l4.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l4.bind(('127.0.0.1', PORT))
    l4.listen(5)
    l6 = socket.socket(socket.AF_INET6)
    l6.bind(('::', PORT + 1))
    l6.listen(7)
    local = ('127.0.0.1', PORT)
    c, s = pair(l4, local)  # established, with something unread
    c.send(b'hello')
    c6, s6 = pair(l6, ('127.0.0.1', PORT + 1))  # IPv4 on an IPv6 socket
    v6, t6 = pair(l6, ('::1', PORT + 1))
    half_c, half_s = pair(l4, local)  # FIN_WAIT_2, CLOSE_WAIT
    half_c.shutdown(socket.SHUT_WR)
    gone_c, gone_s = pair(l4, local)  # TIME_WAIT
    gone_c.close()
    gone_s.recv(1)
    gone_s.close()
    waiting = socket.create_connection(local)  # not accepted
    alive_c, alive_s = pair(l4, local)  # with a timer
    alive_c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    reset_c, reset_s = pair(l4, local)
    reset_c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    reset_c.close()
    reset_s.close()
    refused(('127.0.0.1', 9))
    u = socket.socket(type=socket.SOCK_DGRAM)
    u.bind(('127.0.0.1', PORT + 2))
    uc = socket.socket(type=socket.SOCK_DGRAM)
    uc.connect(('127.0.0.1', PORT + 2))
    uc.send(b'0123456789')
    uc.send(b'0123456789')
    u.recv(20)
    u6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    u6.bind(('::1', PORT + 3))
    refused(('127.0.0.1', 9), socket.SOCK_DGRAM)
    raw = socket.socket(type=socket.SOCK_RAW, proto=253)
    raw.bind(('127.0.0.1', 0))
    raw_c = socket.socket(type=socket.SOCK_RAW, proto=254)
    raw_c.connect(('127.0.0.1', 0))
    raw6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 253)
    keep += [raw, raw_c, raw6]
    keep += [l4, l6, c, s, c6, s6, v6, t6, half_c, half_s, waiting, alive_c, alive_s, u, uc, u6]
    time.sleep(0.3)
    return keep


def word(w):
    w = re.sub(r'pid=\d+', 'pid=PID', w)
    w = re.sub(r'^\d+/python3', 'PID/python3', w)
    w = re.sub(r'(?<=[\].0-9*:]:)(?!7\d{3}$)\d{4,5}$', 'P', w)
    w = re.sub(r':(?!7\d{3}\b)\d{4,5}\b', ':P', w)
    w = re.sub(r'timewait,\d+(\.\d+)?(sec|ms)', 'timewait,T', w)
    w = re.sub(r'keepalive,[^,]*', 'keepalive,T', w)
    w = re.sub(r'\((\d+)(\.\d+)?/', '(T/', w)
    m = VALUES.match(w)
    return m.group(1) if m else w


def normal(command, text):
    if command.startswith('nstat'):  # its history's third column is of no interest
        return [' '.join(line.split()[:2]) for line in text.splitlines()]
    lines = []
    if command == 'ss -s':  # all sockets of the machine; orphans, too, the kernel counts in all its namespaces
        text = re.sub(r'^Total: .*|(?<=TCP: ) *\d+|closed \d+|orphaned \d+', '', text)
    for line in text.splitlines():
        words = [word(w) for w in line.split()]
        if command.startswith('lsof') and len(words) > 6 and words[0] == 'python3':
            words[1] = 'PID'
            words[5] = 'INODE'
        if command.startswith('ifconfig'):
            words = [re.sub(r'^\(?\d+(\.\d+)?$', 'N', w) for w in words]
        words = [w for w in words if not w.startswith('cgroup:')]
        lines.append(' '.join(words))
    return sorted(lines)


def detail(lines):
    """Of TCP_INFO: which words there are, the algorithm and what depends on the path's past aside."""
    out = set()
    for line in lines:
        out |= {w for w in line.split() if w.endswith(':') and not w.endswith('bps:')}
    return sorted(out - {'minrtt:', 'rcv_rtt:', 'busy:', 'ssthresh:'})


def show():
    keep = sockets()
    for command in COMMANDS.strip().splitlines():
        r = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=10, check=False)
        lines = normal(command, r.stdout + r.stderr)
        if ' -ti' in command or ' -tmp' in command or ' -tni' in command or ' -tanm' in command or ' -tane' in command:
            lines = detail(lines)
        print('==', command, '->', r.returncode)
        print('\n'.join(lines))
    del keep


def many(n):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    n = min(n, (hard - 400) // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = socket.socket()
    listener.bind(('127.0.0.1', PORT))
    listener.listen(4000)
    keep = []
    for _ in range(n):
        keep += pair(listener, ('127.0.0.1', PORT))
    begin = time.monotonic()
    r = subprocess.run(['ss', '-Htan'], capture_output=True, text=True, check=True)
    took = time.monotonic() - begin
    lines = r.stdout.splitlines()
    with open('/proc/net/tcp', encoding='ascii') as f:
        proc = sum(1 for _ in f)
    print(f'{n} connections: {len(lines)} lines of ss, {len(set(lines))} of them different, {took:.3f} s; '
          f'{proc} lines of /proc/net/tcp')
    sys.exit(len(lines) != 2 * n + 1 or len(set(lines)) != len(lines) or proc != 2 * n + 2)


def hold():
    listener = socket.socket()
    listener.bind(('127.0.0.1', PORT))
    listener.listen(5)
    keep = pair(listener, ('127.0.0.1', PORT))
    print(os.getpid(), flush=True)
    try:
        keep[0].recv(1)
        print('ended')
    except OSError as e:
        print(e.strerror)


if sys.argv[1] == 'show':
    show()
elif sys.argv[1] == 'many':
    many(int(sys.argv[2]))
else:
    hold()
