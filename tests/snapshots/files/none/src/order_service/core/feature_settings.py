# From laterctl: settings.
"""The settings of added features: read from the project's own, and checked."""

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from order_service.core.settings import settings

EMPTY = (None, '', SecretStr(''))
PRODUCTION = {'production', 'prod', 'live'}


class FeatureSettings(BaseModel):
    """Settings of a feature, each read from the project's setting of its name.

    One that is empty is not set. ValueError names wrong ones, not their values.
    """

    model_config = ConfigDict(
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        frozen=True,
        hide_input_in_errors=True,
    )

    def __init__(self, **given: object) -> None:
        """Take values that are given instead of those of the project."""
        read = ((name, value_of(name)) for name in type(self).model_fields)
        known = {name: value for name, value in read if value not in EMPTY}
        try:
            super().__init__(**known | given)
        except ValidationError as error:
            wrong = ((e['loc'], e['msg']) for e in error.errors())
            told = (f'{variable(at[0])}: {why}' if at else why for at, why in wrong)
            raise ValueError('; '.join(told)) from None


def value_of(name: str) -> object:
    """Return what the project has for a setting, nothing or '' without one."""
    return getattr(settings, name)


def variable(name: object) -> str:
    """Return what sets a setting in the environment."""
    return str(name).upper()


def is_production() -> bool:
    """Whether people depend on what runs in this environment."""
    return str(settings.environment).lower() in PRODUCTION
