-- A registry in use, whose processes are 101 (holds /lock), 102 and 103 (wait for it).
INSERT INTO mw_meta (id, identity, revision, floor, lock_floor, epoch) VALUES
  (1, x'30313233343536373839616263646566', 40, 2, 0, 0), (2, x'30313233343536373839616263646566', 0, 0, 9, 0);
INSERT INTO mw_sessions (id, secret, name, opened, expires, timeout, boot, ended, txn, verdict, txn_revision) VALUES
  (101, x'31313131313131313131313131313131', x'6F6E65', 5, 9000000000000000, 1000000000, x'', 0, 3, 0, 39),
  (102, x'32323232323232323232323232323232', x'74776F', 6, 9000000000000000, 1000000000, x'', 0, 0, 0, 0),
  (103, x'33333333333333333333333333333333', x'7468726565', 7, 9000000000000000, 1000000000, x'', 0, 0, 0, 0);
INSERT INTO mw_entries (path, parent, value, version, revision, created, owner, ctime, mtime) VALUES
  (x'2F61', x'2F', x'', 0, 3, 3, 0, 1000, 1000),
  (x'2F612F62', x'2F61', x'00FF27', 7, 38, 4, 0, 1001, 1002),
  (x'2F6E', x'2F', x'6C697665', 0, 39, 39, 101, 1003, 1003);
INSERT INTO mw_changes (revision, kind, path, step, version, created, owner, value) VALUES
  (38, 1, x'2F612F62', 0, 7, 4, 0, NULL), (39, 1, x'2F6E', 0, 0, 39, 101, NULL), (40, 2, x'2F676F6E65', 0, 2, 5, 0, x'6C617374');
INSERT INTO mw_locks (path, token, holder, handle, waiters, value, since) VALUES
  (x'2F6C6F636B', 41, 101, 1001, 2, x'686F6C646572', 2000), (x'2F66726565', 17, 0, 0, 0, x'', 2001);
INSERT INTO mw_lock_waiters (path, seq, session, handle, value, since) VALUES
  (x'2F6C6F636B', 5, 102, 1002, x'6669727374', 2002), (x'2F6C6F636B', 6, 103, 1003, x'7365636F6E64', 2003);
