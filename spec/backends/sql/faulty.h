/* A driver that wraps another and breaks it on demand: the Nth batch fails in a chosen way. */
#ifndef SPEC_SQL_FAULTY_H
#define SPEC_SQL_FAULTY_H

#include "sql/driver.h"

#include <stdatomic.h>

typedef enum faulty_mode {
    FAULTY_NONE,
    FAULTY_REFUSED,    /* MW_EIO, nothing done */
    FAULTY_NO_MEMORY,  /* MW_ENO_MEMORY, nothing done */
    FAULTY_BUSY,       /* MW_EBUSY, nothing done */
    FAULTY_CUT_BEFORE, /* the connection goes, certainly nothing done */
    FAULTY_LOST,       /* the connection goes, nothing was done, but nobody can know */
    FAULTY_LOST_REPLY, /* it is done, the connection goes, nobody can know */
    FAULTY_LATE        /* the connection goes, and it is done when `faulty_arrive` says so */
} faulty_mode;

/* One per program. */
typedef struct faulty_plan {
    atomic_int mode;
    atomic_int countdown; /* batches until it strikes; 0 = never. Counts writes only when `writes_only` */
    atomic_int again;     /* having struck, once more after so many further batches; 0 = not */
    atomic_bool writes_only;
    atomic_bool down; /* connecting fails */
    atomic_int struck;
    atomic_int wake_fd;  /* what the driver is woken by instead of file events; 0 = those */
    atomic_int hidden;   /* looks for changes that see none, although there are */
    atomic_int looks;    /* looks for changes */
    atomic_bool frozen;  /* the server stands still: a batch waits until it goes on */
    atomic_int stops_at; /* it stands still from the next batch on that begins with this statement; 0 = never */
    atomic_int waits;    /* the connection thread went to sleep, or asked whether it may */
    atomic_bool arrives; /* what was late comes before the next batch */
    bool server_clock;   /* as of a server: its clock is not known to agree with ours. Set before opening */
} faulty_plan;

extern faulty_plan faulty;

void faulty_arm(faulty_mode mode, int countdown, bool writes_only);

/* What was late reaches the server with the next batch, before it. Only small batches can be late. */
void faulty_arrive(void);

/* SQLite behind it; takes the same options. */
const mw_backend *faulty_backend(void);

#endif
