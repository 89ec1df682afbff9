"""A key that came with another request before is refused with 422, however well formed it is: each
request that is to succeed gets a key of its own."""

import itertools

import schemathesis

COUNT = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    header = "Idempotency-Key"
    if header in case.headers and case.meta.generation.mode.is_positive:
        case.headers[header] = f"{case.headers[header][:200]}-{next(COUNT)}"
