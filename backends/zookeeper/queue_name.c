#include "queue_name.h"

#include <ctype.h>
#include <stdio.h>

#define PREFIX "_c_"
#define MARK "-lock-"

/* The digits after MARK: at least ten, or a minus sign and ten. False when it is anything else. */
static bool parse_sequence(const char *text, size_t len, int32_t *ret_seq) {
    bool negative = len > 0 && text[0] == '-';
    size_t digits = len - negative;
    if (digits != 10)
        return false;
    int64_t value = 0;
    for (size_t i = negative; i < len; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        value = value * 10 + (text[i] - '0');
    }
    value = negative ? -value : value;
    if (value > INT32_MAX || value < INT32_MIN)
        return false;
    if (ret_seq)
        *ret_seq = (int32_t)value;
    return true;
}

bool zk_queue_member(mw_str name, int32_t *ret_seq) {
    size_t prefix = strlen(PREFIX), guid = ZK_GUID_SIZE - 1, mark = strlen(MARK);
    size_t start = prefix + guid + mark;
    if (name.len < start + 10 || memcmp(name.data, PREFIX, prefix) != 0)
        return false;
    if (memcmp(name.data + prefix + guid, MARK, mark) != 0)
        return false;
    for (size_t i = 0; i < guid; i++)
        if (!isxdigit((unsigned char)name.data[prefix + i]) && name.data[prefix + i] != '-')
            return false;
    return parse_sequence(name.data + start, name.len - start, ret_seq);
}

int zk_queue_compare(int32_t a, int32_t b) {
    int32_t distance = (int32_t)((uint32_t)a - (uint32_t)b);
    return (distance > 0) - (distance < 0);
}

void zk_queue_guid(const unsigned char random[16], char ret_guid[ZK_GUID_SIZE]) {
    unsigned char b[16];
    memcpy(b, random, sizeof b);
    b[6] = (b[6] & 0x0F) | 0x40;
    b[8] = (b[8] & 0x3F) | 0x80;
    (void)snprintf(ret_guid, ZK_GUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

bool zk_queue_is(mw_str name, const char *guid) {
    size_t prefix = strlen(PREFIX);
    return name.len > prefix + ZK_GUID_SIZE && memcmp(name.data + prefix, guid, ZK_GUID_SIZE - 1) == 0;
}
