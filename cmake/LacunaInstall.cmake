# SPDX-License-Identifier: Apache-2.0
# Install rules, the CMake package `lacuna` (components core, host and jit), and lacuna.pc.

include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/lacuna")

install(TARGETS lacuna EXPORT lacuna_core)
install(EXPORT lacuna_core FILE lacuna-core.cmake NAMESPACE lacuna:: DESTINATION "${package_dir}")
install(FILES include/lacuna/lacuna.h include/lacuna/lacuna.hpp DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/lacuna")
if(LACUNA_BUILD_HOST)
    install(TARGETS lacuna_host EXPORT lacuna_host)
    install(EXPORT lacuna_host FILE lacuna-host.cmake NAMESPACE lacuna:: DESTINATION "${package_dir}")
    install(FILES include/lacuna/host.hpp DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/lacuna")
endif()
if(LACUNA_BUILD_JIT)
    install(TARGETS lacuna_jit EXPORT lacuna_jit)
    install(EXPORT lacuna_jit FILE lacuna-jit.cmake NAMESPACE lacuna:: DESTINATION "${package_dir}")
    install(FILES include/lacuna/jit.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/lacuna")
endif()
if(TARGET lacuna_tool)
    install(TARGETS lacuna_tool)
endif()

configure_package_config_file(cmake/lacuna-config.cmake.in lacuna-config.cmake INSTALL_DESTINATION "${package_dir}")
# 0.x promises nothing between minor versions.
write_basic_package_version_file(lacuna-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/lacuna-config.cmake" "${PROJECT_BINARY_DIR}/lacuna-config-version.cmake"
    DESTINATION "${package_dir}")

# A static core is C++ inside; a C program that links it needs the C++ library too.
set(pc_private_libs "")
if(NOT BUILD_SHARED_LIBS)
    set(pc_private_libs "-lstdc++ -lm")
endif()
file(RELATIVE_PATH pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/lacuna.pc.in lacuna.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/lacuna.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
