#!/bin/sh
# A backend built out of tree: its sources in a folder of their own, against the installed headers alone, loaded into the
# installed library, through the contract. The sources are those of sqlite. usage: outside_spec.sh BUILD SOURCE
set -eu
build=$1 source=$2
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$build" --prefix "$prefix" >/dev/null
rm "$prefix"/lib/moonwatch/*
mkdir "$prefix/outside"
cp "$source"/backends/sql/*.[ch] "$source"/core/status.c "$source"/core/host_log.c "$prefix/outside"
for folder in sql sqlite; do
  mkdir -p "$prefix/outside/backends/$folder"
  cp "$source/backends/$folder"/*.h "$prefix/outside/backends/$folder"
done
cp "$source"/backends/sqlite/*.[ch] "$prefix/outside/backends/sqlite"
cd "$prefix/outside"
ln -s backends/sql sql
cc -std=gnu11 -D_GNU_SOURCE -shared -fPIC -fvisibility=hidden -Wl,--no-undefined \
  -I "$prefix/include" -I . -I backends ./*.c backends/sqlite/*.c -lsqlite3 -lpthread \
  -o "$prefix/lib/moonwatch/mw_backend_sqlite.so"

export MOONWATCH_BACKENDS="$prefix/lib/moonwatch" MOONWATCH_SOURCE="$source" MOONWATCH_BUILD="$build"
export LUA_PATH="$prefix/share/lua/5.4/?.lua;$prefix/share/lua/5.4/?/init.lua;$source/spec/?.lua;;"
export LUA_CPATH="$prefix/lib/lua/5.4/?.so;;" MOONWATCH_SPEC_BACKEND=sqlite MOONWATCH_LOG=error PATH="$prefix/bin:$PATH"
cd "$source"
for topic in writes txn lock subscription registration; do
  lua5.4 spec/support/busted.lua --helper=spec/support/helper.lua -o TAP "spec/contract/${topic}_spec.lua"
done

# One that wants what the host does not export is refused, and the symbol is named.
cat >"$prefix/outside/needy.c" <<'END'
#include <moonwatch/backend.h>
const mw_backend *mw_backend_plugin(void);
const mw_backend *mw_backend_plugin(void) {
    mw_log(0, MW_LOG_INFO, "needy", "a function of the host's");
    return 0;
}
END
cc -shared -fPIC -I "$prefix/include" "$prefix/outside/needy.c" -o "$prefix/lib/moonwatch/mw_backend_needy.so"
lua5.4 -e 'print(select(2, require "moonwatch".open { backend = "needy" }))' | tee "$prefix/refusal" | sed 's/^/# /'
grep -q '^unsupported: .*mw_backend_needy.so.*undefined symbol: mw_log' "$prefix/refusal"
echo "out of tree: fine"
