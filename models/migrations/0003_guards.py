"""What models cannot declare: the ledger is append-only, whoever connects; and what the outside may look at."""

from models import operations as ops

APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""


def append_only(table: str) -> list[str]:
    """The trigger that keeps a table from being changed by anyone who is not its owner with triggers switched off."""
    return [
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    ]


ITEM_VERSIONS_FIXED = [
    """
CREATE FUNCTION refuse_item_version_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'draft' THEN
        RETURN COALESCE(NEW, OLD);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a version that was published is kept' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.item_id, NEW.number, NEW.name, NEW.themes, NEW.keywords, NEW.guide, NEW.published_at)
        IS DISTINCT FROM (OLD.item_id, OLD.number, OLD.name, OLD.themes, OLD.keywords, OLD.guide, OLD.published_at)
        OR (OLD.state, NEW.state) NOT IN (('published', 'published'), ('published', 'withdrawn'), ('withdrawn', 'withdrawn'))
    THEN
        RAISE EXCEPTION 'a version that was published never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
""",
    "CREATE TRIGGER item_versions_fixed BEFORE UPDATE OR DELETE ON item_versions "
    "FOR EACH ROW EXECUTE FUNCTION refuse_item_version_change()",
]

# Entries are written when an item is published and searched all day: with a pending list every search would read the
# whole list first, and the planner rightly shuns the index.
SEARCH_INDEX = "ALTER INDEX catalogue_entries_grams SET (fastupdate = off)"


# One row per step that a case took, in the words of the state machine. An event that leads over several states is
# several steps at one moment; `step` orders them.
TRANSITIONS = [
    "CREATE SCHEMA acceptance",
    """
CREATE VIEW acceptance.v_transition AS
SELECT 'case'::text AS entity, e.case_id AS id, upper(e.path[n]) AS "from", upper(e.path[n + 1]) AS "to",
       e.occurred_at AS at, 'agency:' || e.agency_id AS actor,
       row_number() OVER (PARTITION BY e.case_id ORDER BY e.occurred_at, e.rank, e.event_id COLLATE "C", n) AS step
FROM case_events e CROSS JOIN LATERAL generate_series(1, cardinality(e.path) - 1) AS n
WHERE e.case_id IS NOT NULL
""",
]

# What else an examiner may look at; ids and states, nothing personal.
ACCEPTANCE = [
    """
CREATE VIEW acceptance.v_outbox AS
SELECT id AS key, name AS kind, upper(state) AS state, attempts FROM messages
""",
    """
CREATE VIEW acceptance.v_session AS
SELECT id, 'resident'::text AS kind, resident_id AS subject_id, created_at, last_used_at, expires_at, ended_at, end_reason
FROM sessions
UNION ALL
SELECT id, 'staff', staff_id, created_at, last_used_at, expires_at, ended_at, end_reason FROM staff_sessions
""",
]


class Migration(ops.Migration):
    dependencies = [("models", "0002_constraints")]

    operations = [
        ops.RunSQL([APPEND_ONLY, *append_only("events"), *append_only("event_seals")]),
        ops.RunSQL([*ITEM_VERSIONS_FIXED, SEARCH_INDEX]),
        ops.RunSQL([*TRANSITIONS, *ACCEPTANCE]),
    ]
