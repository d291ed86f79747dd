# ZooKeeper beside the bare C client, Apache Curator and kazoo, on a server of its own.
if(TARGET mw_backend_zookeeper)
  add_executable(zookeeper_bench zookeeper/zookeeper_bench.c zookeeper/bare.c zookeeper/ephemerals.c
    zookeeper/lag.c zookeeper/peers.c zookeeper/react.c zookeeper/view.c)
  set_target_properties(zookeeper_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/spec)
  target_include_directories(zookeeper_bench PRIVATE ${CMAKE_SOURCE_DIR}/spec ${ZOOKEEPER_INCLUDE})
  target_compile_definitions(zookeeper_bench PRIVATE _GNU_SOURCE SPEC_FOLDER="${CMAKE_SOURCE_DIR}/spec")
  target_link_libraries(zookeeper_bench PRIVATE zookeeper_world ${ZOOKEEPER_ST} m)
  moonwatch_bench(zookeeper_bench COMMAND TCP_PROXY=$<TARGET_FILE:tcp_proxy> ZK_HEAP=512m ZK_TICK=2000
    ${CMAKE_SOURCE_DIR}/spec/support/zookeeper_server.sh run 1 $<TARGET_FILE:zookeeper_bench>)
endif()
