#!/usr/bin/env python3
"""settings.py: puts the list of settings into shunt.7, from the table in stack/tunable.h.

    settings.py TUNABLE_H TEMPLATE OUTPUT     the line .\\" @SETTINGS@ of TEMPLATE is replaced
    settings.py --list TUNABLE_H              NAME DEFAULT MIN MAX a line
"""
import re
import sys

CONSTANTS = {'INT32_MAX': 2**31 - 1, 'UINT32_MAX': 2**32 - 1}


def number(text):
    """A constant expression of the table as a number."""
    return eval(re.sub(r'\b[A-Z]\w+\b', lambda m: str(CONSTANTS[m.group()]), text), {'__builtins__': {}})


def settings(path):
    """(name, default, min, max, text) of each X(...) in the order of the table."""
    with open(path, encoding='utf-8') as f:
        table = f.read()
    table = table[table.index('#define TUNABLES(X)'):]
    table = re.sub(r'\\\n', ' ', table).split('\n', 1)[0]
    entry = r'X\(\s*(\w+),\s*([^,"]+),\s*([^,"]+),\s*([^,"]+),\s*"((?:[^"\\]|\\.)*)"\s*\)'
    rows = [(n, number(d), number(lo), number(hi), t) for n, d, lo, hi, t in re.findall(entry, table)]
    if len(rows) != len(re.findall(r'\bX\(', table)):
        sys.exit(f'{path}: not every line of the table was understood')
    return rows


def escape(text):
    text = text.replace('\\', '\\e').replace('-', '\\-')
    return '\\&' + text if text[:1] in ".'" else text


def main():
    if sys.argv[1] == '--list':
        for row in settings(sys.argv[2]):
            print(*row[:4])
        return
    header, template, output = sys.argv[1:]
    items = []
    for name, default, low, high, text in settings(header):
        items += [f'.It Va {name}', escape(text[0].upper() + text[1:] + '.'), f'Default {default}, from {low} to {high}.']
    with open(template, encoding='utf-8') as f:
        page = f.read()
    mark = '.\\" @SETTINGS@\n'
    if mark not in page:
        sys.exit(f'{template}: no line {mark!r}')
    with open(output, 'w', encoding='utf-8') as f:
        f.write(page.replace(mark, '\n'.join(items) + '\n'))


main()
