# What `cmake --install` lays down. A stock lua5.4 on Debian looks below <prefix>/lib/lua and <prefix>/share/lua, without
# the machine's triplet, when the prefix is /usr/local.
include(CMakePackageConfigHelpers)

install(TARGETS moonwatch RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS moonwatch_shared EXPORT moonwatch LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS moonwatch_lua_module moonwatch_lua_yaml_so moonwatch_lua_system_so
  LIBRARY DESTINATION lib/lua/5.4/moonwatch)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/scripts/moonwatch DESTINATION share/lua/5.4 FILES_MATCHING PATTERN "*.lua")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/core/include/moonwatch ${CMAKE_SOURCE_DIR}/bindings/include/moonwatch
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

# find_package(moonwatch): moonwatch::moonwatch. pkg-config: moonwatch.
set_target_properties(moonwatch_shared PROPERTIES EXPORT_NAME moonwatch)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/moonwatch)
install(EXPORT moonwatch NAMESPACE moonwatch:: FILE moonwatch-config.cmake DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/moonwatch-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/moonwatch-config-version.cmake DESTINATION ${package_dir})
configure_file(${CMAKE_SOURCE_DIR}/cmake/moonwatch.pc.in ${CMAKE_BINARY_DIR}/moonwatch.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/moonwatch.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
