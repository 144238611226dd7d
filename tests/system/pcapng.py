"""pcapng.py FILE...: reads pcapng files block by block, refuses what the format does not allow, and prints a line each:

    interface N NAME DESCRIPTION
    packet N IN|OUT LEN CAPLEN LOST COMMENT
    statistics N CAPTURED DROPPED LOST

A file whose last block is cut off is an error, as is one without a section header.
"""
import struct
import sys


def options(body):
    """{code: value} of the options at the start of body."""
    found = {}
    while body:
        code, n = struct.unpack_from('=HH', body)
        if code == 0:
            return found
        if 4 + n > len(body):
            raise ValueError('an option is longer than its block')
        found[code] = body[4:4 + n]
        body = body[4 + (n + 3 & ~3):]
    return found


def text(opts, code):
    return opts.get(code, b'').decode()


def blocks(data):
    while data:
        if len(data) < 12:
            raise ValueError(f'{len(data)} bytes behind the last block')
        kind, n = struct.unpack_from('=II', data)
        if n < 12 or n % 4 or n > len(data) or struct.unpack_from('=I', data, n - 4)[0] != n:
            raise ValueError(f'block of type {kind} with length {n}')
        yield kind, data[8:n - 4]
        data = data[n:]


def show(path):
    names = []
    last = 0
    with open(path, 'rb') as f:
        for i, (kind, body) in enumerate(blocks(f.read())):
            if (i == 0) != (kind == 0x0a0d0d0a):
                raise ValueError('the first block is a section header, and no other')
            if kind == 0x0a0d0d0a and struct.unpack_from('=IHH', body) != (0x1a2b3c4d, 1, 0):
                raise ValueError('section header')
            if kind == 1:
                link, _, _ = struct.unpack_from('=HHI', body)
                o = options(body[8:])
                if link != 1 or o[9] != b'\x09':
                    raise ValueError('interface')
                names.append(text(o, 2))
                print('interface', len(names) - 1, names[-1], text(o, 3))
            elif kind == 6:
                n, hi, lo, caplen, length = struct.unpack_from('=IIIII', body)
                if n >= len(names) or caplen > length or 20 + caplen > len(body):
                    raise ValueError('packet')
                o = options(body[20 + (caplen + 3 & ~3):])
                flags, = struct.unpack('=I', o.get(2, bytes(4)))
                lost, = struct.unpack('=Q', o.get(4, bytes(8)))
                if (hi << 32 | lo) < last:
                    raise ValueError('time goes back')
                last = hi << 32 | lo
                print('packet', names[n], ['-', 'IN', 'OUT', '?'][flags & 3], length, caplen, lost, text(o, 1))
            elif kind == 5:
                n, _, _ = struct.unpack_from('=III', body)
                o = options(body[12:])
                print('statistics', names[n], *(struct.unpack('=Q', o[c])[0] for c in (4, 5, 7)))


for name in sys.argv[1:]:
    show(name)
