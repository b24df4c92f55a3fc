#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gathers the tool, its C library and the model in one folder: make_bundle.sh PROGRAM REPOSITORY FOLDER
#
#   lacuna       start script
#   bin/ models/ the program, with all libraries but the C library inside, and the bundled model
#   libc/        the C library and its loader, for machines whose own is older than the program asks for
#
# The Vulkan loader and the drivers stay those of the other machine: they belong to its kernel and its GPU.
set -euo pipefail

program=$1
repository=$2
out=$3

foreign=$(ldd "$program" | awk '$1 !~ /^(linux-vdso|libc|libm)\.so/ && $1 !~ /ld-linux/ { print $1 }')
if [ -n "$foreign" ]; then
    echo "make_bundle: the program needs $foreign, expected only the C library; build it with LACUNA_STATIC_TOOL=ON" >&2
    exit 1
fi

mkdir -p "$out/bin" "$out/libc" "$out/models"
cp "$program" "$out/bin/lacuna"
strip "$out/bin/lacuna"
cp "$repository"/models/*.safetensors "$out/models/"
cp "$repository/LICENSE" "$out/"

# All parts of the C library: a driver on the other machine may ask for more of them than the program does.
libc=$(ldd "$program" | awk '$1 ~ /^libc\.so/ { print $3 }')
for part in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libresolv.so.2 libutil.so.1; do
    cp -L "${libc%/*}/$part" "$out/libc/"
done
loader=$(ldd "$program" | awk '/ld-linux/ { print $1 }')
cp -L "$loader" "$out/libc/"
loader=${loader##*/}

glibc=$(objdump -T "$out/bin/lacuna" | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' | sort -V | tail -n 1)
cat >"$out/lacuna" <<EOF
#!/bin/sh
# Starts lacuna with this machine's C library, or with the one in libc/ where that is older than glibc $glibc.
here=\$(dirname "\$(readlink -f "\$0")")
own=\$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/glibc //')
if [ -n "\$own" ] && [ "\$(printf '%s\n%s\n' $glibc "\$own" | sort -V | head -n 1)" = $glibc ]; then
    exec "\$here/bin/lacuna" "\$@"
fi
exec "\$here/libc/$loader" --library-path "\$here/libc" "\$here/bin/lacuna" "\$@"
EOF
chmod +x "$out/lacuna"
size=$(du -sh "$out" | cut -f1)
echo "bundle: $out ($size); start it with $out/lacuna"
