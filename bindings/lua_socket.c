/* `require "moonwatch.socket"` in the executable: lines over a UNIX socket that only its owner can use (mode 0600, and
 * the peer's user is checked). `moonwatch shell --attach` talks to a running engine through it. */
#include "internal.h"
#include "lua_modules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLASS_STREAM "moonwatch.Stream"
#define CLASS_LISTENER "moonwatch.SocketListener"
#define LINE_MAX_BYTES (1024u * 1024u)
#define UNSENT_MAX (16 * LINE_MAX_BYTES)

typedef struct reader reader;
typedef struct drainer drainer;

typedef struct stream {
    mw_lua *lua;
    mw_host *host;
    int fd; /* -1 = closed */
    mw_poll ready;
    char *bytes; /* read and not yet asked for */
    size_t len, room;
    char *unsent; /* from `sent` to `end` */
    size_t sent, end, unsent_room;
    bool ended, broken; /* nothing more comes; nothing more goes */
    reader *reader;
    drainer *drainers;
} stream;

struct reader {
    mw_await await;
    stream *stream;
};

struct drainer {
    mw_await await;
    stream *stream;
    drainer *next;
};

typedef struct listener {
    mw_lua *lua;
    mw_host *host;
    int fd;
    mw_poll incoming;
    int accept; /* reference of the function that is called with each stream */
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
} listener;

static int fill_address(lua_State *L, const char *path, struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) {
        luaL_pushfail(L);
        lua_pushfstring(L, "%s: longer than a socket's name can be", path);
        return 2;
    }
    memcpy(address->sun_path, path, strlen(path) + 1);
    return 0;
}

static int fail(lua_State *L, const char *path, int fd) {
    int reason = errno;
    if (fd >= 0)
        (void)close(fd);
    luaL_pushfail(L);
    lua_pushfstring(L, "%s: %s", path, strerror(reason));
    return 2;
}

/* Root may look into anybody's engine; everybody else only into their own. */
static bool peer_allowed(int fd) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

/* ---- Streams */

static stream *check_stream(lua_State *L, const char *function) {
    return mw__lua_check_self(L, CLASS_STREAM, function);
}

static void wake_drainers(stream *self) {
    drainer *waiting = self->drainers;
    self->drainers = NULL;
    while (waiting) {
        drainer *next = waiting->next;
        mw__lua_await_done(&waiting->await);
        waiting = next;
    }
}

static void wake_reader(stream *self) {
    reader *waiting = self->reader;
    self->reader = NULL;
    if (waiting)
        mw__lua_await_done(&waiting->await);
}

static void shut(stream *self) {
    if (self->fd < 0)
        return;
    mw_poll_stop(self->host, &self->ready);
    (void)close(self->fd);
    self->fd = -1;
    self->ended = true;
    wake_drainers(self);
}

/* For what somebody waits for, or has left to be sent. */
static void listen_on(stream *self) {
    unsigned events = (self->reader ? MW_READABLE : 0) | (self->end > self->sent ? MW_WRITABLE : 0);
    if (self->fd < 0 || events == 0) {
        mw_poll_stop(self->host, &self->ready);
    } else if (mw_poll_start(self->host, &self->ready, self->fd, events) != MW_OK) {
        shut(self);
        wake_reader(self);
    }
}

static bool make_room(stream *self) {
    if (self->room - self->len >= 4096)
        return true;
    size_t room = self->room * 2 + 8192;
    char *bytes = room > 2 * LINE_MAX_BYTES ? NULL : realloc(self->bytes, room);
    if (!bytes)
        return false;
    self->bytes = bytes;
    self->room = room;
    return true;
}

static void receive(stream *self) {
    ssize_t n = make_room(self) ? read(self->fd, self->bytes + self->len, self->room - self->len) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        self->ended = true;
    else
        self->len += (size_t)n;
    if (self->ended || memchr(self->bytes, '\n', self->len))
        wake_reader(self);
}

static void give_up(stream *self) {
    self->broken = true;
    (void)shutdown(self->fd, SHUT_RDWR);
}

/* What the peer takes now. It will not take any more once it has gone: its end is heard by whoever reads. */
static void flush(stream *self) {
    while (self->end > self->sent) {
        ssize_t n = send(self->fd, self->unsent + self->sent, self->end - self->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            give_up(self);
        self->sent = n < 0 ? self->end : self->sent + (size_t)n;
    }
    self->sent = self->end = 0;
    wake_drainers(self);
}

static void on_ready(mw_poll *poll, unsigned events) {
    stream *self = mw_container(poll, stream, ready);
    if (events & MW_WRITABLE)
        flush(self);
    if ((events & MW_READABLE) && self->reader)
        receive(self);
    listen_on(self);
}

/* The next line, or nil at the end. */
static int push_line(lua_State *L, stream *self) {
    char *end = self->len ? memchr(self->bytes, '\n', self->len) : NULL;
    if (!end) {
        luaL_pushfail(L);
        return 1;
    }
    size_t used = (size_t)(end - self->bytes) + 1;
    lua_pushlstring(L, self->bytes, used - 1);
    self->len -= used;
    memmove(self->bytes, self->bytes + used, self->len);
    return 1;
}

static int finish_reader(lua_State *L, mw_await *await) {
    stream *self = ((reader *)await)->stream;
    mw__lua_await_free(await);
    return push_line(L, self);
}

static void drop_reader(mw_await *await) {
    reader *self = (reader *)await;
    if (self->stream->reader == self) {
        self->stream->reader = NULL;
        listen_on(self->stream);
    }
    mw__lua_await_free(await);
}

/* stream:read() -> line | nil. Waits. The stream must be kept while somebody reads. */
static int stream_read(lua_State *L) {
    stream *self = check_stream(L, "read");
    if (self->ended || (self->len && memchr(self->bytes, '\n', self->len)))
        return push_line(L, self);
    if (self->reader)
        return luaL_error(L, "'read': somebody reads already");
    mw__lua_must_be_able_to_wait(L, "read");
    reader *started = mw__lua_await_new(self->lua, sizeof *started, finish_reader, drop_reader);
    if (!started)
        return luaL_error(L, "out of memory");
    started->stream = self;
    self->reader = started;
    listen_on(self);
    return mw__lua_wait(L, mw__lua_process_real(L), &started->await);
}

static bool append(stream *self, const char *bytes, size_t len) {
    if (self->sent > 0)
        memmove(self->unsent, self->unsent + self->sent, self->end - self->sent);
    self->end -= self->sent;
    self->sent = 0;
    if (len > UNSENT_MAX - self->end)
        return false;
    if (len > self->unsent_room - self->end) {
        size_t room = self->unsent_room * 2 > self->end + len ? self->unsent_room * 2 : self->end + len;
        char *longer = realloc(self->unsent, room);
        if (!longer)
            return false;
        self->unsent = longer;
        self->unsent_room = room;
    }
    memcpy(self->unsent + self->end, bytes, len);
    self->end += len;
    return true;
}

/* stream:write(line) -> whether the peer is there, bytes that it has not taken yet. Does not wait, up to a bound: an
 * operator who stops reading must not stop the engine, and loses the stream at last. */
static int stream_write(lua_State *L) {
    stream *self = check_stream(L, "write");
    size_t len = 0;
    const char *text = luaL_checklstring(L, 2, &len);
    bool open = self->fd >= 0 && !self->broken;
    if (open && append(self, text, len) && append(self, "\n", 1))
        flush(self);
    else if (open)
        give_up(self);
    listen_on(self);
    lua_pushboolean(L, open && !self->broken);
    lua_pushinteger(L, (lua_Integer)(self->end - self->sent));
    return 2;
}

static int finish_drainer(lua_State *L, mw_await *await) {
    (void)L;
    mw__lua_await_free(await);
    return 0;
}

static void drop_drainer(mw_await *await) {
    drainer *self = (drainer *)await;
    for (drainer **at = &self->stream->drainers; *at; at = &(*at)->next) {
        if (*at == self) {
            *at = self->next;
            break;
        }
    }
    mw__lua_await_free(await);
}

/* stream:drain(): waits until the peer has taken all, or has gone. The stream must be kept meanwhile. */
static int stream_drain(lua_State *L) {
    stream *self = check_stream(L, "drain");
    if (self->fd < 0 || self->end == self->sent)
        return 0;
    mw__lua_must_be_able_to_wait(L, "drain");
    drainer *started = mw__lua_await_new(self->lua, sizeof *started, finish_drainer, drop_drainer);
    if (!started)
        return luaL_error(L, "out of memory");
    started->stream = self;
    started->next = self->drainers;
    self->drainers = started;
    return mw__lua_wait(L, mw__lua_process_real(L), &started->await);
}

static int stream_close(lua_State *L) {
    stream *self = check_stream(L, "close");
    shut(self);
    if (self->reader)
        wake_reader(self);
    free(self->bytes);
    free(self->unsent);
    self->bytes = self->unsent = NULL;
    self->len = self->room = self->sent = self->end = self->unsent_room = 0;
    return 0;
}

static void push_stream(lua_State *L, int fd) {
    stream *self = lua_newuserdatauv(L, sizeof *self, 0);
    *self = (stream){.fd = fd, .ready = {.ready = on_ready}, .lua = mw__lua_context(L)};
    self->host = mw__lua_process_real(L)->host;
    luaL_setmetatable(L, CLASS_STREAM);
}

/* socket.connect(path) -> stream | nil, why */
static int socket_connect(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct sockaddr_un address;
    int failed = fill_address(L, path, &address);
    if (failed)
        return failed;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return fail(L, path, fd);
    if (!peer_allowed(fd)) {
        errno = EPERM;
        return fail(L, path, fd);
    }
    push_stream(L, fd);
    return 1;
}

/* ---- Listening */

static int served(lua_State *L, int status, lua_KContext context) {
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

/* With a continuation, since whoever serves a stream waits. */
static int push_accepted(lua_State *L) {
    push_stream(L, (int)luaL_checkinteger(L, 2));
    lua_replace(L, 2);
    lua_settop(L, 2);
    lua_callk(L, 1, 0, 0, served);
    return 0;
}

static void on_incoming(mw_poll *poll, unsigned events) {
    listener *self = mw_container(poll, listener, incoming);
    lua_State *L = self->lua->main;
    (void)events;
    int fd = accept4(self->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (!peer_allowed(fd) || !lua_checkstack(L, 4)) {
        (void)close(fd);
        return;
    }
    lua_pushcfunction(L, push_accepted);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, self->accept);
    lua_pushinteger(L, fd);
    if (mw_lua_spawn(L, 2, "attach", NULL, NULL, NULL, NULL) != MW_OK)
        (void)close(fd);
}

static int listener_close(lua_State *L) {
    listener *self = mw__lua_check_self(L, CLASS_LISTENER, "close");
    if (self->fd < 0)
        return 0;
    mw_poll_stop(self->host, &self->incoming);
    (void)close(self->fd);
    (void)unlink(self->path);
    self->fd = -1;
    luaL_unref(L, LUA_REGISTRYINDEX, self->accept);
    return 0;
}

/* A socket file that nobody listens at any more is a leftover of a process that was killed. */
static bool is_leftover(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool refused =
        fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        (void)close(fd);
    return refused;
}

/* socket.listen(path, function(stream)) -> listener | nil, why. The file has mode 0600. */
static int socket_listen(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct sockaddr_un address;
    int failed = fill_address(L, path, &address);
    if (failed)
        return failed;
    if (is_leftover(&address))
        (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177);
    int bound = fd >= 0 ? bind(fd, (struct sockaddr *)&address, sizeof address) : -1;
    (void)umask(before);
    if (bound < 0 || listen(fd, 8) < 0)
        return fail(L, path, fd);
    listener *self = lua_newuserdatauv(L, sizeof *self, 0);
    *self = (listener){.fd = fd, .accept = LUA_NOREF, .incoming = {.ready = on_incoming}, .lua = mw__lua_context(L)};
    self->host = mw__lua_process_real(L)->host;
    memcpy(self->path, address.sun_path, sizeof self->path);
    luaL_setmetatable(L, CLASS_LISTENER);
    lua_pushvalue(L, 2);
    self->accept = luaL_ref(L, LUA_REGISTRYINDEX);
    if (mw_poll_start(self->host, &self->incoming, fd, MW_READABLE) != MW_OK)
        return luaL_error(L, "out of memory");
    return 1;
}

static void make_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction close) {
    if (luaL_newmetatable(L, name)) {
        lua_pushcfunction(L, close);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, close);
        lua_setfield(L, -2, "__close");
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
}

/* socket.user() -> the user's number */
static int socket_user(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)geteuid());
    return 1;
}

int luaopen_moonwatch_socket(lua_State *L) {
    static const luaL_Reg of_stream[] = {
        {"read", stream_read}, {"write", stream_write}, {"drain", stream_drain}, {"close", stream_close}, {NULL, NULL}};
    static const luaL_Reg of_listener[] = {{"close", listener_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"connect", socket_connect}, {"listen", socket_listen}, {"user", socket_user}, {NULL, NULL}};
    make_class(L, CLASS_STREAM, of_stream, stream_close);
    make_class(L, CLASS_LISTENER, of_listener, listener_close);
    luaL_newlib(L, functions);
    return 1;
}
