/* Answers that are to be lost, and a request that is to be held back. */
#include "support/tcp_losses.h"

#include <string.h>

#define HEAD 12 /* length, xid, and the opcode or the half of a zxid */

/* ---- ZooKeeper frames: is this reply the one to drop, this request the one to hold back? */

static uint32_t word(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool to_drop(const losses *l, int op) {
    return l->op == 0 || op == l->op || (l->op_too != 0 && op == l->op_too);
}

/* A frame's head is complete. The first frame of each direction is the handshake. */
static void frame_begins(talk *t, losses *l, bool down) {
    frames *f = down ? &t->down : &t->up;
    int32_t xid = (int32_t)word(f->head + 4);
    int32_t second = (int32_t)word(f->head + 8);
    if (!f->greeted) {
        f->greeted = true;
        if (down)
            memcpy(l->session, f->head, ZOOKEEPER_GREETING);
    } else if (!down && xid > 0) {
        t->ops[xid % ZOOKEEPER_ASKED] = (int8_t)second;
        t->holds = t->holds || (l->hold_in > 0 && second == l->hold_op && --l->hold_in == 0);
    } else if (down && xid > 0 && l->in > 0 && to_drop(l, t->ops[xid % ZOOKEEPER_ASKED])) {
        t->dropping = --l->in == 0;
    }
}

/* Follow the frames; true when the reply to drop begins or goes on in these bytes. */
static bool follow(talk *t, losses *l, bool down, const char *data, size_t len) {
    frames *f = down ? &t->down : &t->up;
    size_t begin = 0;
    for (size_t i = 0; i < len && !t->dropping;) {
        bool held = t->holds;
        if (f->left > 0) {
            size_t skip = f->left < len - i ? f->left : len - i;
            f->left -= skip;
            i += skip;
            continue;
        }
        begin = f->head_len == 0 ? i : begin;
        f->head[f->head_len++] = (unsigned char)data[i++];
        if (f->head_len < 4)
            continue;
        size_t body = word(f->head), wanted = f->greeted ? HEAD : ZOOKEEPER_GREETING;
        if (f->head_len < wanted && f->head_len < 4 + body)
            continue;
        if (f->head_len == wanted)
            frame_begins(t, l, down);
        if (t->holds && !held)
            t->hold_at = begin;
        f->left = 4 + body - f->head_len;
        f->head_len = 0;
    }
    return t->dropping;
}

/* ---- MySQL packets: is this the answer to drop? */

static bool mentions(const char *data, size_t len, const char *texts) {
    for (size_t text_len; *texts; texts += text_len + (texts[text_len] == '|')) {
        text_len = strcspn(texts, "|");
        for (size_t at = 0; text_len && at + text_len <= len; at++)
            if (memcmp(data + at, texts, text_len) == 0)
                return true;
    }
    return false;
}

/* How many bytes a length-encoded integer takes. */
static size_t integer_size(unsigned char first) {
    return first < 0xFB ? 1 : first == 0xFC ? 3 : first == 0xFD ? 4 : 9;
}

/* The status of an OK packet: behind its mark, the rows affected and the last id. */
static unsigned ok_status(const unsigned char *body, size_t len) {
    size_t at = 1 + integer_size(body[1]);
    at += at < len ? integer_size(body[at]) : 0;
    return at + 2 <= len ? body[at] | (unsigned)body[at + 1] << 8 : 0;
}

/* Do these bytes end with an OK that no further result follows, or with an error? A batch goes on behind any other. */
static bool ends_answer(const unsigned char *data, size_t len) {
    enum { HEADER = 4, SHORTEST = 7, LONGEST = 600, ERROR = 0xFF, MORE_RESULTS = 8 };
    for (size_t body = SHORTEST; body <= LONGEST && body + HEADER <= len; body++) {
        const unsigned char *packet = data + len - body - HEADER;
        if ((packet[0] | (size_t)packet[1] << 8) != body || packet[2])
            continue;
        if (packet[HEADER] == ERROR)
            return true;
        if (packet[HEADER] == 0)
            return !(ok_status(packet + HEADER, body) & MORE_RESULTS);
    }
    return false;
}

/* True when these bytes are the end of the answer that is dropped. */
static bool mute(talk *t, losses *l, bool down, const char *data, size_t len) {
    if (down)
        return t->muted && ends_answer((const unsigned char *)data, len);
    if (mentions(data, len, l->texts)) {
        l->texts[0] = '\0';
        t->muted = true;
    }
    return false;
}

passage talk_hears(talk *t, losses *l, bool down, const char *data, size_t len) {
    if (follow(t, l, down, data, len) || mute(t, l, down, data, len))
        return CUT;
    return down && t->muted ? SWALLOW : PASS;
}
