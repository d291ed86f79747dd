/* An intrusive list: no allocation, removal in one step. */
#ifndef MW_ZOOKEEPER_LIST_H
#define MW_ZOOKEEPER_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct zk_link zk_link;
struct zk_link {
    zk_link *prev, *next; /* NULL = in no list */
};

typedef struct zk_list {
    zk_link head;
    size_t count;
} zk_list;

void zk_list_init(zk_list *list);
void zk_list_push(zk_list *list, zk_link *link); /* at the end */
void zk_list_push_first(zk_list *list, zk_link *link);
void zk_list_remove(zk_list *list, zk_link *link);
zk_link *zk_list_first(const zk_list *list);
zk_link *zk_list_last(const zk_list *list);
zk_link *zk_list_next(const zk_list *list, const zk_link *link);
zk_link *zk_list_pop(zk_list *list);
void zk_list_move(zk_list *to, zk_list *from); /* all of `from`, behind what `to` holds */

static inline bool zk_listed(const zk_link *link) {
    return link->next != NULL;
}

#endif
