"""layers: where the time of a request goes: `shunt bench layers` and `shunt bench link`.

Theory of operation. layers runs a few workloads on a build with marks in it (stack/mark.h; made in build-marks of the source
tree where it is missing), in which both ends charge the processor's ticks to the layer they are in. Each writes a line of JSON
when it ends: the client, which ends first, and then the server. What the marks themselves take is measured by them and taken
off. Where valgrind is installed, the server's instructions a request are counted on the ordinary build: all of a run, its start
among them. link passes frames through the same port with no stack at all.
"""
import json
import os
import shutil
import subprocess

from sides import Failed
from workloads import BY_NAME

LAYERS = ['program', 'call', 'rx_burst', 'demultiplex', 'tcp_input', 'copy_out', 'copy_in', 'tcp_output', 'ip_output', 'tx_burst',
          'readiness', 'timers', 'empty_polls']
SHOWN = ['rr', 'redis', 'nginx']


def marks_build(top):
    """The build with marks; what makes it says nothing."""
    build = f'{top}/build-marks'
    done = subprocess.run([f'{top}/scripts/build', build, '-Dmarks=true', '-Dtests=false', '-Dbuildtype=release'],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed('the build with marks: ' + done.stdout.strip().splitlines()[-1])
    return build


def times(place, bench, workload):
    """Nanoseconds a request by layer, of the server and the client: two dictionaries."""
    path = f'{place.tmp}/marks'
    if os.path.exists(path):
        os.unlink(path)
    os.environ['SHUNT_MARKS'] = path
    try:
        workload.run(place, 'shunt', bench)
    finally:
        del os.environ['SHUNT_MARKS']
    with open(path) as f:
        lines = [json.loads(line) for line in f]
    if len(lines) < 2:
        raise Failed(f'{workload.name}: an end told no times')
    sides = []
    for line in (lines[-1], lines[0]):
        own, n = line['mark_ns'], line['packets']
        sides.append({k: max(0, line[k][0] - line[k][1] * own) / n for k in LAYERS})
    return sides


def instructions(path):
    """Of one file of callgrind: instructions in all, and calls of the function that takes a segment's text."""
    names, total, requests, callee, called = {}, 0, 0, None, False
    with open(path) as f:
        for line in f:
            if line.startswith('cfn='):
                number, _, name = line[4:].strip().partition(' ')
                callee = names.setdefault(number, name)
            elif line.startswith('fn='):
                number, _, name = line[3:].strip().partition(' ')
                names.setdefault(number, name)
            elif line.startswith('calls='):
                called = True
                if callee.startswith('tcp_take_text'):
                    requests += int(line[6:].split()[0])
            elif line[:1] in '0123456789+-*' and line.strip():
                if not called:
                    total += int(line.split()[1])
                called = False
    return total, requests


class Counted:
    """Stands in for a place: its servers run below callgrind."""

    def __init__(self, place):
        self.__dict__.update(place.__dict__)
        self.place, self.out = place, f'{place.tmp}/callgrind'
        shutil.rmtree(self.out, ignore_errors=True)
        os.mkdir(self.out)

    def __getattr__(self, name):
        return getattr(self.place, name)

    def command(self, side, role, argv, addresses=1):
        if role == 'server':
            argv = ['valgrind', '-q', '--tool=callgrind', f'--callgrind-out-file={self.out}/%p', *argv]
        return self.place.command(side, role, argv, addresses)

    def result(self):
        return max(instructions(f'{self.out}/{name}') for name in os.listdir(self.out))


def instructions_a_request(place, bench, workload):
    counted = Counted(place)
    workload.run(counted, 'shunt', bench)
    return counted.result()


def layers(place, bench, progress):
    """Prints the table; the object of the JSON."""
    progress('layers: the build with marks')
    plain, place.build = place.build, marks_build(place.top)
    columns, result = [], {'workload': 'layers'}
    for name in SHOWN:
        w = BY_NAME[name]
        if w.missing():
            continue
        progress(f'layers: {name}')
        server, user = times(place, bench, w)
        columns += [(f'{name} server', server), (f'{name} client', user)]
        result[name] = {'server_ns': server, 'client_ns': user}
    place.build = plain
    progress('')
    print(f"\n{'nanoseconds a request':24}" + ''.join(f'{title:>14}' for title, _ in columns))
    for layer in LAYERS:
        print(f"{layer.replace('_', ' '):24}" + ''.join(f'{ns[layer]:14.0f}' for _, ns in columns))
    busy = [sum(v for k, v in ns.items() if k != 'empty_polls') for _, ns in columns]
    print(f"{'in all, less the last':24}" + ''.join(f'{ns:14.0f}' for ns in busy))
    if shutil.which('valgrind'):
        for name in result.keys() - {'workload'}:
            progress(f'layers: instructions of {name}')
            total, requests = instructions_a_request(place, bench, BY_NAME[name])
            result[name]['instructions'] = total / requests if requests else None
        progress('')
        print('instructions a request of the server, its start among them: ' +
              ', '.join(f"{name} {result[name]['instructions']:.0f}" for name in SHOWN if result.get(name, {}).get('instructions')))
    return result


def link(place, bench, progress):
    """The bare port: one frame there and back, and frames a second."""
    exe, runs = f'{place.build}/bench/bench-link', []
    for i in range(bench.runs):
        progress(f'link: run {i + 1} of {bench.runs}')
        place.prepare('shunt')
        server, user = place.link_specs()
        argv = ['taskset', '-c', '0', exe, '-l', '-t', str(bench.seconds + 3), server]
        end = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            out = subprocess.run(['taskset', '-c', '1' if place.cpus > 1 else '0', exe, '-t', str(bench.seconds), user],
                                 capture_output=True, text=True, timeout=bench.seconds + 20)
        finally:
            end.terminate()
            end.wait()
        if out.returncode != 0:
            raise Failed(out.stderr.strip() or 'the link: no figure')
        runs.append(json.loads(out.stdout))
    progress('')
    middle = lambda field: sorted(r[field] for r in runs)[len(runs) // 2]
    print(f"\n{place.link} alone, frames of {runs[0]['size']} bytes: there and back p50 {middle('p50_us'):.2f} µs, p99 {middle('p99_us'):.2f} µs; "
          f"returned {middle('frames_per_second') / 1e6:.2f} M frames/s")
    return {'workload': 'link', 'runs': runs}
