"""The settings of the project that the tests run, in this process and under real servers."""

import os
import tempfile
from typing import Any

SECRET_KEY = "for-tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.django.project"
LOGGING_CONFIG = None
USE_TZ = True
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
INSTALLED_APPS = ["perfguard_django"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", {"greeting.html": "Hello, {{ name }}!"})]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("TEST_DATABASE") or os.path.join(tempfile.mkdtemp(), "db.sqlite3"),  # noqa: PTH118
        "ATOMIC_REQUESTS": True,
    }
}
GUARD = "perfguard_django.GuardMiddleware"
BELOW = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
]
MIDDLEWARE = [GUARD, *BELOW]
PERFGUARD: dict[str, Any] = {}
