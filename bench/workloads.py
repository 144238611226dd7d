"""workloads: what `shunt bench` runs, a line each: the server, the client, and where the figure is in what they print."""
import glob
import json
import os
import re
import shutil
import threading

from sides import Failed, Server, client


class Workload:
    """One row of the table. run(place, side, bench) gives a dictionary: 'value' is the figure, the rest is for the JSON."""

    def __init__(self, name, what, run, unit='/s', better='up', needs=(), target=None, wire_target=None, places=('memory', 'wire'), also=(),
                 cpus=1):
        self.name, self.what, self.run, self.unit, self.better = name, what, run, unit, better
        self.needs = needs    # programs it takes
        # Of the ratio to the kernel's figure, or of the figure itself: ('ratio', 3), ('value', 1.5): at most, ('least', 1.8).
        self.target = target
        self.wire_target = wire_target  # the same where the client is the kernel's
        self.places = places  # where it makes sense
        self.also = also      # further fields of the client's that are shown: (field, what)
        self.cpus = cpus      # that it takes

    def missing(self):
        return [p for p in self.needs if not program(p)] + ['a second core'] * ((os.cpu_count() or 1) < self.cpus)


def program(name):
    return shutil.which(name, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')


def own(name, mode, field, server=(), user=(), addresses=1):
    """A workload of this folder: bench-NAME, its server with -l, its client, which prints a line of JSON."""

    def run(place, side, bench):
        exe, at = f'{place.build}/bench/bench-{name}', place.address(side)
        local = ['-b', place.local_addresses(side, addresses)] if addresses > 1 else []
        with Server(place, side, [exe, '-l', '-a', at, '-m', mode, *server]) as s:
            out = client(place, side, bench.seconds + 15 + 60 * (addresses > 1),
                         [exe, '-a', at, '-m', mode, '-t', str(bench.seconds), *local, *user], addresses)
            fields = json.loads(out.strip().splitlines()[-1])
            at_end = s.stop().strip().splitlines()
        fields['value'] = fields[field]
        if at_end:
            fields['server'] = json.loads(at_end[-1])
        return fields

    return run


class Watch(threading.Thread):
    """How far a number of kilobytes grows within the with statement, by looking ten times a second: of the kernel's slabs, or of the
    segment of the stack that the server runs on."""

    def __init__(self, look):
        super().__init__()
        self.look, self.over, self.most = look, threading.Event(), 0

    def __enter__(self):
        self.first = self.look()
        self.start()
        return self

    def run(self):
        while not self.over.wait(0.1):
            self.most = max(self.most, self.look())

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.grown_kb = self.most - self.first


def slab_kb():
    with open('/proc/meminfo') as f:
        return int(re.search(r'^Slab:\s*(\d+)', f.read(), re.M).group(1))


def segment(name):
    """Where the segment of the stack `name` can be asked for its size: a descriptor of one of its processes."""
    for fd in glob.iglob('/proc/[0-9]*/fd/*'):
        try:
            if os.readlink(fd).startswith(f'/memfd:shunt:{name} '):
                return fd
        except OSError: # a process that has ended
            pass
    raise Failed(f'no segment of {name}')


def holding(place, side, bench, count, addresses):
    """One run with count connections; with what the server's processes have of their own, and what is shared by all connections."""
    exe, at, conns = f'{place.build}/bench/bench-hold', place.address(side), ['-m', 'epoll', '-c', str(count)]
    local = ['-b', place.local_addresses(side, addresses), '-N', str(addresses)] if addresses > 1 else []
    with Server(place, side, [exe, '-l', '-a', at, *conns], stop_s=60) as s:
        if side == 'kernel':
            look = slab_kb
        else:
            fd = segment(place.stack('server'))
            look = lambda: os.stat(fd).st_blocks // 2
        with Watch(look) as shared:
            out = client(place, side, bench.seconds + 15 + count / 4000, [exe, '-a', at, *conns, '-t', str(bench.seconds), *local],
                         addresses)
        fields = json.loads(out.strip().splitlines()[-1])
        fields['server'] = json.loads(s.stop().strip().splitlines()[-1])
    fields['value'] = fields['p50_us']
    # The kernel's slabs have the client's end as well.
    fields['shared_kb'] = shared.grown_kb / (2 if side == 'kernel' else 1)
    return fields


def hold(count, addresses, kernel_count=None):
    """Idle connections and the memory that each has, in the stack and in all: by how far that grows from few to many. kernel_count:
    of connections on the kernel, whose slabs for a million (9 GB) not every machine has."""

    def run(place, side, bench):
        n = kernel_count if kernel_count and side == 'kernel' else count
        few = holding(place, side, bench, 2, 1)
        many = holding(place, side, bench, n, addresses)
        many['alone_p50_us'] = few['p50_us']
        many['stack_bytes'] = (many['shared_kb'] - few['shared_kb']) * 1024 / n
        many['all_bytes'] = many['stack_bytes'] + (many['server']['anon_kb'] - few['server']['anon_kb']) * 1024 / n
        return many

    return run


def redis(test, pipeline, a_second):
    """a_second: requests that the kernel's side does in a second, about; the number of a run follows from it."""

    def run(place, side, bench):
        at = place.address(side)
        requests = int(a_second * bench.seconds * (1 if side == 'kernel' or bench.wire else 6))
        server = ['redis-server', '--port', '7001', '--bind', at, '--save', '', '--appendonly', 'no', '--protected-mode', 'no']
        with Server(place, side, server):
            out = client(place, side, bench.seconds * 8 + 20, ['redis-benchmark', '-h', at, '-p', '7001', '-t', test, '-c', '50',
                                                              '-P', str(pipeline), '-n', str(requests), '--csv'])
        for line in out.splitlines():
            cells = [c.strip('"') for c in line.split(',')]
            if cells[0].upper() == test.upper():
                return {'value': float(cells[1]), 'p50_us': float(cells[4]) * 1e3, 'p99_us': float(cells[6]) * 1e3}
        raise Failed('redis-benchmark printed no figure')

    return run


def web_site(tmp, at, workers=1):
    os.makedirs(f'{tmp}/www', exist_ok=True)
    for name, size in (('64', 64), ('1k', 1024), ('100k', 102400)):
        with open(f'{tmp}/www/{name}', 'w') as f:
            f.write('x' * size)
    os.chmod(tmp, 0o755)
    user = 'user root;' if os.geteuid() == 0 else ''
    with open(f'{tmp}/nginx.conf', 'w') as f:
        f.write(f'''worker_processes {workers};
daemon off;
pid {tmp}/nginx.pid;
error_log {tmp}/nginx.log;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    open_file_cache max=100;
    client_body_temp_path {tmp}/t1; proxy_temp_path {tmp}/t2; fastcgi_temp_path {tmp}/t3;
    uwsgi_temp_path {tmp}/t4; scgi_temp_path {tmp}/t5;
    server {{ listen {at}:7002 backlog=4096; root {tmp}/www; }}
}}
''')
    return [program('nginx'), '-c', f'{tmp}/nginx.conf', '-e', f'{tmp}/nginx.log']


def wrk(place, side, bench, url, header=(), threads=1):
    out = client(place, side, bench.seconds + 15, ['wrk', '-t', str(threads), '-c', '64', '-d', f'{bench.seconds}s', '--latency', *header, url])
    bad = re.search(r'Non-2xx.*|Socket errors.*', out)
    found = re.search(r'^Requests/sec:\s*([\d.]+)', out, re.M)
    if bad or not found:
        raise Failed(bad.group(0) if bad else 'wrk printed no figure')
    return {'value': float(found.group(1))}


def nginx(file, header=(), workers=1):
    def run(place, side, bench):
        at = place.address(side)
        with Server(place, side, web_site(place.tmp, at, workers)):
            return wrk(place, side, bench, f'http://{at}:7002/{file}', header, workers)

    return run


def haproxy(place, side, bench):
    """haproxy and the nginx behind it on one core and one stack; the client asks haproxy."""
    at, tmp = place.address(side), place.tmp
    with open(f'{tmp}/haproxy.cfg', 'w') as f:
        f.write(f'''global
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend in
    bind {at}:7004
    default_backend web
backend web
    http-reuse always
    server one {at}:7002
''')
    site = ' '.join(web_site(tmp, at))
    with Server(place, side, ['sh', '-c', f'{site} & exec {program("haproxy")} -db -q -f {tmp}/haproxy.cfg'], 0.6):
        try:
            return wrk(place, side, bench, f'http://{at}:7004/64')
        finally:
            with open(f'{tmp}/nginx.pid') as f:
                os.kill(int(f.read()), 15)


def memcached(threads=1):
    def run(place, side, bench):
        at = place.address(side)
        server = ['memcached', '-l', at, '-p', '7005', '-t', str(threads), '-m', '256', '-c', '4096']
        if os.geteuid() == 0:
            server += ['-u', 'root']
        with Server(place, side, server):
            out = client(place, side, bench.seconds + 20, ['memcaslap', '-s', f'{at}:7005', '-T', str(threads), '-c', '64',
                                                          '-X', '100', '-t', f'{bench.seconds}s'])
        found = re.search(r'TPS: (\d+)', out)
        if not found:
            raise Failed('memcaslap printed no figure')
        return {'value': float(found.group(1))}

    return run


def second_core(workload):
    """What a second core brings: a thread of the server's and one of the client's share a core, then two and two share two.
    On shunt two shards, and nobody spins: who did would keep the other end off their core."""

    def run(place, side, bench):
        with place.shared('0', ['spin_us=0']):
            one = workload(1)(place, side, bench)['value']
        with place.shared('0,1', ['spin_us=0', 'shards=2']):
            two = workload(2)(place, side, bench)['value']
        return {'value': two / one, 'one_core': one, 'two_cores': two}

    return run


def iperf3(place, side, bench):
    at = place.address(side)
    with Server(place, side, ['iperf3', '-s', '-B', at, '-p', '7003']):
        out = client(place, side, bench.seconds + 15, ['iperf3', '-c', at, '-p', '7003', '-t', str(bench.seconds), '-J'])
    return {'value': json.loads(out)['end']['sum_received']['bits_per_second'] / 1e9}


P99 = (('p99_us', 'p99'), ('p999_us', 'p99.9'))
HELD = (('alone_p50_us', 'the same alone'), ('stack_bytes', 'bytes of the stack a connection'),
        ('all_bytes', "bytes with the server's own"), ('connections', 'connections'), ('opened_per_second', 'opened a second'),
        ('processes', 'processes an end'))
us = dict(unit='µs', better='down')
gbit = dict(unit='Gbit/s')
CORES = dict(unit='times', target=('least', 1.8), places=('memory',), cpus=2,
             also=(('one_core', 'a second on one core'), ('two_cores', 'a second on two cores')))
NGINX, REDIS = ('nginx', 'wrk'), ('redis-server', 'redis-benchmark')

ALL = [
    Workload('rr', '64-byte ping-pong, blocking, p50', own('rr', 'block', 'p50_us'), **us, target=('value', 1.5),
             wire_target=('value', 25), also=P99),
    Workload('rr-1', '1-byte ping-pong, blocking, p50', own('rr', 'block', 'p50_us', (), ('-s', '1')), **us, also=P99),
    Workload('rr-1k', '1-KiB ping-pong, blocking, p50', own('rr', 'block', 'p50_us', (), ('-s', '1024')), **us, also=P99),
    Workload('rr-epoll', '64-byte ping-pong, epoll, p50', own('rr', 'epoll', 'p50_us'), **us, also=P99),
    Workload('rr-spin', '64-byte ping-pong, spinning, p50', own('rr', 'spin', 'p50_us'), **us, also=P99),
    Workload('crr', 'connections, one after the other', own('crr', 'epoll', 'per_second')),
    Workload('crr-64', 'connections, 64 at a time', own('crr', 'epoll', 'per_second', (), ('-c', '64'))),
    Workload('stream', 'one stream, 64-KiB sends', own('stream', 'block', 'gbit_s', (), ('-s', '65536')), **gbit, target=('ratio', 3)),
    Workload('stream-8', '8 streams, 64-KiB sends', own('stream', 'epoll', 'gbit_s', (), ('-s', '65536', '-c', '8')), **gbit),
    Workload('stream-1k', 'one stream, 1-KiB sends', own('stream', 'block', 'gbit_s', (), ('-s', '1024')), **gbit),
    Workload('stream-1m', 'one stream, 1-MiB sends', own('stream', 'block', 'gbit_s', (), ('-s', '1048576')), **gbit),
    Workload('stream-64b', 'one stream, 64-byte sends', own('stream', 'block', 'gbit_s'), **gbit),
    Workload('sendfile', 'sendfile 1 KiB after a corked header',
             own('sendfile', 'epoll', 'per_second', ('-s', '1024', '-H', '200'), ('-s', '1024', '-H', '200', '-c', '16'))),
    Workload('sendfile-1k', 'sendfile 1 KiB', own('sendfile', 'epoll', 'per_second', ('-s', '1024'), ('-s', '1024', '-c', '16'))),
    Workload('sendfile-100k', 'sendfile 100 KiB',
             own('sendfile', 'epoll', 'gbit_s', ('-s', '102400'), ('-s', '102400', '-c', '4')), **gbit),
    Workload('sendfile-100m', 'sendfile 100 MiB',
             own('sendfile', 'epoll', 'gbit_s', ('-s', '104857600'), ('-s', '104857600')), **gbit, target=('ratio', 3)),
    Workload('hold', 'ping-pong among 10,000 idle connections, p50', hold(10000, 1), **us, places=('memory',), also=HELD),
    Workload('hold-1m', 'ping-pong among 1,000,000 idle connections, p50', hold(1000000, 40, 200000), **us, places=('memory',), also=HELD),
    Workload('redis', 'redis GET, 50 connections', redis('get', 1, 60000), needs=REDIS, target=('ratio', 8),
             wire_target=('ratio', 1.5)),
    Workload('redis-16', 'redis GET, 50 connections, -P 16', redis('get', 16, 600000), needs=REDIS, target=('ratio', 1.5)),
    Workload('redis-set', 'redis SET, 50 connections', redis('set', 1, 60000), needs=REDIS),
    Workload('nginx', 'nginx 64 B, keep-alive, wrk -c 64', nginx('64'), needs=NGINX, target=('ratio', 5)),
    Workload('nginx-1k', 'nginx 1 KiB, keep-alive, wrk -c 64', nginx('1k'), needs=NGINX),
    Workload('nginx-100k', 'nginx 100 KiB, keep-alive, wrk -c 64', nginx('100k'), needs=NGINX, target=('ratio', 3)),
    Workload('nginx-close', 'nginx 64 B, a connection a request', nginx('64', ('-H', 'Connection: close')), needs=NGINX,
             target=('ratio', 5)),
    Workload('haproxy', 'haproxy and nginx behind it, 64 B', haproxy, needs=NGINX + ('haproxy',)),
    Workload('memcached', 'memcached, memcaslap, 64 connections', memcached(), needs=('memcached', 'memcaslap')),
    Workload('cores-memcached', 'memcached, 2 cores against 1, ends share them', second_core(memcached), **CORES,
             needs=('memcached', 'memcaslap')),
    Workload('cores-nginx', 'nginx 64 B, 2 cores against 1, ends share them', second_core(lambda n: nginx('64', workers=n)), **CORES,
             needs=NGINX),
    Workload('iperf3', 'iperf3, one stream', iperf3, **gbit, needs=('iperf3',), wire_target=('ratio', 1)),
]
BY_NAME = {w.name: w for w in ALL}
# What is shown when no workload is named: the table of the README, and what a second core brings.
TABLE = ['rr', 'redis', 'redis-16', 'nginx', 'nginx-100k', 'nginx-close', 'memcached', 'cores-memcached', 'cores-nginx', 'iperf3', 'crr',
         'stream', 'sendfile', 'sendfile-100m']
QUICK = ['rr', 'redis', 'nginx', 'nginx-100k', 'nginx-close', 'iperf3', 'crr', 'stream', 'sendfile', 'sendfile-100m']
WIRE = ['rr', 'redis', 'nginx', 'crr', 'iperf3']
