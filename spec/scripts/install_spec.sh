#!/bin/sh
# Install to a folder of its own and use what is there: the program, a stock lua5.4, a C program through pkg-config and
# another through find_package. usage: install_spec.sh BUILD SOURCE
set -eu
build=$1 source=$2
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
unset LUA_PATH LUA_CPATH MOONWATCH_BACKENDS || true

cmake --install "$build" --prefix "$prefix" >/dev/null
mkdir "$prefix/work"
cd "$prefix/work"

printf 'print(mw.registry:put("/a", "b").version) mw.stop()\n' >a.lua
printf 'registry: {sqlite: {path: r.db}}\nlog_level: error\n' >application.yaml
"$prefix/bin/moonwatch" check a.lua | grep -q 'all is well'
test "$("$prefix/bin/moonwatch" run a.lua)" = 0

LUA_PATH="$prefix/share/lua/5.4/?.lua;$prefix/share/lua/5.4/?/init.lua;;" \
LUA_CPATH="$prefix/lib/lua/5.4/?.so;;" MOONWATCH_BACKENDS="$prefix/lib/moonwatch" \
  lua5.4 -e 'local r <close> = assert(require "moonwatch".open { backend = "sqlite", path = "r.db" })
             assert(r:get("/a").value == "b")'

export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
cc -Wall -Werror "$source/spec/scripts/engine_example.c" -o example \
  $(pkg-config --cflags --libs moonwatch libuv) -Wl,-rpath,"$prefix/lib"
./example | grep -q '^closed$'

cat >CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.20)
project(application LANGUAGES C)
find_package(moonwatch 0.1 REQUIRED)
add_executable(application $source/spec/scripts/engine_example.c)
target_link_libraries(application moonwatch::moonwatch uv)
END
cmake -S . -B out -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build out >/dev/null
out/application | grep -q '^closed$'
echo "installed: fine"
