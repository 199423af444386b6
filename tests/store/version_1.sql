BEGIN TRANSACTION;
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
            status TEXT NOT NULL,
            body TEXT NOT NULL,
            row_hash TEXT NOT NULL
        ) STRICT;
INSERT INTO "runs" VALUES(1,'2e7f78164e5094a8','reversal',1,'symbolic','c2f6aa53b043240d','ffffffffffffffff',0,'laptop','ok','{"claims":"ee551fc838a5b5e3","created":"2026-01-01T00:00:00+00:00","custom":false,"environment":"11eb2176c2b5c5c2","error":"","estimands":{"gap":0.25},"items":{"recall":[1.0,0.0,"nan"]},"sequential":false,"tables":{},"wall_s":0.5}','2fd3f58fde162e25ccbc11fbca892bc3e7862e33c8546fa3fa195a2d853a15cd');
INSERT INTO "runs" VALUES(2,'4a6ea3a904c63ca2','reversal',1,'symbolic','c2f6aa53b043240d','ffffffffffffffff',1,'laptop','diverged','{"claims":"ee551fc838a5b5e3","created":"2026-01-01T00:00:00+00:00","custom":false,"environment":"11eb2176c2b5c5c2","error":"at step 3","estimands":{},"items":{"recall":[1.0,0.0,"nan"]},"sequential":false,"tables":{},"wall_s":0.5}','4f82d961e2e74c64d94cfa81353ac805d19eccf106db5f78906f5deddd38ac11');
CREATE TABLE seals (
            study TEXT NOT NULL,
            experiment TEXT NOT NULL,
            settings_digest TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            n_rows INTEGER NOT NULL,
            row_hash_sum TEXT NOT NULL,
            PRIMARY KEY (study, experiment, settings_digest, fingerprint)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "seals" VALUES('reversal','symbolic','c2f6aa53b043240d','ffffffffffffffff',2,'7f56cef1c0fd7a8aa6090c7cffc3f3c9b924fb24cf2fcf1c8a88b81b6272c1de');
CREATE TABLE texts (digest TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "texts" VALUES('11eb2176c2b5c5c2','{"python":"3.11","threads":1}');
INSERT INTO "texts" VALUES('c2f6aa53b043240d','{"layers":[1,2],"n_facts":3,"rate":1.0}');
INSERT INTO "texts" VALUES('ee551fc838a5b5e3','{"C1":"0123456789abcdef"}');
CREATE INDEX runs_by_pool ON runs (study, experiment, settings_digest, fingerprint, seed, entry);
CREATE INDEX runs_by_address ON runs (run_id, entry);
COMMIT;
PRAGMA application_id = 1095979865;
PRAGMA user_version = 1;
