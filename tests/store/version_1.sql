BEGIN TRANSACTION;
CREATE TABLE artefacts (digest TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT;
INSERT INTO "artefacts" VALUES('5042e26ebd5450e506b3368547827fe18b5756fd21676376636fe9405e4fc91d',X'789CAB564ACECF29CDCD2B56B2AA56CAC92F06D2D1067AA6B13A4AC525A905408E616CAD8E525E7C517E3950CA504729BF2825B508280E91D781E801292F484DCE4CCC011A535B0B00A9C51BEE');
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
INSERT INTO "runs" VALUES(1,'2e7f78164e5094a8','reversal',1,'symbolic','c2f6aa53b043240d','ffffffffffffffff',0,'laptop','ok','{"claims":"ee551fc838a5b5e3","created":"2026-01-01T00:00:00+00:00","custom":false,"environment":"11eb2176c2b5c5c2","error":"","estimands":{"gap":0.25},"items":{"recall":[1.0,0.0,"nan"]},"sequential":false,"tables":{"curve":"5042e26ebd5450e506b3368547827fe18b5756fd21676376636fe9405e4fc91d"},"wall_s":0.5}','b77f70a3428dcb281cbeb3c6eb93cb162358374f54451f0054386500b1a03de5');
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
INSERT INTO "seals" VALUES('reversal','symbolic','c2f6aa53b043240d','ffffffffffffffff',2,'07024a052575178cf60bae4820ce931bf4f704405b207e78e4a7c2ee8ed8e9f6');
CREATE TABLE texts (digest TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "texts" VALUES('11eb2176c2b5c5c2','{"python":"3.11","threads":1}');
INSERT INTO "texts" VALUES('c2f6aa53b043240d','{"layers":[1,2],"n_facts":3,"rate":1.0}');
INSERT INTO "texts" VALUES('ee551fc838a5b5e3','{"C1":"0123456789abcdef"}');
CREATE INDEX runs_by_pool ON runs (study, experiment, settings_digest, fingerprint, seed, entry);
CREATE INDEX runs_by_address ON runs (run_id, entry);
COMMIT;
PRAGMA application_id = 1095979865;
PRAGMA user_version = 1;
