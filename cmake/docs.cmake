# SPDX-License-Identifier: Apache-2.0
# The parts of the documents that are made from something else:
#   README.md        the listing of apps/embed_minimal/main.cpp
#   docs/methods.md  what `lacuna methods --markdown` prints, and the tables of results/methods.json
#   docs/benchmarks.md  the tables of results/attend.json
#
# cmake -DTOOL=<lacuna> [-DWRITE=ON] -P cmake/docs.cmake     without WRITE: fails when one is out of date
get_filename_component(root "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)

function(bring_up_to_date path wanted)
    set(present "")
    if(EXISTS "${path}")
        file(READ "${path}" present)
    endif()
    if(present STREQUAL wanted)
        return()
    endif()
    if(NOT WRITE)
        message(FATAL_ERROR "${path} is out of date: run ./dev docs")
    endif()
    file(WRITE "${path}" "${wanted}")
    message(STATUS "wrote ${path}")
endfunction()

set(begin "<!-- listing: apps/embed_minimal/main.cpp -->\n")
set(end "<!-- end of listing -->")
file(READ "${root}/apps/embed_minimal/main.cpp" listing)
file(READ "${root}/README.md" readme)
string(FIND "${readme}" "${begin}" from)
string(FIND "${readme}" "${end}" to)
if(from LESS 0 OR to LESS from)
    message(FATAL_ERROR "README.md has lost the marks of the listing")
endif()
string(SUBSTRING "${readme}" 0 ${from} head)
string(SUBSTRING "${readme}" ${to} -1 tail)
bring_up_to_date("${root}/README.md" "${head}${begin}```cpp\n${listing}```\n${tail}")

execute_process(COMMAND "${TOOL}" methods --markdown OUTPUT_VARIABLE methods COMMAND_ERROR_IS_FATAL ANY)
find_program(python python3)
if(python)
    execute_process(COMMAND "${python}" "${root}/tools/bench/methods.py" --markdown OUTPUT_VARIABLE measured COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND "${python}" "${root}/tools/bench/attend.py" --markdown OUTPUT_VARIABLE benchmarks COMMAND_ERROR_IS_FATAL ANY)
    bring_up_to_date("${root}/docs/benchmarks.md" "${benchmarks}")
else() # the tables stay as they are
    file(READ "${root}/docs/methods.md" present)
    string(FIND "${present}" "## Measured" from)
    string(SUBSTRING "${present}" ${from} -1 measured)
endif()
bring_up_to_date("${root}/docs/methods.md" "${methods}\n${measured}")
