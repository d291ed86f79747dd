/* The SQL of the registry. Fragments in braces are the dialect's (driver.h). */
#include "catalog.h"

/* Pieces that recur. A session is alive while its row says so (what its clock says is only the reaper's business), in a
 * registry that has not gone behind what its owner saw: a copy that was restored knows sessions too. */
#define REVISION "(SELECT revision FROM mw_meta WHERE id = 1)"
#define LIVE(seen) "id = ?1 AND ended = 0 AND boot = {boot} AND " REVISION " >= " seen
#define IF_LIVE "EXISTS (SELECT 1 FROM mw_sessions WHERE " LIVE("?5") " AND txn <= ?6 {share})"
#define IF_ENDING "EXISTS (SELECT 1 FROM mw_sessions WHERE id = ?1 AND ended = 2)"
#define IF_RAISED "EXISTS (SELECT 1 FROM mw_meta WHERE id = 1 AND identity = ?2)"
#define IF_GRANTED_TXN "(SELECT verdict FROM mw_sessions WHERE id = ?1 AND txn = ?2) = 0"
#define CHANGE_COLUMNS "mw_changes (revision, kind, path, step, version, created, owner, value)"
#define ENTRY_COLUMNS "path, value, version, revision, created, owner, ctime, mtime"
#define ENTRY_INSERT "INSERT INTO mw_entries (path, parent, value, version, revision, created, owner, ctime, mtime) "

/* clang-format off */
/* The first in the queue takes over, or nobody. MySQL assigns from left to right: `waiters` comes last. Whoever joined
 * while this statement waited for the lock's row must be seen: a locking read. */
#define NEXT(column, otherwise) \
    "COALESCE((SELECT w." column " FROM mw_lock_waiters w WHERE w.path = mw_locks.path ORDER BY w.seq LIMIT 1 {share}), " \
    otherwise ")"
#define HANDOVER \
    "token = CASE WHEN waiters > 0 THEN token + 1 ELSE token END, " \
    "holder = " NEXT("session", "0") ", " \
    "handle = " NEXT("handle", "0") ", " \
    "value = " NEXT("value", "x''") ", " \
    "since = {wall}, " \
    "waiters = CASE WHEN waiters > 0 THEN waiters - 1 ELSE 0 END"
#define JOINS "handle <> ?3 AND NOT EXISTS (SELECT 1 FROM mw_lock_waiters w WHERE w.handle = ?3) AND " IF_LIVE

/* Verdict of one step; numbers as in statements.h. */
#define REFUSE(code) "s.n * 16 + " code
#define PARENT_VERDICT \
    "CASE WHEN s.parent IS NULL THEN 0 ELSE COALESCE((" \
        "SELECT CASE WHEN p.owner = 0 THEN 0 ELSE " REFUSE("5") " END FROM mw_entries p WHERE p.path = s.parent" \
    "), 1099511627776 + s.n) END"
#define STEP_VERDICT \
    "CASE s.kind " \
    "WHEN 8 THEN " REFUSE("s.version") " " \
    "WHEN 3 THEN CASE WHEN EXISTS (SELECT 1 FROM mw_locks l WHERE l.path = s.path AND l.holder = ?1 " \
        "AND l.token = s.version {share}) THEN 0 ELSE " REFUSE("6") " END " \
    "WHEN 2 THEN CASE WHEN e.path IS NULL THEN 0 ELSE " REFUSE("2") " END " \
    "WHEN 4 THEN CASE WHEN e.path IS NOT NULL THEN " REFUSE("2") " ELSE " PARENT_VERDICT " END " \
    "WHEN 5 THEN CASE WHEN e.path IS NULL THEN " PARENT_VERDICT " WHEN e.owner = s.owner THEN 0 " \
        "ELSE " REFUSE("3") " END " \
    "ELSE CASE WHEN e.path IS NULL THEN " REFUSE("1") " " \
        "WHEN s.version >= 0 AND e.version <> s.version THEN " REFUSE("3") " " \
        "WHEN s.kind = 7 AND (SELECT COUNT(*) FROM mw_entries c WHERE c.parent = s.path) > s.extra " \
        "THEN " REFUSE("4") " ELSE 0 END END"

/* Beyond every token that was ever given: beyond ?4, the best that one client knows of, and, for locks that it knows
 * nothing of, beyond the milliseconds since 1970: no lock has been taken a thousand times a second since then. */
#define RAISED(token) "1000000 + CASE WHEN " token " < {wall} AND ?4 < {wall} THEN {wall} " \
    "WHEN " token " < ?4 THEN ?4 ELSE " token " END"

const mw__sql_template mw__sql_templates[MW__SQL_STATEMENT_COUNT] = {
    /* ---- meta ---- */
    [MW__SQL_META] = {"SELECT revision, floor, identity FROM mw_meta WHERE id = 1", ""},
    [MW__SQL_META_INIT] = {"{ignore} mw_meta (id, identity, revision, floor, lock_floor, epoch) "
        "SELECT 1, ?1, 0, 0, 0, 0 UNION ALL SELECT 2, ?1, 0, 0, 0, 0", ""},
    /* First in each txn that writes: it serialises the writers, so commit order is revision order. */
    [MW__SQL_BUMP] = {"UPDATE mw_meta SET revision = revision + 1 WHERE id = 1", ""},

    /* ---- sessions ---- */
    [MW__SQL_SESSION_OPEN] = {"INSERT INTO mw_sessions "
        "(id, secret, name, opened, expires, timeout, boot, ended, txn, verdict, txn_revision) "
        "SELECT ?1, ?2, ?3, {wall}, {now} + ?4, ?4, {boot}, 0, 0, 0, 0 FROM mw_meta WHERE id = 1 AND identity = ?5 "
        "{share}", ""},
    [MW__SQL_SESSION_RENEW] = {"UPDATE mw_sessions SET expires = {now} + timeout{beat} WHERE " LIVE("?2"), ""},
    [MW__SQL_SESSION_EXPIRED] = {"SELECT id, expires, timeout, ended FROM mw_sessions WHERE expires <= {now} "
        "ORDER BY expires LIMIT 16", ""},
    /* The three in one, for those who ask a server. */
    [MW__SQL_SESSION_LOOK] = {"SELECT s.id, s.expires, s.timeout, s.ended, {now}, (SELECT MIN(expires) FROM mw_sessions) "
        "FROM (SELECT 1 AS one) o LEFT JOIN mw_sessions s ON s.expires <= {now} ORDER BY s.expires LIMIT 16", ""},
    [MW__SQL_SESSION_BOOT] = {"SELECT id, expires, timeout, 1 FROM mw_sessions WHERE boot <> {boot} LIMIT 16", ""},
    [MW__SQL_SESSION_NEXT] = {"SELECT (SELECT MIN(expires) FROM mw_sessions), {now}", ""},
    [MW__SQL_SESSION_SECRET] = {"SELECT secret FROM mw_sessions WHERE id = ?1", ""},
    [MW__SQL_SESSION_LIST] = {"SELECT id, name, opened, {wall} + expires - {now} FROM mw_sessions "
        "WHERE ended = 0 AND boot = {boot} AND expires > {now} ORDER BY id", ""},

    /* ---- the end of a session: what it owned goes in one txn ---- */
    [MW__SQL_END_OWN] = {"UPDATE mw_sessions SET ended = 2 WHERE id = ?1 AND secret = ?2", ""},
    [MW__SQL_END_EXPIRED] = {"UPDATE mw_sessions SET ended = 2 WHERE id = ?1 AND expires = ?2 "
        "AND (expires <= {now} OR boot <> {boot})", ""},
    [MW__SQL_END_VERDICT] = {"SELECT CASE WHEN " IF_ENDING " THEN 0 ELSE 1 END", ""},
    [MW__SQL_END_CHANGES] = {"INSERT INTO " CHANGE_COLUMNS " SELECT " REVISION
        ", 2, e.path, 0, e.version, e.created, e.owner, e.value FROM mw_entries e WHERE e.owner = ?1 AND " IF_ENDING, ""},
    [MW__SQL_END_ENTRIES] = {"DELETE FROM mw_entries WHERE owner = ?1 AND " IF_ENDING, ""},
    [MW__SQL_END_WAIT_COUNT] = {"UPDATE mw_locks{joinable} SET waiters = waiters - (SELECT COUNT(*) FROM "
        "mw_lock_waiters w WHERE w.path = mw_locks.path AND w.session = ?1) "
        "WHERE path IN (SELECT w.path FROM mw_lock_waiters w WHERE w.session = ?1) AND " IF_ENDING, ""},
    [MW__SQL_END_WAIT] = {"DELETE FROM mw_lock_waiters WHERE session = ?1 AND " IF_ENDING, ""},
    [MW__SQL_END_HOLD_CHANGES] = {"INSERT INTO " CHANGE_COLUMNS " SELECT " REVISION
        ", 3, l.path, 0, 0, 0, 0, NULL FROM mw_locks l WHERE l.holder = ?1 AND " IF_ENDING, ""},
    [MW__SQL_END_HANDOVER] = {"UPDATE mw_locks SET " HANDOVER " WHERE holder = ?1 AND " IF_ENDING, ""},
    [MW__SQL_END_TAKEN] = {"DELETE {from:mw_lock_waiters} WHERE handle IN (SELECT l.handle FROM mw_changes c "
        "JOIN mw_locks l ON l.path = c.path WHERE c.revision = " REVISION " AND c.kind = 3) AND " IF_ENDING, ""},
    [MW__SQL_END_SESSION] = {"DELETE FROM mw_sessions WHERE id = ?1 AND ended = 2", ""},

    /* ---- a registry that went backwards. Its entries count as changed, so that whoever saw newer ones takes them ---- */
    [MW__SQL_RAISE_META] = {"UPDATE mw_meta SET identity = ?2, "
        "revision = CASE WHEN revision < ?3 THEN ?3 ELSE revision END + 1000000, "
        "lock_floor = " RAISED("lock_floor") ", epoch = epoch + 1 WHERE identity = ?1", ""},
    [MW__SQL_RAISE_VERDICT] = {"SELECT CASE WHEN " IF_RAISED " THEN 0 ELSE 1 END", ""},
    [MW__SQL_RAISE_LOCKS] = {"UPDATE mw_locks SET token = " RAISED("token") " WHERE " IF_RAISED, ""},
    [MW__SQL_RAISE_ENTRIES] = {"UPDATE mw_entries SET revision = " REVISION " WHERE " IF_RAISED, ""},
    [MW__SQL_RAISE_SESSIONS] = {"UPDATE mw_sessions SET ended = 1, expires = 0 WHERE " IF_RAISED, ""},

    /* ---- a txn: ?1 = session, ?2 = its number in the session, ?3 = the highest revision that its owner saw ---- */
    [MW__SQL_TXN_MARK] = {"UPDATE mw_sessions SET txn = ?2, verdict = 0, txn_revision = " REVISION " WHERE "
        LIVE("?3 + 1") " AND txn < ?2", ""},
    [MW__SQL_TXN_CHECK] = {"UPDATE mw_sessions SET verdict = COALESCE((SELECT MIN(x.code) FROM (SELECT " STEP_VERDICT
        " AS code FROM {rows} s LEFT JOIN mw_entries e ON e.path = s.path) x "
        "WHERE x.code > 0 AND (mw_sessions.verdict = 0 OR x.code < mw_sessions.verdict)), verdict) "
        "WHERE id = ?1 AND txn = ?2 AND verdict >= 0", "n kind path parent version owner extra"},
    [MW__SQL_TXN_VERDICT] = {"SELECT verdict, " REVISION " FROM mw_sessions WHERE id = ?1 AND txn = ?2", ""},
    [MW__SQL_TXN_PUT] = {ENTRY_INSERT "SELECT s.path, s.parent, s.value, 0, " REVISION ", " REVISION
        ", s.owner, {wall}, {wall} FROM {rows} s WHERE " IF_GRANTED_TXN
        " {upsert} version = mw_entries.version + 1, value = {new:value}, revision = {new:revision}, mtime = {new:mtime}",
        "path parent value owner"},
    [MW__SQL_TXN_CHANGED] = {"INSERT INTO " CHANGE_COLUMNS " SELECT " REVISION
        ", 1, e.path, s.n, e.version, e.created, e.owner, NULL FROM {rows} s JOIN mw_entries e ON e.path = s.path "
        "WHERE " IF_GRANTED_TXN, "n path"},
    [MW__SQL_TXN_REMOVED] = {"INSERT INTO " CHANGE_COLUMNS " SELECT " REVISION
        ", 2, e.path, s.n, e.version, e.created, e.owner, e.value FROM {rows} s JOIN mw_entries e ON e.path = s.path "
        "WHERE " IF_GRANTED_TXN, "n path"},
    [MW__SQL_TXN_DELETE] = {"DELETE {of_rows:mw_entries} AND " IF_GRANTED_TXN,
        "path"},
    [MW__SQL_TXN_RESULTS] = {"SELECT step, version, created, owner FROM mw_changes WHERE revision = " REVISION
        " AND kind = 1 AND " IF_GRANTED_TXN, ""},
    /* After a lost reply: forbid the txn if it has not happened, then read what became of it. */
    [MW__SQL_TXN_FENCE] = {"UPDATE mw_sessions SET txn = ?2, verdict = -1 WHERE " LIVE("?3") " AND txn < ?2", ""},
    [MW__SQL_TXN_MARKER] = {"SELECT verdict, txn_revision FROM mw_sessions WHERE " LIVE("?3") " AND txn = ?2", ""},
    [MW__SQL_TXN_PAST_RESULTS] = {"SELECT step, version, created, owner FROM mw_changes "
        "WHERE revision = ?1 AND kind = 1", ""},
    /* ?1 = path, ?2 = its parent, ?3 = 1 when that is the root */
    [MW__SQL_PARENT_CHANGE] = {"INSERT INTO " CHANGE_COLUMNS " SELECT revision, 1, ?1, 0, 0, revision, 0, NULL "
        "FROM mw_meta WHERE id = 1 AND NOT EXISTS (SELECT 1 FROM mw_entries WHERE path = ?1) "
        "AND (?3 = 1 OR EXISTS (SELECT 1 FROM mw_entries WHERE path = ?2 AND owner = 0))", ""},
    [MW__SQL_PARENT] = {ENTRY_INSERT "SELECT ?1, ?2, x'', 0, revision, revision, 0, {wall}, {wall} "
        "FROM mw_meta WHERE id = 1 AND NOT EXISTS (SELECT 1 FROM mw_entries WHERE path = ?1) "
        "AND (?3 = 1 OR EXISTS (SELECT 1 FROM mw_entries WHERE path = ?2 AND owner = 0))", ""},

    /* ---- reads ---- */
    [MW__SQL_READ_GET] = {"SELECT " ENTRY_COLUMNS " FROM mw_entries WHERE path = ?1", ""},
    [MW__SQL_READ_STAT] = {"SELECT path, x'', version, revision, created, owner, ctime, mtime FROM mw_entries "
        "WHERE path = ?1", ""},
    [MW__SQL_READ_EXISTS] = {"SELECT 1 FROM mw_entries WHERE path = ?1", ""},
    [MW__SQL_READ_NAMES] = {"SELECT path FROM mw_entries WHERE parent = ?1", ""},
    [MW__SQL_READ_CHILDREN] = {"SELECT " ENTRY_COLUMNS " FROM mw_entries WHERE parent = ?1", ""},
    [MW__SQL_READ_LIST] = {"SELECT " ENTRY_COLUMNS " FROM mw_entries WHERE path > ?1 AND path < ?2", ""},
    [MW__SQL_READ_QUEUES] = {"SELECT path, 0, holder, token, value, since FROM mw_locks "
        "WHERE holder <> 0 AND (path = ?1 OR (path > ?2 AND path < ?3)) "
        "UNION ALL SELECT path, seq, session, 0, value, since FROM mw_lock_waiters "
        "WHERE path = ?1 OR (path > ?2 AND path < ?3) ORDER BY 1, 2", ""},

    /* ---- the change log: the registry's row, and beside it each change with what is there now (of a lock that changed
     * hands, our session, ?2, too). Without a new change that is one read by primary key; ORDER BY would cost MySQL a
     * temporary table each time. ---- */
    [MW__SQL_CHANGES] = {"SELECT m.revision, m.floor, m.identity, c.revision, c.kind, c.path, e.value, e.version, "
        "e.revision, e.created, e.owner, e.ctime, e.mtime, l.handle, l.token, s.ended FROM mw_meta m "
        "LEFT JOIN mw_changes c ON c.revision > ?1 "
        "LEFT JOIN mw_entries e ON c.kind < 3 AND e.path = c.path AND e.revision <= c.revision "
        "LEFT JOIN mw_locks l ON c.kind = 3 AND l.path = c.path "
        "LEFT JOIN mw_sessions s ON c.kind = 3 AND s.id = ?2 "
        "WHERE m.id = 1", ""},
    [MW__SQL_COMPACT_STEP] = {"SELECT revision FROM mw_changes ORDER BY revision LIMIT 1 OFFSET ?1", ""},
    [MW__SQL_COMPACT_FLOOR] = {"UPDATE mw_meta SET floor = ?1 WHERE id = 1 AND floor < ?1", ""},
    [MW__SQL_COMPACT] = {"DELETE FROM mw_changes WHERE revision <= ?1", ""},

    /* ---- locks: ?1 = session, ?2 = path, ?3 = handle of the ticket, ?4 = value, ?5 = the highest revision seen,
     * ?6 = the session's txn: a later fence forbids an attempt that is still on its way ---- */
    [MW__SQL_LOCK_TAKE] = {"INSERT INTO mw_locks (path, token, holder, handle, waiters, value, since) "
        "SELECT ?2, {first_token}, ?1, ?3, 0, ?4, {wall} FROM mw_meta WHERE mw_meta.id = 2 AND " IF_LIVE " {share} {take}",
        ""},
    [MW__SQL_LOCK_ALIVE] = {"SELECT CASE WHEN " IF_LIVE " THEN 0 ELSE 1 END", ""},
    /* Writes to the row in any case: until the commit nobody else frees or takes the lock. */
    [MW__SQL_LOCK_ROW] = {"INSERT INTO mw_locks (path, token, holder, handle, waiters, value, since) "
        "SELECT ?2, lock_floor, 0, 0, 0, x'', {wall} FROM mw_meta WHERE mw_meta.id = 2 AND " IF_LIVE
        " {share} {upsert} since = mw_locks.since", ""},
    [MW__SQL_LOCK_TAKE_NEW] = {"UPDATE mw_locks SET token = token + 1, holder = ?1, handle = ?3, value = ?4, "
        "since = {wall} WHERE path = ?2 AND holder = 0 AND waiters = 0 AND " IF_LIVE, ""},
    [MW__SQL_LOCK_JOIN_COUNT] = {"UPDATE mw_locks SET waiters = waiters + 1 WHERE path = ?2 AND " JOINS, ""},
    [MW__SQL_LOCK_JOIN] = {"INSERT INTO mw_lock_waiters (path, seq, session, handle, value, since) SELECT path, "
        "(SELECT COALESCE(MAX(m.seq), 0) + 1 FROM mw_lock_waiters m WHERE m.path = ?2), ?1, ?3, ?4, {wall} "
        "FROM mw_locks WHERE path = ?2 AND " JOINS, ""},
    [MW__SQL_LOCK_STATE] = {"SELECT handle, token FROM mw_locks WHERE path = ?2", ""},
    [MW__SQL_LOCK_FREE] = {"UPDATE mw_locks SET holder = 0, handle = 0, value = x'', since = {wall} "
        "WHERE path = ?2 AND holder = ?1 AND handle = ?3 AND token = ?4 AND waiters = 0", ""},
    [MW__SQL_LEAVE_COUNT] = {"UPDATE mw_locks SET waiters = waiters - 1 WHERE path = ?2 "
        "AND EXISTS (SELECT 1 FROM mw_lock_waiters w WHERE w.path = ?2 AND w.handle = ?3)", ""},
    [MW__SQL_LEAVE_ROW] = {"DELETE FROM mw_lock_waiters WHERE path = ?2 AND handle = ?3", ""},
    [MW__SQL_LEAVE_CHANGE] = {"INSERT INTO " CHANGE_COLUMNS " SELECT " REVISION
        ", 3, path, 0, 0, 0, 0, NULL FROM mw_locks WHERE path = ?2 AND handle = ?3 AND holder = ?1", ""},
    [MW__SQL_LEAVE_HANDOVER] = {"UPDATE mw_locks SET " HANDOVER " WHERE path = ?2 AND handle = ?3 AND holder = ?1", ""},
    [MW__SQL_LEAVE_TAKEN] = {"DELETE FROM mw_lock_waiters WHERE path = ?2 AND handle = "
        "(SELECT l.handle FROM mw_locks l WHERE l.path = ?2)", ""},
    /* Dropping idle rows: the floor of tokens rises first. */
    [MW__SQL_LOCK_IDLE] = {"SELECT path, token FROM mw_locks WHERE holder = 0 AND waiters = 0 AND since < {wall} - ?1 "
        "LIMIT 64", ""},
    [MW__SQL_LOCK_FLOOR] = {"UPDATE mw_meta SET lock_floor = ?1 WHERE id = 2 AND lock_floor < ?1", ""},
    [MW__SQL_LOCK_DROP] = {"DELETE {of_rows:mw_locks} AND holder = 0 "
        "AND waiters = 0 AND token <= (SELECT lock_floor FROM mw_meta WHERE id = 2)", "path"},
};
/* clang-format on */
