#!/bin/sh
# Run once, when the database is made: the service logs in as somebody who owns nothing and may not change the ledger.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set password="$SERVICE_PASSWORD" <<'SQL'
CREATE ROLE zhangban_service NOLOGIN;
CREATE ROLE zhangban_reader NOLOGIN;
CREATE ROLE zhangban LOGIN PASSWORD :'password' IN ROLE zhangban_service;
SQL
