#!/bin/sh
# private_archive.sh NAME OUT PREFIX SYMBOLS [DROP...]: a copy of the compiler's static library NAME (libbpf.a) for linking into libshunt-engine.so, with symbols renamed to PREFIX + name, so that they
# can't meet the program's. SYMBOLS: "defined" for all that the library defines, or a comma-separated list. DROP: members left out.
set -eu
in=$(${CC:-cc} -print-file-name="$1") out=$2 prefix=$3 symbols=$4
shift 4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp "$in" "$tmp/a"
for member in "$@"; do ar d "$tmp/a" "$member"; done
if [ "$symbols" = defined ]; then
    nm -g --defined-only "$tmp/a" | awk 'NF == 3 { print $3 }' | sort -u > "$tmp/names"
else
    echo "$symbols" | tr , '\n' > "$tmp/names"
fi
awk -v p="$prefix" '{ print $1, p $1 }' "$tmp/names" > "$tmp/map"
objcopy --redefine-syms="$tmp/map" "$tmp/a" "$tmp/b"
ranlib "$tmp/b"
cp "$tmp/b" "$out"
