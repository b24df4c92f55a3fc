# SPDX-License-Identifier: Apache-2.0
# Writes any file as a comma-separated list of bytes: cmake -DINPUT=page.html -DOUTPUT=page.inc -P ...

file(READ "${INPUT}" bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE "${OUTPUT}" "${bytes}\n")
