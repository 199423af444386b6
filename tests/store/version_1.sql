BEGIN TRANSACTION;
CREATE TABLE artefacts (digest TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT;
INSERT INTO "artefacts" VALUES('6942ed82fd2876090fcb862eb1e91aa94f1a68649693583d06e6800b06261f66',X'789CF3636060A8564ACECF29CDCD2B56B28AAE56CACECC4B51B2522A54D251CA4BCC4D05328B4B520B946A75E0522908A99CFCE262A5DA58203FBE28BF1C6880612D23033278600F0093F71A6D');
CREATE TABLE runs (
            entry INTEGER PRIMARY KEY,
            run_id TEXT NOT NULL,
            study TEXT NOT NULL,
            version INTEGER NOT NULL,
            experiment TEXT NOT NULL,
            settings_digest TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            seed INTEGER NOT NULL,
            preset TEXT NOT NULL,
            custom INTEGER NOT NULL,
            sequential INTEGER NOT NULL,
            status TEXT NOT NULL,
            error TEXT NOT NULL,
            claims TEXT NOT NULL,
            environment TEXT NOT NULL,
            layout TEXT NOT NULL,
            tables TEXT NOT NULL,
            wall_s REAL NOT NULL,
            created TEXT NOT NULL,
            numbers BLOB NOT NULL,
            row_hash TEXT NOT NULL
        ) STRICT;
INSERT INTO "runs" VALUES(1,'2e7f78164e5094a8','reversal',1,'symbolic','c2f6aa53b043240d','ffffffffffffffff',0,'laptop',0,0,'ok','','ee551fc838a5b5e3','11eb2176c2b5c5c2','769cd0e29738f6f3','{"curve":"6942ed82fd2876090fcb862eb1e91aa94f1a68649693583d06e6800b06261f66"}',0.5,'2026-01-01T00:00:00+00:00',X'000000000000D03F000000000000F03F0000000000000000000000000000F87F','0c631656c44aff9bec5ed091fc6e696214ed7e594c7203941ca6abf50a69d697');
INSERT INTO "runs" VALUES(2,'4a6ea3a904c63ca2','reversal',1,'symbolic','c2f6aa53b043240d','ffffffffffffffff',1,'laptop',0,0,'diverged','"at step 3"','ee551fc838a5b5e3','11eb2176c2b5c5c2','7c6185833d45d042','{}',0.5,'2026-01-01T00:00:00+00:00',X'000000000000F03F0000000000000000000000000000F87F','5198828f90306bf654a4042937affa93328d830300ad710b17683d776288a71a');
CREATE TABLE seals (
            study TEXT NOT NULL,
            experiment TEXT NOT NULL,
            settings_digest TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            n_rows INTEGER NOT NULL,
            row_hash_sum TEXT NOT NULL,
            PRIMARY KEY (study, experiment, settings_digest, fingerprint)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "seals" VALUES('reversal','symbolic','c2f6aa53b043240d','ffffffffffffffff',2,'5dfb98e6547b6b924102d4bb341e63f5477b015c4d1f749f340ee96c6cf27db1');
CREATE TABLE texts (digest TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "texts" VALUES('11eb2176c2b5c5c2','{"python":"3.11","threads":1}');
INSERT INTO "texts" VALUES('769cd0e29738f6f3','{"estimands":["gap"],"items":[["recall",3]]}');
INSERT INTO "texts" VALUES('7c6185833d45d042','{"estimands":[],"items":[["recall",3]]}');
INSERT INTO "texts" VALUES('c2f6aa53b043240d','{"layers":[1,2],"n_facts":3,"rate":1.0}');
INSERT INTO "texts" VALUES('ee551fc838a5b5e3','{"C1":"0123456789abcdef"}');
CREATE INDEX runs_by_pool ON runs (study, experiment, settings_digest, fingerprint, seed, entry);
CREATE INDEX runs_by_address ON runs (run_id, entry);
COMMIT;
PRAGMA application_id = 1095979865;
PRAGMA user_version = 1;
