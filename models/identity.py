"""Who may speak to us: residents and their sessions, staff, agencies, and the keys that prove it.

Openids, phones, session keys, one-time-code secrets and signing keys are sealed; residents are found again by
keyed fingerprints.
"""

from __future__ import annotations

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields import OnDelete
from tortoise.migrations.constraints import CheckConstraint

from models.base import Model, Record
from models.regions import Department


class Resident(Record):
    """A person who signed in from the mini-program."""

    phone = fields.TextField(null=True)
    """Sealed. Mainland numbers are eleven digits, others `+<country><number>`."""
    phone_fingerprint = fields.CharField(max_length=64, null=True, unique=True)
    phone_confirmed_at = fields.DatetimeField(null=True)
    disabled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "residents"
        constraints = (
            CheckConstraint(
                "(phone IS NULL) = (phone_fingerprint IS NULL) AND (phone IS NULL) = (phone_confirmed_at IS NULL)",
                name="resident_phone_whole",
            ),
        )


class WeChatAccount(Record):
    """A resident as one of our two WeChat accounts knows them: the openids differ, the unionid is one."""

    resident: fields.ForeignKeyNullableRelation[Resident] = fields.ForeignKeyField(
        "models.Resident", related_name="wechat_accounts", on_delete=OnDelete.CASCADE, null=True
    )
    """Null: a follower of the official account who has not signed in to the mini-program yet."""
    account = fields.CharField(max_length=16)
    openid = fields.TextField()
    """Sealed."""
    openid_fingerprint = fields.CharField(max_length=64)
    unionid = fields.TextField(null=True)
    """Sealed."""
    unionid_fingerprint = fields.CharField(max_length=64, null=True)
    session_key = fields.TextField(null=True)
    """Sealed; of the latest sign-in, earlier ones are void."""

    class Meta:
        table = "wechat_accounts"
        unique_together = (("account", "openid_fingerprint"), ("resident", "account"))
        indexes = (("unionid_fingerprint",),)
        constraints = (
            CheckConstraint("account IN ('mini_program', 'official_account')", name="wechat_account_known"),
            CheckConstraint("resident_id IS NOT NULL OR account = 'official_account'", name="wechat_account_owned"),
            CheckConstraint("(unionid IS NULL) = (unionid_fingerprint IS NULL)", name="wechat_unionid_findable"),
        )


class Session(Record):
    """A resident signed in on a device. One row is the whole family of its refresh tokens."""

    resident: fields.ForeignKeyRelation[Resident] = fields.ForeignKeyField(
        "models.Resident", related_name="sessions", on_delete=OnDelete.CASCADE
    )
    device = fields.CharField(max_length=16)
    last_used_at = fields.DatetimeField()
    """When it was last refreshed."""
    expires_at = fields.DatetimeField()
    """However busy it is, it ends here."""
    generation = fields.IntField(default=0)
    """How many refresh tokens came before the present one."""
    refresh_digest = fields.CharField(max_length=64)
    previous_digest = fields.CharField(max_length=64, null=True)
    successor = fields.TextField(null=True)
    """The present refresh token, encrypted with the previous one, for a client that lost the answer."""
    ended_at = fields.DatetimeField(null=True)
    end_reason = fields.CharField(max_length=16, null=True)

    class Meta:
        table = "sessions"
        indexes = (("resident_id", "ended_at"), ("ended_at",))
        constraints = (
            CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="session_end_has_a_reason"),
            CheckConstraint("generation >= 0", name="session_generation_grows"),
            CheckConstraint(
                "(previous_digest IS NULL) = (successor IS NULL)", name="session_successor_has_a_predecessor"
            ),
        )


class SpentCode(Model):
    """A code from WeChat that was used: it is refused from then on, even if WeChat should accept it twice."""

    id = fields.BigIntField(primary_key=True, generated=True)
    digest = fields.CharField(max_length=64, unique=True)
    spent_at = fields.DatetimeField()

    class Meta:
        table = "spent_codes"
        indexes = (("spent_at",),)


class SigningKey(Record):
    """A key pair that signs access tokens."""

    private_key = fields.TextField()
    """Sealed PEM; empty once the key verifies no token any more."""
    public_key = fields.TextField()
    signs_from = fields.DatetimeField()
    ends_at = fields.DatetimeField(null=True)
    """Until when its tokens are accepted; null for the youngest key."""

    class Meta:
        table = "signing_keys"


class StaffMember(Record):
    """A member of staff: a person who works for a department."""

    login = fields.CharField(max_length=64, unique=True)
    name = fields.TextField()
    """Sealed."""
    department: fields.ForeignKeyRelation[Department] = fields.ForeignKeyField(
        "models.Department", related_name="staff", on_delete=OnDelete.RESTRICT
    )
    duties = ArrayField(element_type="text", default=list)
    password_hash = fields.CharField(max_length=255)
    """argon2id."""
    password_changed_at = fields.DatetimeField(null=True)
    """Null: an administrator set the password, and it must be changed at the first sign-in."""
    totp_secret = fields.TextField()
    """Sealed."""
    totp_step = fields.BigIntField(default=0)
    """The time step of the last one-time code that was accepted; it and earlier ones are void."""
    disabled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "staff_members"
        indexes = (("department_id",),)
        constraints = (CheckConstraint("login = lower(login) AND length(login) >= 2", name="staff_login_spelling"),)


class StaffSession(Record):
    """A member of staff signed in with both factors."""

    staff: fields.ForeignKeyRelation[StaffMember] = fields.ForeignKeyField(
        "models.StaffMember", related_name="sessions", on_delete=OnDelete.CASCADE
    )
    source = fields.CharField(max_length=64)
    """Fingerprint of the network address, to know a place that was good before."""
    last_used_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    end_reason = fields.CharField(max_length=16, null=True)

    class Meta:
        table = "staff_sessions"
        indexes = (("staff_id", "source", "created_at"),)
        constraints = (
            CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="staff_session_end_has_a_reason"),
        )


class SignInAttempt(Model):
    """A failed attempt to sign in as staff. In PostgreSQL, so that emptying Redis lifts no lock-out."""

    id = fields.BigIntField(primary_key=True, generated=True)
    subject = fields.CharField(max_length=64)
    """Fingerprint of the login that was tried, whether it exists or not."""
    source = fields.CharField(max_length=64)
    at = fields.DatetimeField()

    class Meta:
        table = "sign_in_attempts"
        indexes = (("subject", "at"), ("at",))


class Agency(Record):
    """A department's system that calls us."""

    name = fields.CharField(max_length=100)
    department: fields.ForeignKeyRelation[Department] = fields.ForeignKeyField(
        "models.Department", related_name="agencies", on_delete=OnDelete.RESTRICT
    )
    disabled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "agencies"
        indexes = (("department_id",),)


class AgencyKey(Record):
    """A key that an agency signs its requests with; several may be valid at once, so that it can be changed."""

    agency: fields.ForeignKeyRelation[Agency] = fields.ForeignKeyField(
        "models.Agency", related_name="keys", on_delete=OnDelete.CASCADE
    )
    name = fields.CharField(max_length=32, unique=True)
    """What stands in the header `Zhangban-Key`."""
    algorithm = fields.CharField(max_length=16)
    secret = fields.TextField()
    """Sealed: the shared secret, or the agency's public key."""
    expires_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)

    class Meta:
        table = "agency_keys"
        constraints = (CheckConstraint("algorithm IN ('hmac-sha256', 'ed25519')", name="agency_key_algorithm_known"),)


class AgencyNonce(Model):
    """A signed request that was accepted. In PostgreSQL, so that emptying Redis opens nothing."""

    id = fields.BigIntField(primary_key=True, generated=True)
    key_id = fields.UUIDField()
    nonce = fields.CharField(max_length=64)
    at = fields.DatetimeField()

    class Meta:
        table = "agency_nonces"
        unique_together = (("key_id", "nonce"),)
        indexes = (("at",),)
