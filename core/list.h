/* Intrusive doubly linked list. A link that is zero or freshly removed is in no list. */
#ifndef MW_LIST_H
#define MW_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mw__link {
    struct mw__link *next;
    struct mw__link *prev;
} mw__link;

static inline void mw__list_init(mw__link *head) {
    head->next = head->prev = head;
}

static inline bool mw__list_empty(const mw__link *head) {
    return head->next == head;
}

static inline bool mw__linked(const mw__link *link) {
    return link->next != NULL;
}

static inline void mw__list_insert_after(mw__link *where, mw__link *link) {
    link->prev = where;
    link->next = where->next;
    where->next->prev = link;
    where->next = link;
}

static inline void mw__list_append(mw__link *head, mw__link *link) {
    mw__list_insert_after(head->prev, link);
}

static inline void mw__list_remove(mw__link *link) {
    if (!link->next)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

/* The first link, taken out of the list; NULL when there is none. */
static inline mw__link *mw__list_shift(mw__link *head) {
    mw__link *link = head->next;
    if (link == head)
        return NULL;
    mw__list_remove(link);
    return link;
}

/* Move all of `from` to the end of `to`. */
static inline void mw__list_splice(mw__link *to, mw__link *from) {
    for (mw__link *link; (link = mw__list_shift(from));)
        mw__list_append(to, link);
}

#endif
