from tortoise import migrations
from tortoise.migrations import operations as ops
from uuid import uuid4
from uuid_utils.compat import uuid7
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='EventRecord',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ('name', fields.CharField(max_length=64)),
                ('subject_kind', fields.CharField(max_length=32)),
                ('subject_id', fields.UUIDField()),
                ('actor_kind', fields.CharField(max_length=16)),
                ('actor_id', fields.CharField(max_length=64)),
                ('request_id', fields.CharField(max_length=64)),
                ('payload', fields.TextField(unique=False)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'events', 'app': 'models', 'indexes': [Index(fields=['subject_kind', 'subject_id', 'at']), Index(fields=['name', 'at'])], 'pk_attr': 'id', 'table_description': 'One fact. The service may insert it and read it, never change or delete it.'},
            bases=['Record'],
        ),
        ops.CreateModel(
            name='EventSeal',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('shard', fields.SmallIntField()),
                ('position', fields.BigIntField()),
                ('event_id', fields.UUIDField(unique=True)),
                ('hash', fields.CharField(max_length=64)),
                ('sealed_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'event_seals', 'app': 'models', 'unique_together': (('shard', 'position'),), 'pk_attr': 'id', 'table_description': 'The place of an event in the hash chain of its shard: hash = SHA-256(previous hash, digest of the event).'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('scope', fields.CharField(max_length=128)),
                ('key', fields.CharField(max_length=255)),
                ('fingerprint', fields.CharField(max_length=64)),
                ('status', fields.SmallIntField()),
                ('body', fields.BinaryField()),
                ('media_type', fields.CharField(max_length=64)),
                ('expires_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'idempotency_keys', 'app': 'models', 'unique_together': (('scope', 'key'),), 'indexes': [Index(fields=['expires_at'])], 'pk_attr': 'id', 'table_description': 'A key of one caller on one route, what was asked with it, and the answer it got.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='ListenerReceipt',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('event_id', fields.UUIDField()),
                ('listener', fields.CharField(max_length=128)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'listener_receipts', 'app': 'models', 'unique_together': (('event_id', 'listener'),), 'pk_attr': 'id', 'table_description': "The proof that a listener has dealt with an event: written in the listener's own transaction."},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='UnsealedEvent',
            fields=[
                ('event_id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('shard', fields.SmallIntField()),
            ],
            options={'table': 'unsealed_events', 'app': 'models', 'indexes': [Index(fields=['shard', 'event_id'])], 'pk_attr': 'event_id', 'table_description': 'An event that waits for its place in the chain.'},
            bases=['Model'],
        ),
    ]
