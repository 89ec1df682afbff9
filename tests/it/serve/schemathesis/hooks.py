"""A key that came with another request before is refused with 422, however well formed it is: each
request that is to succeed gets a key of its own. An option of an apply that is in the query and in the
body must have one value: a request that is to succeed has it in the body only."""

import itertools

import schemathesis

COUNT = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    header = "Idempotency-Key"
    if header in case.headers and case.meta.generation.mode.is_positive:
        case.headers[header] = f"{case.headers[header][:200]}-{next(COUNT)}"
    if case.path == "/apply" and isinstance(case.body, dict) and case.meta.generation.mode.is_positive:
        for option in set(case.query or {}) & set(case.body):
            del case.query[option]
