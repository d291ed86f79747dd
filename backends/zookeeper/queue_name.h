/* Names of the members of a lock's queue: `_c_<guid>-lock-<seq>`, as Apache Curator writes them. */
#ifndef MW_ZOOKEEPER_QUEUE_NAME_H
#define MW_ZOOKEEPER_QUEUE_NAME_H

#include <moonwatch/types.h>

#define ZK_GUID_SIZE 37 /* 8-4-4-4-12 hexadecimal digits and a NUL */

/* Is it a member's name? `ret_seq` may be NULL. The server prints the sequence as "%010d" of a signed 32 bit number:
 * after 2147483647 comes -2147483648, with its minus sign. */
bool zk_queue_member(mw_str name, int32_t *ret_seq);

/* Serial order: a sequence that has wrapped comes after one that has not. Negative, 0, positive. */
int zk_queue_compare(int32_t a, int32_t b);

/* A version 4 UUID of 16 random bytes. */
void zk_queue_guid(const unsigned char random[16], char ret_guid[ZK_GUID_SIZE]);

/* Does the name carry this guid? */
bool zk_queue_is(mw_str name, const char *guid);

#endif
