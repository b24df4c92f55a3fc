# SPDX-License-Identifier: Apache-2.0
# Writes a SPIR-V module as a comma-separated list of C words: cmake -DSPIRV=in.spv -DOUTPUT=out.inc -P ...

file(READ "${SPIRV}" bytes HEX)
if(NOT bytes MATCHES "^03022307")
    message(FATAL_ERROR "${SPIRV} is not a little-endian SPIR-V module")
endif()
string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1,\n" words "${bytes}")
file(WRITE "${OUTPUT}" "${words}")
