#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gathers the tool, its libraries and the model in one folder: make_bundle.sh PROGRAM REPOSITORY FOLDER
#
#   lacuna       start script
#   bin/ models/ the program and the bundled model
#   lib/         libraries every machine may lack
#   libc/        the C library and its loader, for machines whose own is older than the program asks for
#
# The Vulkan loader and the drivers stay those of the other machine: they belong to its kernel and its GPU.
set -euo pipefail

program=$1
repository=$2
out=$3

mkdir -p "$out/bin" "$out/lib" "$out/libc" "$out/models"
cp "$program" "$out/bin/lacuna"
strip "$out/bin/lacuna"
cp "$repository"/models/*.safetensors "$out/models/"
cp "$repository/LICENSE" "$out/"

ldd "$program" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
    case ${library##*/} in
    libc.so.* | libm.so.* | ld-linux-*) cp -L "$library" "$out/libc/" ;;
    *) cp -L "$library" "$out/lib/" ;;
    esac
done
# A driver on the other machine may ask for the other parts of the same C library.
libc_folder=$(dirname "$(ldd "$program" | awk '$1 ~ /^libc\.so/ { print $3 }')")
for part in libdl.so.2 libpthread.so.0 librt.so.1 libresolv.so.2 libutil.so.1; do
    cp -L "$libc_folder/$part" "$out/libc/"
done

loader=$(cd "$out/libc" && echo ld-linux-*)
glibc=$(objdump -T "$out/bin/lacuna" "$out"/lib/* 2>/dev/null | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' | sort -V | tail -n 1)
cat >"$out/lacuna" <<EOF
#!/bin/sh
# Starts lacuna with this machine's C library, or with the one in libc/ where that is older than glibc $glibc.
here=\$(dirname "\$(readlink -f "\$0")")
own=\$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/glibc //')
if [ -n "\$own" ] && [ "\$(printf '%s\n%s\n' $glibc "\$own" | sort -V | head -n 1)" = $glibc ]; then
    LD_LIBRARY_PATH="\$here/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" exec "\$here/bin/lacuna" "\$@"
fi
exec "\$here/libc/$loader" --library-path "\$here/libc:\$here/lib" "\$here/bin/lacuna" "\$@"
EOF
chmod +x "$out/lacuna"
du -sh "$out" | sed 's/^\([^\t]*\)\t\(.*\)/bundle: \2 (\1); start it with \2\/lacuna/'
