"""metrics.py: Prometheus's text format on standard input (exposition format 0.0.4), checked as strictly as promtool does: each
family is one block with one HELP and one TYPE before its samples, names and labels are well formed, no sample comes twice,
counters end in _total and do not go down below zero. Prints the samples, one a line, sorted."""
import re
import sys

NAME = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*$')
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABELS = re.compile(r'(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,|$))*$')

text = sys.stdin.read()
assert text.endswith('\n'), 'the last line has no end'
types, helps, seen, samples = {}, {}, set(), set()
current = None
for line in text[:-1].split('\n'):
    if line.startswith('# HELP '):
        name, _, what = line[7:].partition(' ')
        assert NAME.match(name) and what, line
        assert name not in helps, f'{name}: a second HELP'
        helps[name] = what
        current = name
    elif line.startswith('# TYPE '):
        name, kind = line[7:].split(' ')
        assert name == current and name not in types, line
        assert kind in ('counter', 'gauge'), line
        assert (kind == 'counter') == name.endswith('_total'), f'{name}: {kind}'
        types[name] = kind
    else:
        m = SAMPLE.match(line)
        assert m, line
        name, labels, value = m.groups()
        assert name == current and name in types, f'{name}: not behind its HELP and TYPE'
        assert labels is None or LABELS.match(labels), line
        assert (name, labels) not in seen, f'{line}: twice'
        assert float(value) >= 0, line
        seen.add((name, labels))
        samples.add(line)
assert len(samples) > 50
print('\n'.join(sorted(samples)))
