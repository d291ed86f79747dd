#include "list.h"

void zk_list_init(zk_list *list) {
    list->head.prev = list->head.next = &list->head;
    list->count = 0;
}

static void insert(zk_list *list, zk_link *link, zk_link *before) {
    link->prev = before->prev;
    link->next = before;
    link->prev->next = link;
    before->prev = link;
    list->count++;
}

void zk_list_push(zk_list *list, zk_link *link) {
    insert(list, link, &list->head);
}

void zk_list_push_first(zk_list *list, zk_link *link) {
    insert(list, link, list->head.next);
}

void zk_list_remove(zk_list *list, zk_link *link) {
    if (!zk_listed(link))
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = NULL;
    list->count--;
}

zk_link *zk_list_first(const zk_list *list) {
    return list->head.next == &list->head ? NULL : list->head.next;
}

zk_link *zk_list_last(const zk_list *list) {
    return list->head.prev == &list->head ? NULL : list->head.prev;
}

zk_link *zk_list_next(const zk_list *list, const zk_link *link) {
    return link->next == &list->head ? NULL : link->next;
}

zk_link *zk_list_pop(zk_list *list) {
    zk_link *link = zk_list_first(list);
    if (link)
        zk_list_remove(list, link);
    return link;
}

void zk_list_move(zk_list *to, zk_list *from) {
    for (zk_link *link = zk_list_pop(from); link; link = zk_list_pop(from))
        zk_list_push(to, link);
}
