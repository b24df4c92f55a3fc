# SPDX-License-Identifier: Apache-2.0
# lacuna::jit: the caller's own GLSL in the kernels of ATTEND, compiled at run time by shaderc.

# Embeds the sources of the modules of `config` that use attend/keep.glsl, and of all files they may include. Those of
# matrices with sums in fp16 are left out: rare, and each would be compiled for every function of the caller's.
function(lacuna_embed_kernel_sources target config)
    cmake_path(ABSOLUTE_PATH config NORMALIZE)
    cmake_path(GET config PARENT_PATH source_dir)
    lacuna_read_shader_config("${config}" names)
    set(gen_dir "${PROJECT_BINARY_DIR}/gen/jit")
    file(MAKE_DIRECTORY "${gen_dir}")
    file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE "${source_dir}" "${source_dir}/attend/*" "${source_dir}/lib/*"
        "${source_dir}/shared/*")

    set(JIT_TEXTS "")
    set(JIT_FILES "")
    set(texts "")
    foreach(file IN LISTS files)
        string(MAKE_C_IDENTIFIER "${file}" name)
        add_custom_command(
            OUTPUT "${gen_dir}/${name}.inc"
            COMMAND "${CMAKE_COMMAND}" "-DINPUT=${source_dir}/${file}" "-DOUTPUT=${gen_dir}/${name}.inc"
                -P "${LACUNA_CMAKE_DIR}/embed_text.cmake"
            DEPENDS "${source_dir}/${file}" "${LACUNA_CMAKE_DIR}/embed_text.cmake"
            COMMENT "Embedding ${file}"
            VERBATIM)
        list(APPEND texts "${gen_dir}/${name}.inc")
        string(APPEND JIT_TEXTS "const unsigned char ${name}[] = {\n#include \"${name}.inc\"\n};\n")
        string(APPEND JIT_FILES "    {\"${file}\", view(${name})},\n")
    endforeach()

    set(JIT_KERNELS "")
    foreach(name IN LISTS names)
        file(STRINGS "${${name}_source}" keeps REGEX "#include \"attend/(keep|lanes|softmax).glsl\"")
        if(keeps AND NOT name MATCHES "^attend_coopmat_.*half")
            cmake_path(RELATIVE_PATH ${name}_source BASE_DIRECTORY "${source_dir}" OUTPUT_VARIABLE path)
            list(TRANSFORM ${name}_macros REPLACE "^-D" "")
            list(JOIN ${name}_macros " " macros)
            string(APPEND JIT_KERNELS "    {\"${name}\", \"${path}\", \"${macros}\"},\n")
        endif()
    endforeach()
    configure_file("${LACUNA_CMAKE_DIR}/jit_sources.cpp.in" "${gen_dir}/jit_sources.cpp" @ONLY)
    set_source_files_properties("${gen_dir}/jit_sources.cpp" PROPERTIES OBJECT_DEPENDS "${texts}")
    target_sources(${target} PRIVATE "${gen_dir}/jit_sources.cpp" ${texts})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${gen_dir}")
endfunction()

find_path(LACUNA_SHADERC_INCLUDE_DIR shaderc/shaderc.hpp REQUIRED)
find_library(LACUNA_SHADERC_LIBRARY NAMES shaderc shaderc_shared REQUIRED)
cmake_path(GET LACUNA_SHADERC_LIBRARY STEM shaderc)
string(REGEX REPLACE "^lib" "" shaderc "${shaderc}")
cmake_path(GET LACUNA_SHADERC_LIBRARY PARENT_PATH shaderc_dir)

add_library(lacuna_jit src/jit/jit.cpp)
add_library(lacuna::jit ALIAS lacuna_jit)
set_target_properties(lacuna_jit PROPERTIES EXPORT_NAME jit)
lacuna_library(lacuna_jit)
lacuna_embed_kernel_sources(lacuna_jit shaders/shaders.cfg)
target_include_directories(lacuna_jit SYSTEM PRIVATE "${LACUNA_SHADERC_INCLUDE_DIR}")
target_link_directories(lacuna_jit PRIVATE $<BUILD_INTERFACE:${shaderc_dir}>)
target_link_libraries(lacuna_jit PUBLIC lacuna PRIVATE ${shaderc})
