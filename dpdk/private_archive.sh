#!/bin/sh
# private_archive.sh NAME OUT PREFIX SYMBOLS [-s SHOW] [DROP...]: a copy of the compiler's static library NAME (libbpf.a) for linking into libshunt-engine.so, with symbols renamed to PREFIX + name, so that they
# can't meet the program's. SYMBOLS: a comma-separated list; "defined" in it stands for all that the library defines. SHOW: a symbol (by its
# new name) made visible again. DROP: members left out.
set -eu
in=$(${CC:-cc} -print-file-name="$1") out=$2 prefix=$3 symbols=$4
shift 4
show=
if [ "${1:-}" = -s ]; then
    show=$2
    shift 2
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp "$in" "$tmp/a"
for member in "$@"; do ar d "$tmp/a" "$member"; done
for symbol in $(echo "$symbols" | tr , ' '); do
    if [ "$symbol" = defined ]; then
        nm -g --defined-only "$tmp/a" | awk 'NF == 3 { print $3 }'
    else
        echo "$symbol"
    fi
done | sort -u > "$tmp/names"
awk -v p="$prefix" '{ print $1, p $1 }' "$tmp/names" > "$tmp/map"
objcopy --redefine-syms="$tmp/map" "$tmp/a" "$tmp/b"
ranlib "$tmp/b"
[ -z "$show" ] || "$(dirname "$0")/show_symbol.py" "$tmp/b" "$show"
cp "$tmp/b" "$out"
