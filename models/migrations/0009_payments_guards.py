"""The ledger of money: append-only, every group whole and balanced at COMMIT; and what the outside may look at."""

from models import operations as ops

# refuse_change() is from 0003.
APPEND_ONLY = [
    statement
    for table in ("payment_moves", "ledger_groups", "ledger_postings")
    for statement in (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
]

# Checked at COMMIT, once per group: a group has at least two lines and they sum to zero.
BALANCED = [
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

VIEWS = [
    """
CREATE VIEW acceptance.v_payment AS
SELECT number AS out_trade_no, upper(state) AS state, amount_fen AS total_fen, paid_fen, refunded_fen
FROM public.payments
""",
    """
CREATE VIEW acceptance.v_ledger AS
SELECT g.id AS grp, g.ref, p.account, p.amount_fen
FROM public.ledger_postings p JOIN public.ledger_groups g ON g.id = p.group_id
""",
    """
CREATE OR REPLACE VIEW acceptance.v_transition AS
SELECT 'case'::text AS entity, e.case_id AS id, upper(e.path[n]) AS "from", upper(e.path[n + 1]) AS "to",
       e.occurred_at AS at, 'agency:' || e.agency_id AS actor,
       row_number() OVER (PARTITION BY e.case_id ORDER BY e.occurred_at, e.rank, e.event_id COLLATE "C", n) AS step
FROM public.case_events e CROSS JOIN LATERAL generate_series(1, cardinality(e.path) - 1) AS n
WHERE e.case_id IS NOT NULL
UNION ALL
SELECT entity::text, entity_id, upper(from_state), upper(to_state), at, actor::text,
       row_number() OVER (PARTITION BY entity_id ORDER BY id)
FROM public.payment_moves
""",
]


class Migration(ops.Migration):
    dependencies = [("models", "0008_payments_constraints")]

    operations = [ops.RunSQL([*APPEND_ONLY, *BALANCED]), ops.RunSQL(VIEWS)]
