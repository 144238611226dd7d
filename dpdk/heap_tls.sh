#!/bin/sh
# heap_tls.sh OUT: C source of jemalloc's per-thread state, under the name it has in libshunt-jemalloc.a.
#
# Debian's jemalloc reaches that state by the initial-exec model, which a library loaded by dlopen can't be given: 2.6 kB are more than glibc keeps in reserve ("cannot allocate memory in
# static TLS block"). libshunt.so is there from the start of the process, so it holds the bytes; the dynamic linker binds the engine's references to it.
set -eu
out=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && ar x "$(${CC:-cc} -print-file-name=libjemalloc_pic.a)" tsd.pic.o)
# objcopy writes no bytes of a section that isn't loaded; a .tdata becomes plain data first.
objcopy --set-section-flags .tdata=alloc,load,readonly,data -O binary -j .tdata "$tmp/tsd.pic.o" "$tmp/bytes"
size=$(stat -c %s "$tmp/bytes")
[ "$size" -gt 0 ] || { echo "heap_tls.sh: no .tdata in tsd.pic.o" >&2; exit 1; }
{
    echo '/* Made by dpdk/heap_tls.sh from libjemalloc_pic.a. */'
    echo '#define HEAP_TLS __thread __attribute__((visibility("default"), tls_model("initial-exec"), aligned(16)))'
    echo "extern HEAP_TLS unsigned char shunt_je_je_tsd_tls[$size];"
    echo "HEAP_TLS unsigned char shunt_je_je_tsd_tls[$size] = {"
    od -An -v -tu1 -w16 "$tmp/bytes" | sed 's/ *\([0-9][0-9]*\)/\1,/g'
    echo '};'
} > "$out"
