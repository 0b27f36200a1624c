"""sqlite3: a large workload in memory and on disk, with joins, full-text search, JSON, and its own integrity check."""

from run import digest

NEEDS = {'/usr/bin/sqlite3': 'sqlite3'}
SERVED = ('sqlite3',)
LEAST_BLOCKS = 10_000

_SCRIPT = """
PRAGMA cache_size = {cache};
PRAGMA threads = 2;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, weight REAL, note TEXT);
CREATE TABLE part(whole INTEGER, piece INTEGER, amount INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
  INSERT INTO item SELECT i, printf('item-%06x', i * 7919 % 1048573), i * 7 % 1000 / 8.0,
    substr('the quick brown fox jumps over the lazy dog again and again', 1 + i % 30, 5 + i % 25) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2 * {rows})
  INSERT INTO part SELECT i * 31 % {rows} + 1, i * 17 % {rows} + 1, i % 9 FROM n;
CREATE INDEX item_name ON item(name);
CREATE INDEX part_whole ON part(whole, piece);
ANALYZE;
SELECT count(*), sum(amount), round(sum(weight), 3) FROM part JOIN item ON piece = item.id;
SELECT name, total FROM (SELECT whole, sum(amount * weight) AS total FROM part JOIN item ON piece = id GROUP BY whole)
  JOIN item ON whole = id ORDER BY total DESC, name LIMIT 20;
SELECT substr(name, 6, 2) AS prefix, count(*), group_concat(id, '') FROM (SELECT * FROM item ORDER BY id LIMIT 20000)
  GROUP BY prefix ORDER BY prefix;
CREATE VIRTUAL TABLE words USING fts5(note);
INSERT INTO words SELECT note FROM item WHERE id % 3 = 0;
SELECT count(*) FROM words WHERE words MATCH 'quick OR lazy';
SELECT json_extract(doc, '$.name'), json_array_length(doc, '$.list') FROM (
  SELECT json_object('name', name, 'list', json_array(id, weight, note)) AS doc FROM item WHERE id % 1000 = 0);
SELECT id, sum(weight) OVER (ORDER BY id ROWS 50 PRECEDING) AS running FROM item WHERE id % 500 = 0;
BEGIN; UPDATE item SET note = note || note || hex(name) WHERE id % 2 = 0; SELECT sum(length(note)) FROM item; ROLLBACK;
BEGIN; DELETE FROM part WHERE amount = 4; UPDATE item SET weight = -weight WHERE id % 5 = 0; COMMIT;
VACUUM;
SELECT sum(length(note)), round(sum(weight), 3) FROM item;
PRAGMA integrity_check;
.sha3sum
"""


def work(run):
    results = {}
    rows = 60_000 * run.scale
    for name, database, cache in (('memory', ':memory:', 4000), ('disk', run.path('work.db'), 400)):
        script = _SCRIPT.format(rows=rows, cache=cache).encode()
        out = run.call(['/usr/bin/sqlite3', '-batch', '-bail', database], stdin=script)
        if b'\nok\n' not in out:
            results[name + ' integrity'] = 'no ok in the output'
        results[name] = digest(out)
        results[name + ' end'] = out.splitlines()[-1].decode()
    # Read again by a second process, and written as text.
    results['dump'] = digest(run.call(['/usr/bin/sqlite3', '-batch', run.path('work.db'), '.dump']))
    return results
