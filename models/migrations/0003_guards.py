"""What models cannot declare: append-only tables, published versions, the balance of the ledger, and who acts for whom."""

from models import operations as ops

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""


def append_only(table: str) -> list[str]:
    """The triggers that keep a table from being changed by any role except an owner who disables triggers."""
    return [
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    ]


APPEND_ONLY = [
    statement
    for table in (
        "events",
        "event_seals",
        "payment_transitions",
        "ledger_groups",
        "ledger_postings",
        "delivery_transitions",
    )
    for statement in append_only(table)
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

# Checked at COMMIT, once per group: a group has at least two lines and they sum to zero.
LEDGER_BALANCED = [
    """
CREATE FUNCTION refuse_unbalanced_group() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lines bigint;
    total numeric;
BEGIN
    SELECT count(*), coalesce(sum(amount_fen), 0) INTO lines, total FROM ledger_postings WHERE group_id = NEW.id;
    IF lines < 2 OR total <> 0 THEN
        RAISE EXCEPTION 'ledger group % has % lines and a sum of %', NEW.ref, lines, total
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_group_balanced';
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE FUNCTION refuse_late_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM ledger_groups WHERE id = NEW.group_id AND xmin::text <> pg_current_xact_id()::xid::text)
    THEN
        RAISE EXCEPTION 'a ledger group is posted whole' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
""",
    "CREATE CONSTRAINT TRIGGER ledger_group_balanced AFTER INSERT ON ledger_groups "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced_group()",
    "CREATE TRIGGER ledger_posting_in_time BEFORE INSERT ON ledger_postings "
    "FOR EACH ROW EXECUTE FUNCTION refuse_late_posting()",
]

# A node may come to be verified, so this table is guarded column by column.
SHIPMENT_NODES_FIXED = [
    """
CREATE FUNCTION refuse_node_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.shipment_id, NEW.source, NEW.status, NEW.raw_code, NEW.event_at, NEW.received_at)
        IS DISTINCT FROM (OLD.shipment_id, OLD.source, OLD.status, OLD.raw_code, OLD.event_at, OLD.received_at)
        OR (OLD.verified AND NOT NEW.verified)
    THEN
        RAISE EXCEPTION 'a stored tracking node never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
""",
    "CREATE TRIGGER shipment_nodes_fixed BEFORE UPDATE ON shipment_nodes "
    "FOR EACH ROW EXECUTE FUNCTION refuse_node_change()",
]

# The resident first, and every principal whose delegation in this matter (or in all) runs at this moment. `ROWS 2` lets
# the planner know that they are few, so that lists go by the index of the person.
PEOPLE_OF = """
CREATE FUNCTION people_of(resident uuid, matter text) RETURNS SETOF uuid LANGUAGE sql STABLE ROWS 2 AS $$
    SELECT resident
    UNION ALL
    SELECT d.principal_id FROM delegations d JOIN residents r ON r.id = d.principal_id AND r.disabled_at IS NULL
    WHERE d.delegate_id = resident AND d.accepted_at IS NOT NULL AND d.ended_at IS NULL AND d.ends_at > now()
      AND d.matters && ARRAY['all', matter]
$$
"""


class Migration(ops.Migration):
    dependencies = [("models", "0002_constraints")]

    operations = [
        ops.RunSQL([REFUSE_CHANGE, *APPEND_ONLY]),
        ops.RunSQL([*ITEM_VERSIONS_FIXED, SEARCH_INDEX]),
        ops.RunSQL(LEDGER_BALANCED),
        ops.RunSQL(SHIPMENT_NODES_FIXED),
        ops.RunSQL([PEOPLE_OF]),
    ]
