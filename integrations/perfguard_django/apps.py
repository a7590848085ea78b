"""perfguard as an installed application: its system checks and its command."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from perfguard_django.checks import check_middleware, check_settings


class PerfguardConfig(AppConfig):
    """`"perfguard_django"` in `INSTALLED_APPS`: not needed to guard, only to be told of mistakes."""

    name = "perfguard_django"
    verbose_name = "perfguard"

    def ready(self) -> None:
        """Register the checks."""
        register(check_settings)
        register(check_middleware)
