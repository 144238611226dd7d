"""sides: where a workload's server and client run, and on which stack.

Theory of operation. A Place is the network of one run of the bench, made once, in a network namespace of its own. It knows its
sides: 'kernel', 'shunt', and where another stack's wrapper command was given, that one's name. For each side it says where
the server is to be reached and turns a command into the argument list that runs it there, pinned to its core: the server to
core 0, the client to core 1.

  Memory   kernel: loopback. shunt: two stacks joined by a memory link (virtio and vhost, or memif).
  Wire     the client is always the kernel's, at one end of a veth; the server is at the other end, the kernel's or a stack's
           (AF_PACKET or AF_XDP). With a tap the stack's server is on the tap, and the kernel's at the veth's other end.

Where it is asked what a second core brings, both ends share their cores (Place.shared): on two cores there is no other way.
"""
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time

SERVER, CLIENT = '198.18.73.1', '198.18.73.2'


class Failed(Exception):
    """A run that gave no figure; the text says why."""


def have_namespace():
    """Runs this program once more in a network namespace of its own, where one is to be had."""
    if os.environ.get('BENCH_INSIDE'):
        subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
        return
    mapped = [] if os.geteuid() == 0 else ['-r']
    if subprocess.run(['unshare', '-n', *mapped, 'true'], stderr=subprocess.DEVNULL).returncode == 0:
        os.environ['BENCH_INSIDE'] = '1'
        os.execvp('unshare', ['unshare', '-n', *mapped, sys.executable, *sys.argv])
    print("bench: no network namespace to be had: the kernel's runs use the host's own loopback", file=sys.stderr)


class Place:
    """What both kinds share: cores, the command `shunt run`, servers that start and end."""

    def __init__(self, top, build, tmp, profile):
        self.top, self.build, self.tmp, self.profile = top, build, tmp, profile
        self.cpus = os.cpu_count() or 1
        self.sides = ['kernel', 'shunt']
        self.cores = None # of both ends; None: one an end
        self.settings = []

    def pinned(self, role):
        return ['taskset', '-c', self.cores or ('0' if role == 'server' or self.cpus == 1 else '1')]

    @contextlib.contextmanager
    def shared(self, cores, settings):
        """Within it both ends run on these cores, shunt with these settings."""
        self.cores, self.settings = cores, settings
        try:
            yield
        finally:
            self.cores, self.settings = None, []

    def stack(self, role):
        return f'bench-{role}-{os.getpid()}'

    def shunt_run(self, role, *options):
        return ['env', f'SHUNT_BUILD={self.build}', f'{self.top}/scripts/shunt', 'run', '--name', self.stack(role),
                '--profile', self.profile, *options, *(w for s in self.settings for w in ('--set', s)), '--']

    def prepare(self, side):
        """Before a server of this side starts."""

    def is_up(self, side):
        """Whether the server's end of the link is there."""
        return True

    def close(self):
        """Gives back what the place is made of."""


class Memory(Place):
    def __init__(self, top, build, tmp, profile, link):
        super().__init__(top, build, tmp, profile)
        self.link, self.path, self.links = link, f'{tmp}/link', 0
        self.says = f'kernel: loopback; shunt: two stacks joined by {link}, profile {profile}'

    def address(self, side):
        return '127.0.0.1' if side == 'kernel' else SERVER

    def local_addresses(self, side, n):
        """The first of n local addresses that the client may use."""
        return '127.0.1.1' if side == 'kernel' else CLIENT

    def command(self, side, role, argv, addresses=1):
        if side == 'kernel':
            return self.pinned(role) + argv
        spec = self.link_specs()[role != 'server']
        addrs = [SERVER] if role == 'server' else [f'198.18.73.{2 + i}' for i in range(addresses)]
        options = ['--link', spec]
        for a in addrs:
            options += ['--addr', a + '/24']
        return self.pinned(role) + self.shunt_run(role, *options) + argv

    def prepare(self, side):
        """A new path each time: who served the last one may still be about to take it away."""
        self.links += 1
        self.path = f'{self.tmp}/link{self.links}'

    def link_specs(self):
        """Of the server's end and the client's."""
        if self.link == 'virtio':
            return f'vhost:{self.path}', f'virtio:{self.path}'
        return f'memif:{self.path},role=server', f'memif:{self.path}'

    def is_up(self, side):
        return side == 'kernel' or os.path.exists(self.path)


class Wire(Place):
    def __init__(self, top, build, tmp, profile, link, offloads, peers):
        super().__init__(top, build, tmp, profile)
        self.link, self.peers = link, dict(peers)
        self.sides += list(self.peers)
        self.far = None
        self.offloads = offloads
        self.says = (f"client: the kernel's, over a veth, offloads {'on' if offloads else 'off'}; server: kernel, shunt by {link}, "
                     f'profile {profile}' + ''.join(f', {p}' for p in self.peers))

    def address(self, side):
        return SERVER

    def local_addresses(self, side, n):
        return CLIENT

    def inside(self, argv):
        return ['nsenter', f'--net=/proc/{self.far.pid}/ns/net', *argv]

    def command(self, side, role, argv, addresses=1):
        if role == 'client':
            return self.pinned(role) + argv
        if side == 'shunt' and self.link == 'tap':
            return self.pinned(role) + self.shunt_run(role, '--link', f'tap:benchtap,host={CLIENT}/24', '--addr', SERVER + '/24') + argv
        if side == 'shunt':
            argv = self.shunt_run(role, '--link', f'{self.link}:bench1', '--addr', SERVER + '/24') + argv
        elif side in self.peers:
            argv = ['env', 'BENCH_IF=bench1', f'BENCH_ADDR={SERVER}/24', *shlex.split(self.peers[side]), *argv]
        return self.inside(self.pinned(role) + argv)

    def prepare(self, side):
        """A new veth for each server: nothing is left of the run before, neither in neighbour tables nor in queues."""
        self.close()
        if side == 'shunt' and self.link == 'tap':
            return
        self.far = subprocess.Popen(['unshare', '-n', 'sleep', '100000'])
        mine = os.readlink('/proc/self/ns/net')
        while os.readlink(f'/proc/{self.far.pid}/ns/net') == mine:
            time.sleep(0.005)
        run = lambda *a: subprocess.run(a, check=True, stdout=subprocess.DEVNULL)
        run('ip', 'link', 'add', 'bench0', 'type', 'veth', 'peer', 'name', 'bench1', 'netns', str(self.far.pid))
        onoff = 'on' if self.offloads else 'off'
        features = ('tso', 'gso', 'gro', 'tx')
        for inside, name in ((lambda a: a, 'bench0'), (self.inside, 'bench1')):
            # AF_XDP, and perhaps another stack's raw socket, gets what the kernel left unfinished: the peer finishes checksums
            # itself. A packet: link is told.
            told = side == 'kernel' or (side == 'shunt' and self.link == 'packet')
            tx = onoff if told else 'off'
            words = [w for f in features for w in (f, tx if f in ('tx', 'tso') else onoff)]
            run(*inside(['ethtool', '-K', name, *words]))
            run(*inside(['ip', 'link', 'set', name, 'up']))
        run('ip', 'addr', 'add', CLIENT + '/24', 'dev', 'bench0')
        run(*self.inside(['ip', 'link', 'set', 'lo', 'up']))
        if side == 'kernel':
            run(*self.inside(['ip', 'addr', 'add', SERVER + '/24', 'dev', 'bench1']))

    def is_up(self, side):
        if side == 'shunt' and self.link == 'tap':
            show = ['ip', 'link', 'show', 'benchtap']
            return subprocess.run(show, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
        return True

    def close(self):
        if self.far:
            subprocess.run(['ip', 'link', 'del', 'bench0'], stderr=subprocess.DEVNULL)
            self.far.kill()
            self.far.wait()
            self.far = None


class Server:
    """A server of one run: started by the with statement, ended when that is left."""

    def __init__(self, place, side, argv, wait_s=0.3, stop_s=3):
        self.place, self.side, self.argv, self.wait_s, self.stop_s = place, side, argv, wait_s, stop_s
        self.process = None

    def __enter__(self):
        self.out = open(f'{self.place.tmp}/server.out', 'w+')
        self.err = open(f'{self.place.tmp}/server.err', 'w+')
        try:
            self.start()
        except BaseException: # for which the with statement does not call __exit__
            self.__exit__()
            raise
        return self

    def start(self):
        place = self.place
        place.prepare(self.side)
        self.process = subprocess.Popen(place.command(self.side, 'server', self.argv), stdin=subprocess.DEVNULL, stdout=self.out,
                                        stderr=self.err, start_new_session=True)
        limit = time.monotonic() + 5
        while not place.is_up(self.side) and self.process.poll() is None and time.monotonic() < limit:
            time.sleep(0.02)
        time.sleep(self.wait_s)
        if self.process.poll() is not None:
            self.err.seek(0)
            said = self.err.read().strip().splitlines()[-3:]
            raise Failed('the server ended at its start: ' + ' | '.join(said))

    def stop(self):
        """Ends the server as an operator would; what it printed."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(self.stop_s)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.out.seek(0)
        return self.out.read()

    def __exit__(self, *_):
        self.stop()
        self.out.close()
        self.err.close()
        self.place.close()


def client(place, side, seconds, argv, addresses=1):
    """Runs the client to its end; its standard output."""
    argv = place.command(side, 'client', ['timeout', '-k', '1', str(int(seconds)), *argv], addresses)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise Failed(f'the client ended with {done.returncode}: ' + ' | '.join(said))
    return done.stdout
