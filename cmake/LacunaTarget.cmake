# SPDX-License-Identifier: Apache-2.0
# What every Lacuna target has in common.

# Warnings and the language level.
function(lacuna_target target)
    target_compile_features(${target} PRIVATE cxx_std_20)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
    if(MSVC)
        target_compile_options(${target} PRIVATE /W4 $<$<BOOL:${LACUNA_WERROR}>:/WX>)
    else()
        target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wno-missing-field-initializers $<$<BOOL:${LACUNA_WERROR}>:-Werror>)
    endif()
endfunction()

# A library that others install and link: hidden visibility, versions, the public headers.
function(lacuna_library target)
    lacuna_target(${target})
    set_target_properties(${target} PROPERTIES
        C_VISIBILITY_PRESET hidden
        CXX_VISIBILITY_PRESET hidden
        VISIBILITY_INLINES_HIDDEN ON
        POSITION_INDEPENDENT_CODE ON
        VERSION ${PROJECT_VERSION}
        SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
    target_include_directories(${target}
        PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_compile_definitions(${target} PRIVATE LACUNA_BUILDING)
    if(BUILD_SHARED_LIBS)
        target_compile_definitions(${target} PUBLIC LACUNA_SHARED)
    endif()
endfunction()

# Engines switch exceptions and RTTI off, so the core must do without them.
function(lacuna_no_exceptions target)
    if(MSVC)
        target_compile_options(${target} PRIVATE /GR- /EHs-c-)
        target_compile_definitions(${target} PRIVATE _HAS_EXCEPTIONS=0)
    else()
        target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)
    endif()
endfunction()
