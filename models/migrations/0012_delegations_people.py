"""The question that every room asks of delegations, in one place: whom may this resident act for now?"""

from models import operations as ops

# The resident first, and everybody whose delegation in this matter (or in all) runs at this moment. The planner is told
# that they are few, so that lists go by the index of the person.
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
    dependencies = [("models", "0011_delegations_constraints")]

    operations = [ops.RunSQL([PEOPLE_OF])]
