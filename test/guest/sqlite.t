# sqlite3 makes and queries a database of 50 MB on a memory file system.
# options: --mem 256M
# needs: sqlite3
# timeout: 300
cat >q.sql <<'S'
PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA cache_size=500;
CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT);
BEGIN;
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 110000)
INSERT INTO t SELECT i, (i * 7919) % 100003, printf('%0400d', i * 31) FROM c;
COMMIT;
CREATE INDEX ta ON t(a);
SELECT count(*), sum(a), max(b) FROM t WHERE a BETWEEN 100 AND 2000;
UPDATE t SET b = upper(b) || 'x' WHERE id % 1000 = 7;
DELETE FROM t WHERE id % 50 = 3;
SELECT count(*), sum(length(b)) FROM t;
PRAGMA integrity_check;
PRAGMA wal_checkpoint(TRUNCATE);
S
sqlite3 db <q.sql
size=$(stat -c %s db); [ "$size" -gt 50000000 ] && echo "over 50 MB"
sqlite3 db 'SELECT a, substr(b, -5) FROM t ORDER BY a LIMIT 3 OFFSET 5000; PRAGMA quick_check'
