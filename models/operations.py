"""Tortoise's migrations without their copies of the whole state. Migrations import `ops` from here.

Before every operation Tortoise renders every model anew, so that a field can be compared with what it was. Creating a
table, adding a constraint and running SQL compare nothing; with fifty models the copies took most of the time of the
first `migrate`.
"""

from __future__ import annotations

from tortoise import migrations
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
from tortoise.migrations.schema_generator.state import State

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
    """Add a named constraint. Nothing that follows looks at it in the rendered model, so that is not made anew."""

    def state_forward(self, app_label: str, state: State) -> None:
        """Note the constraint in the state of the model."""
        model = self.get_model_state(state, app_label, self.model_name)
        model.options["constraints"] = (*model.options.get("constraints", ()), self.constraint)


_COMPARE_NOTHING = (AddConstraint, AddIndex, CreateModel, RunSQL)


class Migration(migrations.Migration):
    """A migration of ours."""

    async def apply(
        self,
        state: State,
        *,
        dry_run: bool = False,
        schema_editor: BaseSchemaEditor | None = None,
        collect_sql: bool = False,
    ) -> State:
        """Carry out the operations; with a copy of the state only for those that compare."""
        if collect_sql or not all(isinstance(each, _COMPARE_NOTHING) for each in self.operations):
            return await super().apply(state, dry_run=dry_run, schema_editor=schema_editor, collect_sql=collect_sql)
        for operation in self.operations:
            operation.state_forward(self.app_label, state)
            if schema_editor is not None and not dry_run:
                await operation.database_forward(self.app_label, state, state, schema_editor)
        state.validate_relations_initialized()
        return state
