"""Query strings without what opens doors."""

from __future__ import annotations

import re

# What the convention of `url.query` lists (signed URLs of AWS, Azure and Google Cloud), with what older versions of
# it listed. Keys are case-sensitive there.
_SECRET = re.compile(
    r"(?:^|(?<=&))(X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|sig|X-Goog-Signature|AWSAccessKeyId|Signature)"
    r"=[^&]*"
)


def redacted(query: str) -> str:
    """Return a query string in which the values of secret keys are replaced by `REDACTED`."""
    return _SECRET.sub(r"\1=REDACTED", query)
