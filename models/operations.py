"""Tortoise's migrations without their copies of the whole state. Migrations import `ops` from here.

Before every operation Tortoise renders every model anew, so that a field can be compared with what it was. Creating a
table, adding a constraint and running SQL compare nothing. With fifty models the copies took 98 % of a `migrate`, and
their cost grew with the square of the tables.
"""

from __future__ import annotations

from typing import Any

from tortoise import migrations
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.migrations.operations import AddConstraint as TortoiseAddConstraint
from tortoise.migrations.operations import (
    AddField,
    AddIndex,
    AlterField,
    AlterModelOptions,
    CreateModel,
    DeleteModel,
    RemoveConstraint,
    RemoveField,
    RemoveIndex,
    RenameField,
    RenameModel,
    RunPython,
    RunSQL,
)
from tortoise.migrations.schema_editor.base import BaseSchemaEditor
from tortoise.migrations.schema_generator.state import ModelState, State

__all__ = [
    "AddConstraint",
    "AddField",
    "AddIndex",
    "AlterField",
    "AlterModelOptions",
    "CreateModel",
    "DeleteModel",
    "Migration",
    "RemoveConstraint",
    "RemoveField",
    "RemoveIndex",
    "RenameField",
    "RenameModel",
    "RunPython",
    "RunSQL",
]


class AddConstraint(TortoiseAddConstraint):
    """Add a named constraint. No later operation reads it from the rendered model, so that is not rendered again."""

    def state_forward(self, app_label: str, state: State) -> None:
        """Add the constraint to the state of the model."""
        model = self.get_model_state(state, app_label, self.model_name)
        model.options["constraints"] = (*model.options.get("constraints", ()), self.constraint)


_COMPARE_NOTHING = (AddConstraint, AddIndex, CreateModel, RunSQL)


class Migration(migrations.Migration):
    """A migration of this service."""

    async def apply(
        self,
        state: State,
        *,
        dry_run: bool = False,
        schema_editor: BaseSchemaEditor | None = None,
        collect_sql: bool = False,
    ) -> State:
        """Run the operations; copy the state only for those that compare, and render new tables once, all together."""
        if not all(isinstance(each, _COMPARE_NOTHING) for each in self.operations):
            return await super().apply(state, dry_run=dry_run, schema_editor=schema_editor, collect_sql=collect_sql)
        stale: set[tuple[str, str]] = set()
        for operation in self.operations:
            if isinstance(operation, CreateModel):
                key = (self.app_label, operation.name)
                state.models[key] = model = ModelState.make_from_model(self.app_label, operation.model)
                stale |= {key, *(state.apps.split_reference(each) for each in _referred(model))}
            else:
                operation.state_forward(self.app_label, state)
        if stale:
            state.reload_models(stale)
        if schema_editor is not None and not dry_run:
            for operation in self.operations:
                await operation.database_forward(self.app_label, state, state, schema_editor)
        state.validate_relations_initialized()
        return state


def _referred(model: ModelState) -> list[Any]:
    """The models that the foreign keys of this one point to."""
    return [field.model_name for field in model.fields.values() if isinstance(field, ForeignKeyFieldInstance)]
