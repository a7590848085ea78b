"""Django, set up once for this folder."""

from __future__ import annotations

import django
from django.conf import settings

from tests.django import project_settings

if not settings.configured:
    settings.configure(**{name: value for name, value in vars(project_settings).items() if name.isupper()})
    django.setup()
