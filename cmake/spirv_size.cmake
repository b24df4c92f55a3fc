# SPDX-License-Identifier: Apache-2.0
# Prints how many SPIR-V modules a target embeds and how large they are, so that growth is seen in review.

set(total 0)
foreach(module IN LISTS MODULES)
    file(SIZE "${module}" bytes)
    math(EXPR total "${total} + ${bytes}")
endforeach()
list(LENGTH MODULES count)
set(text "${NAME}: ${count} SPIR-V modules, ${total} bytes")
file(WRITE "${OUTPUT}" "${text}\n")
message(NOTICE "${text}")
