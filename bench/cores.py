"""cores: how near the two cores are, asked around each run (cores.c says why it matters), and what a workload gave by it."""
import json
import os
import statistics
import subprocess

NEAR = 2 # times the shortest way seen


class Cores:
    def __init__(self, build, cpus):
        self.exe = f'{build}/bench/bench-cores' if cpus > 1 and os.access(f'{build}/bench/bench-cores', os.X_OK) else None
        self.least = None

    def line_ns(self):
        """A cache line there and back, in nanoseconds; None where that can't be told."""
        out = subprocess.run([self.exe], stdout=subprocess.PIPE, text=True).stdout if self.exe else ''
        ns = json.loads(out)['line_ns'] if out else None
        if ns:
            self.least = min(ns, self.least or ns)
        return ns

    def around(self, run):
        """Runs it; its result, with the time before and after."""
        before = self.line_ns()
        result = run()
        after = self.line_ns()
        if before and after:
            result['line_ns'] = [before, after]
        return result

    def where(self, result):
        """near, apart, or None where the cores were moved meanwhile."""
        ways = {ns <= NEAR * self.least for ns in result.get('line_ns', [])}
        return None if len(ways) != 1 else 'near' if ways == {True} else 'apart'

    def told_apart(self, runs):
        """runs: by side. By place, for those that each side has runs of: the nanoseconds, and the values by side. Nothing where
        all runs found the cores near."""
        by_place = {}
        for where in ('near', 'apart'):
            found = {side: [r for r in all_of if self.where(r) == where] for side, all_of in runs.items()}
            if all(found.values()):
                ns = statistics.median(n for all_of in found.values() for r in all_of for n in r['line_ns'])
                by_place[where] = ns, {side: [r['value'] for r in all_of] for side, all_of in found.items()}
        return by_place if 'apart' in by_place else {}
