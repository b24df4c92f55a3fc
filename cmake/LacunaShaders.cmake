# SPDX-License-Identifier: Apache-2.0
# Compiles the shader modules of a shaders.cfg, validates them, and embeds them into a target.
#
#   lacuna_compile_shaders(TARGET target CONFIG shaders.cfg NAMESPACE name)     in the folder that made the target
#
# One line of the file is one SPIR-V module; '#' starts a comment:
#
#   module_name path/to/file.comp [MACRO[=VALUE] ...]     the path counts from the file's own folder
#
# The target can then `#include "shaders_gen.h"`, which declares in the given namespace
#
#   enum class Shader : uint32_t { module_name, ... };
#   kShaderCount and kShaders[kShaderCount] = {{name, words, word_count}, ...}
#
# The modules also lie in <build>/spirv/<name>/<module>.spv. With LACUNA_PREGENERATED_SPIRV=<build>/spirv
# (or an installed copy of it) they are taken from there and neither glslang nor spirv-val is needed.

set(LACUNA_PREGENERATED_SPIRV "" CACHE PATH "take SPIR-V modules from this folder instead of compiling GLSL")
set(LACUNA_CMAKE_DIR "${CMAKE_CURRENT_LIST_DIR}")

function(lacuna_find_shader_tools)
    find_program(LACUNA_GLSLANG NAMES glslang glslangValidator REQUIRED)
    find_program(LACUNA_SPIRV_VAL NAMES spirv-val REQUIRED)
    execute_process(COMMAND "${LACUNA_GLSLANG}" --version OUTPUT_VARIABLE version ERROR_QUIET)
    string(REGEX MATCH "[0-9]+:([0-9]+\\.[0-9]+)" found "${version}")
    if(CMAKE_MATCH_1 VERSION_LESS 15.1)
        message(FATAL_ERROR "${LACUNA_GLSLANG} is glslang '${CMAKE_MATCH_1}', Lacuna needs 15.1 or newer; "
            "or name a folder of compiled modules in LACUNA_PREGENERATED_SPIRV")
    endif()
endfunction()

# Sets <out_names> and, for each module, <name>_source and <name>_macros in the caller.
function(lacuna_read_shader_config config out_names)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${config}")
    file(STRINGS "${config}" lines)
    cmake_path(GET config PARENT_PATH folder)
    set(names "")
    foreach(line IN LISTS lines)
        string(REGEX REPLACE "#.*" "" line "${line}")
        separate_arguments(fields UNIX_COMMAND "${line}")
        list(LENGTH fields count)
        if(count EQUAL 0)
            continue()
        endif()
        list(POP_FRONT fields name source)
        if(NOT name MATCHES "^[a-z][a-z0-9_]*$" OR name IN_LIST names)
            message(FATAL_ERROR "${config}: module '${name}' is not a new lower_case identifier")
        endif()
        if(NOT source OR NOT EXISTS "${folder}/${source}")
            message(FATAL_ERROR "${config}: module '${name}' names the file '${source}', which does not exist")
        endif()
        list(APPEND names "${name}")
        list(TRANSFORM fields PREPEND "-D")
        set(${name}_source "${folder}/${source}" PARENT_SCOPE)
        set(${name}_macros "${fields}" PARENT_SCOPE)
    endforeach()
    if(NOT names)
        message(FATAL_ERROR "${config} lists no module")
    endif()
    set(${out_names} "${names}" PARENT_SCOPE)
endfunction()

function(lacuna_compile_shaders)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "TARGET;CONFIG;NAMESPACE" "")
    cmake_path(ABSOLUTE_PATH arg_CONFIG NORMALIZE)
    cmake_path(GET arg_CONFIG PARENT_PATH source_dir)
    set(spirv_dir "${PROJECT_BINARY_DIR}/spirv/${arg_NAMESPACE}")
    set(gen_dir "${PROJECT_BINARY_DIR}/gen/${arg_NAMESPACE}")
    file(MAKE_DIRECTORY "${spirv_dir}" "${gen_dir}")

    lacuna_read_shader_config("${arg_CONFIG}" names)
    if(NOT LACUNA_PREGENERATED_SPIRV)
        lacuna_find_shader_tools()
    endif()

    set(SHADER_NAMESPACE "${arg_NAMESPACE}")
    list(LENGTH names SHADER_COUNT)
    set(SHADER_ENUM "")
    set(SHADER_WORDS "")
    set(SHADER_TABLE "")
    set(modules "")
    set(words "")
    foreach(name IN LISTS names)
        set(spv "${spirv_dir}/${name}.spv")
        set(inc "${gen_dir}/${name}.inc")
        if(LACUNA_PREGENERATED_SPIRV)
            set(spv "${LACUNA_PREGENERATED_SPIRV}/${arg_NAMESPACE}/${name}.spv")
            if(NOT EXISTS "${spv}")
                message(FATAL_ERROR "LACUNA_PREGENERATED_SPIRV has no ${arg_NAMESPACE}/${name}.spv; "
                    "it was made from another version of ${arg_CONFIG}")
            endif()
        else()
            add_custom_command(
                OUTPUT "${spv}"
                COMMAND "${LACUNA_GLSLANG}" --quiet -V --target-env vulkan1.3 "-I${source_dir}" ${${name}_macros}
                    --depfile "${spv}.d" -o "${spv}" "${${name}_source}"
                COMMAND "${LACUNA_SPIRV_VAL}" --target-env vulkan1.3 "${spv}"
                DEPENDS "${${name}_source}" "${arg_CONFIG}"
                DEPFILE "${spv}.d"
                COMMENT "Shader ${arg_NAMESPACE}/${name}"
                VERBATIM)
        endif()
        add_custom_command(
            OUTPUT "${inc}"
            COMMAND "${CMAKE_COMMAND}" "-DSPIRV=${spv}" "-DOUTPUT=${inc}" -P "${LACUNA_CMAKE_DIR}/embed_spirv.cmake"
            DEPENDS "${spv}" "${LACUNA_CMAKE_DIR}/embed_spirv.cmake"
            COMMENT "Embedding ${arg_NAMESPACE}/${name}"
            VERBATIM)
        list(APPEND modules "${spv}")
        list(APPEND words "${inc}")
        string(APPEND SHADER_ENUM "    ${name},\n")
        string(APPEND SHADER_WORDS "const uint32_t ${name}_words[] = {\n#include \"${name}.inc\"\n};\n")
        string(APPEND SHADER_TABLE "    {\"${name}\", ${name}_words, sizeof(${name}_words) / 4},\n")
    endforeach()

    configure_file("${LACUNA_CMAKE_DIR}/shaders_gen.h.in" "${gen_dir}/shaders_gen.h" @ONLY)
    configure_file("${LACUNA_CMAKE_DIR}/shaders_gen.cpp.in" "${gen_dir}/shaders_gen.cpp" @ONLY)
    set_source_files_properties("${gen_dir}/shaders_gen.cpp" PROPERTIES OBJECT_DEPENDS "${words}")
    target_sources(${arg_TARGET} PRIVATE "${gen_dir}/shaders_gen.cpp" ${words})
    target_include_directories(${arg_TARGET} PRIVATE "${gen_dir}")

    set(report "${gen_dir}/size.txt")
    add_custom_command(
        OUTPUT "${report}"
        COMMAND "${CMAKE_COMMAND}" "-DNAME=${arg_NAMESPACE}" "-DOUTPUT=${report}" "-DMODULES=${modules}"
            -P "${LACUNA_CMAKE_DIR}/spirv_size.cmake"
        DEPENDS ${modules} "${LACUNA_CMAKE_DIR}/spirv_size.cmake"
        COMMENT "SPIR-V size of ${arg_NAMESPACE}"
        VERBATIM)
    add_custom_target(${arg_NAMESPACE}_spirv_size ALL DEPENDS "${report}")
endfunction()
