#!/usr/bin/env python3
"""show_symbol.py ARCHIVE SYMBOL: gives SYMBOL default visibility in every member of a static library, in place.

objcopy can hide a symbol but not show one. Symbols hidden at compile time can't be bound to another library's definition; jemalloc's per-thread state must be (heap_tls.sh).
"""
import struct
import sys

SHT_SYMTAB = 2


def members(data):
    """Yields (start, end) of each member of an ar archive."""
    assert data[:8] == b"!<arch>\n", "no archive"
    at = 8
    while at + 60 <= len(data):
        size = int(data[at + 48:at + 58])
        yield at + 60, at + 60 + size
        at += 60 + size + (size & 1)


def show(data, start, name):
    """Clears st_other of symbol name in the ELF64 object at start. Returns how many entries it changed."""
    shoff, = struct.unpack_from("<Q", data, start + 0x28)
    shentsize, shnum = struct.unpack_from("<HH", data, start + 0x3A)

    def section(i):
        return struct.unpack_from("<IIQQQQIIQQ", data, start + shoff + i * shentsize)

    changed = 0
    for i in range(shnum):
        _, kind, _, _, offset, size, link, _, _, entsize = section(i)
        if kind != SHT_SYMTAB:
            continue
        strings = start + section(link)[4]
        for at in range(start + offset, start + offset + size, entsize):
            st_name, = struct.unpack_from("<I", data, at)
            text = strings + st_name
            if data[text:text + len(name) + 1] == name + b"\0":
                data[at + 5] = 0
                changed += 1
    return changed


def main():
    path, name = sys.argv[1], sys.argv[2].encode()
    with open(path, "rb") as f:
        data = bytearray(f.read())
    changed = sum(show(data, start, name) for start, end in members(data) if data[start:start + 5] == b"\x7fELF\x02")
    if not changed:
        sys.exit(f"show_symbol.py: no symbol {sys.argv[2]} in {path}")
    with open(path, "wb") as f:
        f.write(data)


main()
