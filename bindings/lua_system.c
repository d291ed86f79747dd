/* moonwatch.system: what this machine and process are, and what they bear. Nothing here waits.
 *
 * A file under /proc or a call that fails gives nil, err: a container may hide any of them.
 */
#include "lua_modules.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <uv.h>

#define LOCKED_FILE "moonwatch.system.file"

static int fail_uv(lua_State *L, const char *what, int status) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", what, uv_strerror(status));
    return 2;
}

static int fail_errno(lua_State *L, const char *what) {
    return fail_uv(L, what, uv_translate_sys_error(errno));
}

/* system.interfaces() -> { {name="eth0", mac="02:42:ac:11:00:02", address="172.17.0.2", internal=false}, ... } */
static int system_interfaces(lua_State *L) {
    uv_interface_address_t *list;
    int count;
    int status = uv_interface_addresses(&list, &count);
    if (status < 0)
        return fail_uv(L, "interfaces", status);
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        const unsigned char *mac = (const unsigned char *)list[i].phys_addr;
        char text[64];
        if (list[i].address.address4.sin_family == AF_INET)
            uv_ip4_name(&list[i].address.address4, text, sizeof text);
        else
            uv_ip6_name(&list[i].address.address6, text, sizeof text);
        lua_createtable(L, 0, 4);
        lua_pushstring(L, list[i].name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, text);
        lua_setfield(L, -2, "address");
        lua_pushboolean(L, list[i].is_internal);
        lua_setfield(L, -2, "internal");
        snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
        lua_pushstring(L, text);
        lua_setfield(L, -2, "mac");
        lua_rawseti(L, -2, i + 1);
    }
    uv_free_interface_addresses(list, count);
    return 1;
}

/* system.cpu_times() -> busy, total: jiffies since boot of all processors together. Load is the share between two
 * calls: one number of a machine says nothing. */
static int system_cpu_times(lua_State *L) {
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return fail_errno(L, "/proc/stat");
    unsigned long long user, nice, kernel, idle, wait = 0, irq = 0, soft = 0, steal = 0;
    int fields = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &kernel, &idle, &wait, &irq,
                        &soft, &steal);
    fclose(file);
    if (fields < 4)
        return fail_uv(L, "/proc/stat", UV_EINVAL);
    unsigned long long busy = user + nice + kernel + irq + soft + steal;
    lua_pushnumber(L, (lua_Number)busy);
    lua_pushnumber(L, (lua_Number)(busy + idle + wait));
    return 2;
}

static bool memory_available(unsigned long long *ret_bytes) {
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        found = sscanf(line, "MemAvailable: %llu kB", ret_bytes) == 1;
    if (file)
        fclose(file);
    *ret_bytes *= 1024;
    return found;
}

/* system.memory() -> used share, total bytes; a container's limit counts where it is lower than the machine. */
static int system_memory(lua_State *L) {
    unsigned long long total = uv_get_total_memory(), limit = uv_get_constrained_memory(), available = 0;
    if (total == 0 || !memory_available(&available))
        return fail_uv(L, "/proc/meminfo", UV_ENOENT);
    unsigned long long used = available < total ? total - available : 0;
    if (limit > 0 && limit < total)
        total = limit;
    lua_pushnumber(L, used < total ? (lua_Number)used / (lua_Number)total : 1.0);
    lua_pushinteger(L, (lua_Integer)total);
    return 2;
}

/* system.disk(path) -> used share, total bytes, as `df` counts. */
static int system_disk(lua_State *L) {
    const char *path = luaL_optstring(L, 1, "/");
    struct statvfs info;
    if (statvfs(path, &info) < 0)
        return fail_errno(L, path);
    lua_Number used = (lua_Number)(info.f_blocks - info.f_bfree), usable = used + (lua_Number)info.f_bavail;
    lua_pushnumber(L, usable > 0 ? used / usable : 0);
    lua_pushnumber(L, (lua_Number)info.f_blocks * (lua_Number)info.f_frsize);
    return 2;
}

/* system.load_average() -> of 1, 5 and 15 minutes */
static int system_load_average(lua_State *L) {
    double average[3];
    uv_loadavg(average);
    for (int i = 0; i < 3; i++)
        lua_pushnumber(L, average[i]);
    return 3;
}

static int system_hostname(lua_State *L) {
    char name[UV_MAXHOSTNAMESIZE];
    size_t size = sizeof name;
    int status = uv_os_gethostname(name, &size);
    if (status < 0)
        return fail_uv(L, "hostname", status);
    lua_pushlstring(L, name, size);
    return 1;
}

static int system_processors(lua_State *L) {
    lua_pushinteger(L, uv_available_parallelism());
    return 1;
}

static int system_pid(lua_State *L) {
    lua_pushinteger(L, uv_os_getpid());
    return 1;
}

/* system.started() -> when this process started, seconds since 1970: field 22 of /proc/self/stat, ticks after boot. */
static int system_started(lua_State *L) {
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return fail_errno(L, "/proc/self/stat");
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *after_name = strrchr(text, ')'); /* the name may hold spaces and parentheses */
    unsigned long long ticks;
    if (!after_name ||
        sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &ticks) != 1)
        return fail_uv(L, "/proc/self/stat", UV_EINVAL);
    struct timespec boot, wall;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &wall);
    double up = (double)boot.tv_sec + (double)boot.tv_nsec / 1e9 - (double)ticks / (double)sysconf(_SC_CLK_TCK);
    lua_pushnumber(L, (lua_Number)wall.tv_sec + (lua_Number)wall.tv_nsec / 1e9 - up);
    return 1;
}

/* system.time() -> seconds since 1970 on this machine's clock, with fractions */
static int system_time(lua_State *L) {
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    lua_pushnumber(L, (lua_Number)wall.tv_sec + (lua_Number)wall.tv_nsec / 1e9);
    return 1;
}

/* system.resident() -> bytes of memory of this process */
static int system_resident(lua_State *L) {
    size_t bytes;
    int status = uv_resident_set_memory(&bytes);
    if (status < 0)
        return fail_uv(L, "resident memory", status);
    lua_pushinteger(L, (lua_Integer)bytes);
    return 1;
}

/* system.random(n) -> n unpredictable bytes */
static int system_random(lua_State *L) {
    char bytes[256];
    lua_Integer count = luaL_checkinteger(L, 1);
    luaL_argcheck(L, count >= 1 && count <= (lua_Integer)sizeof bytes, 1, "from 1 to 256 bytes");
    int status = uv_random(NULL, NULL, bytes, (size_t)count, 0, NULL);
    if (status < 0)
        return fail_uv(L, "random", status);
    lua_pushlstring(L, bytes, (size_t)count);
    return 1;
}

/* ---- A file that one process holds */

struct locked_file {
    int fd;
};

static struct locked_file *check_file(lua_State *L) {
    struct locked_file *file = luaL_checkudata(L, 1, LOCKED_FILE);
    luaL_argcheck(L, file->fd >= 0, 1, "the file is closed");
    return file;
}

/* 0600, ours, a plain file with one name: whoever can read it can end our sessions. */
static const char *file_trouble(int fd) {
    struct stat info;
    if (fstat(fd, &info) < 0)
        return strerror(errno);
    if (!S_ISREG(info.st_mode) || info.st_nlink != 1)
        return "not a plain file";
    if (info.st_uid != geteuid())
        return "it belongs to another user";
    if (info.st_mode & 077)
        return "others may read it; chmod 600";
    return NULL;
}

/* system.lock_file(path) -> file; or nil, err, and true when another process holds it */
static int system_lock_file(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct locked_file *file = lua_newuserdatauv(L, sizeof *file, 0);
    file->fd = -1;
    luaL_setmetatable(L, LOCKED_FILE);
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->fd < 0)
        return fail_errno(L, path);
    const char *trouble = file_trouble(file->fd);
    if (!trouble && flock(file->fd, LOCK_EX | LOCK_NB) == 0)
        return 1;
    bool held = !trouble && errno == EWOULDBLOCK;
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, trouble ? trouble : held ? "another process holds it" : strerror(errno));
    lua_pushboolean(L, held);
    close(file->fd);
    file->fd = -1;
    return 3;
}

static int file_read(lua_State *L) {
    struct locked_file *file = check_file(L);
    char bytes[4096];
    ssize_t len = pread(file->fd, bytes, sizeof bytes, 0);
    if (len < 0)
        return fail_errno(L, "read");
    lua_pushlstring(L, bytes, (size_t)len);
    return 1;
}

static int file_write(lua_State *L) {
    struct locked_file *file = check_file(L);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, len <= 4096, 2, "at most 4,096 bytes");
    if (pwrite(file->fd, bytes, len, 0) != (ssize_t)len || ftruncate(file->fd, (off_t)len) < 0)
        return fail_errno(L, "write");
    lua_pushboolean(L, true);
    return 1;
}

static int file_close(lua_State *L) {
    struct locked_file *file = luaL_checkudata(L, 1, LOCKED_FILE);
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    return 0;
}

/* ---- The module */

static const luaL_Reg functions[] = {{"interfaces", system_interfaces},
                                     {"cpu_times", system_cpu_times},
                                     {"memory", system_memory},
                                     {"disk", system_disk},
                                     {"load_average", system_load_average},
                                     {"hostname", system_hostname},
                                     {"processors", system_processors},
                                     {"pid", system_pid},
                                     {"started", system_started},
                                     {"time", system_time},
                                     {"resident", system_resident},
                                     {"random", system_random},
                                     {"lock_file", system_lock_file},
                                     {NULL, NULL}};

static const luaL_Reg file_methods[] = {{"read", file_read},  {"write", file_write},   {"close", file_close},
                                        {"__gc", file_close}, {"__close", file_close}, {NULL, NULL}};

int luaopen_moonwatch_system(lua_State *L) {
    luaL_newmetatable(L, LOCKED_FILE);
    luaL_setfuncs(L, file_methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
