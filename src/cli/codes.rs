//! The codes of problems and rails: one table, for the page that explains them.

/// What `check`, `plan` and the API report about a desired state: the code, what it means, and what to do.
/// In Markdown; links are those of `docs/reference/diagnostics.md`.
pub const DIAGNOSTICS: &[(&str, &str, &str)] = &[
    ("backwards-range", "a range whose first number is larger than its last", "swap the two numbers"),
    ("duplicate-caller", "a rule that names the same callers twice", "remove one of the two"),
    ("duplicate-codec", "a codec that is listed twice", "remove one of the two"),
    (
        "duplicate-email",
        "two users with the same e-mail; upper and lower case do not matter",
        "remove one of the two, or give it its own e-mail",
    ),
    (
        "duplicate-key",
        "a key given twice, in one mapping or in two files of a folder; both places are shown",
        "remove one of the two",
    ),
    (
        "duplicate-pin",
        "two users pinned to one number; both places are shown",
        "pin one of them to another number, or to none",
    ),
    ("duplicate-target", "a route that tries the same target twice", "remove one of the two"),
    (
        "emergency-number",
        "warning: a user is pinned to an emergency number, or, without `country`, the ranges cover [numbers that some country dials for help](#emergency-numbers); through the API such a pin is rejected",
        "pin another number; declare `country`",
    ),
    (
        "empty-file",
        "a file without content; an empty file never means \"delete all\"",
        "write `users: []` if no user is meant",
    ),
    ("empty-route", "an empty list of targets", "name a target; `[hangup]` ends the call"),
    (
        "failed-expectation",
        "an `expect` entry that does not hold",
        "ask `reconcile trace` why; correct the rules or the entry",
    ),
    ("file-too-large", "a file of more than 64 MiB", "split it and pass the folder"),
    (
        "generated-context",
        "`dialplan.include` names a context that is generated from this file; those of other tenants stop at `rail-taken-names`",
        "include contexts of your own only",
    ),
    (
        "identify-everybody",
        "a trunk whose `identify` is wider than a /8 of IPv4 or a /19 of IPv6, in one entry or added up: Asterisk would take phones and strangers for the carrier",
        "list the carrier's own addresses",
    ),
    ("incomplete-dialer", "a dialer with neither `number` nor `sip`, or with both", "give it exactly one of them"),
    (
        "incomplete-trunk",
        "a trunk that registers without user name and secret, or has only one of them",
        "add what is missing, or remove `register`",
    ),
    ("invalid-date", "not a date such as `2026-12-25`", "write year, month and day"),
    (
        "invalid-email",
        "not an e-mail address as the HTML standard defines it (ASCII)",
        "write an international domain in its ASCII form, `xn--..`",
    ),
    (
        "invalid-extension",
        "not plain digits from 1 to 99999999: quoted, signed, with a dot, an exponent or a leading zero",
        "write the digits alone; numbers have no leading zero: `0200` is written, and dialled, as `200`",
    ),
    ("invalid-hold", "not a number of days such as `30d`", "write digits and `d`"),
    (
        "invalid-host",
        "not the name or address of a host, or not a network such as `203.0.113.0/28`",
        "write a name, an address or a network",
    ),
    ("invalid-hours", "not a weekly range such as `mon-fri 09:00-18:00`", "write days, a blank, and two times"),
    (
        "invalid-name",
        "a display name that is empty, longer than 255 characters, or holds control, text-direction or other [invisible characters](#names)",
        "remove what the hint names",
    ),
    (
        "invalid-number",
        "not a public number in E.164 form such as `+15559876543`, nor a place where one comes from",
        "write `+` and digits in quotes, or `{ env: NAME }`",
    ),
    (
        "invalid-object-name",
        "a context, transport, realm or trunk with characters that Asterisk's configuration could misread, or a trunk's name over 40 characters",
        "use letters, digits and `_ . + -`",
    ),
    (
        "invalid-prefix",
        "not the beginning of callers' numbers such as `+49*`, nor `withheld`",
        "write `+`, digits and `*`",
    ),
    ("invalid-range", "not a range such as `1000-1999`, nor a list of such ranges", "write two numbers with a hyphen"),
    (
        "invalid-rename",
        "a `previously` that names the user itself, or an address that two users claim",
        "name the former address of this user; it may be declared as another user's now: the plan then hands it on",
    ),
    ("invalid-ring", "not a time to ring such as `30s`, from 5 to 600 seconds", "write digits and `s`"),
    (
        "invalid-secret",
        "a secret that no phone could be given: empty, longer than 128 characters, or not printable ASCII; never quoted",
        "put another secret into its source",
    ),
    ("invalid-sip", "not a SIP address such as `sip:user@host`", "write `sip:`, a user, `@` and a host"),
    (
        "invalid-source",
        "a `secret` that names no source, or an alias (`*name`) of something under a key that names a secret; the value is never shown, because it may be the secret itself",
        "write `{ env: NAME }` or `{ file: name }`, and replace the secret if it was pasted",
    ),
    (
        "invalid-target",
        "not a name that a dialer or user could have",
        "write a dialer's name, an e-mail, `hangup` or `busy`",
    ),
    (
        "invalid-tenant",
        "a tenant slug with other than lower-case letters, digits and single hyphens",
        "choose such a slug",
    ),
    (
        "invalid-time",
        "not a moment with its offset, such as `2026-12-24T22:00+01:00`",
        "write date, `T`, time and offset",
    ),
    ("invalid-value", "a value that no other rule explains", "write what the message says"),
    (
        "invalid-yaml",
        "text that is not YAML, or more than one document in a file",
        "correct it where the snippet points",
    ),
    (
        "link-outside",
        "a path that leads [through a link out of its folder](#links), or out of the working directory if it is relative",
        "put the file itself there, or name the real path",
    ),
    ("long-name", "warning: a name of more than 79 bytes is cut where phones see it", "shorten it"),
    ("missing-file", "the file is not there, or the folder holds no `*.yaml`", "name it by `-f` or `RECONCILE_FILE`"),
    ("missing-key", "a key that must be there", "add it"),
    (
        "never-open",
        "warning: a rule for hours without any range, which are never",
        "give the hours a range, or remove the rule",
    ),
    ("no-codec", "`codecs` is empty", "name a codec, or remove the key"),
    (
        "not-desired-state",
        "a file that is no mapping, or most of whose keys are not those of a desired state; no word of it is shown",
        "name the right file",
    ),
    ("not-utf8", "bytes that are not UTF-8", "save the file as UTF-8"),
    (
        "number-outside-range",
        "a user has a number outside `extensions.range`, because the range was narrowed; no user is moved silently",
        "pin the user to another number, or widen the range",
    ),
    (
        "number-taken",
        "a public number that [another tenant](#numbers-of-another-tenant) of the same database has, recorded or applied: a call to it would be ambiguous",
        "apply the other tenant's file without it first",
    ),
    ("out-of-bounds", "a number that is too small or too large for its key", "stay within the bounds of the message"),
    (
        "overlapping-ranges",
        "two ranges of `extensions.range` that have a number in common; ranges are never merged, because their order is the order of allocation",
        "make them disjoint",
    ),
    (
        "overlapping-routes",
        "two rules for the same calls that may decide at the same time; both places are shown",
        "make one more specific, or remove it",
    ),
    (
        "overlapping-trunks",
        "an address from which the calls of two trunks come; both places are shown",
        "give it to one of them",
    ),
    ("pin-outside-range", "a pinned number outside `extensions.range`", "pin another number, or widen the range"),
    (
        "pin-taken",
        "a pinned number that another recorded user has",
        "pin another number, or renumber the other user in the same file",
    ),
    ("range-exhausted", "more users than free numbers; says how many are missing", "widen `extensions.range`"),
    (
        "rename-conflict",
        "the present and the former address are both recorded",
        "remove `previously`, or delete one of the two users first",
    ),
    ("reserved-name", "a dialer called `hangup`, `busy` or `default`", "call it otherwise"),
    (
        "route-loop",
        "a dialer that dials one of the numbers whose calls it gets, by a SIP address at `public_sip_host` or by a variable, too (then `plan` reports it)",
        "dial another number",
    ),
    (
        "silent-trunk",
        "warning: a trunk whose calls cannot be known: its host is a name, without `identify` or `register`",
        "add one of the two",
    ),
    ("unknown-codec", "not a codec of Asterisk 22", "choose one of those in [keys](keys.md)"),
    ("unknown-country", "a `country` that is not an ISO 3166-1 code in upper case, such as `DE`", "write that code"),
    (
        "unknown-key",
        "a key that is not known in its place; what follows it is not shown",
        "correct its name, as the hint says",
    ),
    ("unknown-reference", "a dialer, user, trunk or hours that are not declared", "declare it, or correct the name"),
    ("unknown-timezone", "not an IANA time zone", "write one such as `Europe/Berlin`"),
    ("unknown-value", "not one of the words that are possible here", "choose one of those in the message"),
    ("unknown-version", "another `version` than 1", "write `version: 1`"),
    (
        "unreachable-dialer",
        "warning: in a file with trunks, a route all of whose dialers lack a `trunk`",
        "give one of them a `trunk`",
    ),
    (
        "unreachable-route",
        "a rule, an `otherwise` or a target that no call can ever reach; as a warning, a `default_route` behind a rule for all calls",
        "remove it",
    ),
    (
        "unreachable-user",
        "warning: a call that comes through Twilio needs `public_sip_host` to reach a user's phone; only in a file in which Twilio has a part, because it has no trunk, or a dialer without `trunk`",
        "declare `public_sip_host`",
    ),
    ("unreadable-file", "the file or folder cannot be read", "see to its mode and owner"),
    (
        "wrong-type",
        "a value of another type, such as text where a list is expected, or a telephone number without quotes, which YAML takes for a number",
        "write the type of the message; put telephone numbers in quotes",
    ),
    (
        "yaml-too-complex",
        "a file that nests deeper than 16 levels, or grows without measure when its aliases are followed",
        "write it without such aliases",
    ),
];

/// What stops an apply: the rail without its `rail-`, what it stops, and what to do.
pub const RAILS: &[(&str, &str, &str)] = &[
    (
        "deletes",
        "an apply that deletes more users than `rails.deletes` allows",
        "check the file is the right one; `--allow deletes=N`",
    ),
    (
        "relogins",
        "an apply after which more phones must log in again, or register over another transport, than `rails.relogins` allows; phones whose digest in the file in place is not the recorded one count, as after the restore of an older dump, and without that file the digests that Asterisk still runs",
        "`--allow relogins=N`",
    ),
    (
        "protected",
        "the deletion or renumbering of a user, or the change of an inbound rule, that is recorded as protected",
        "set `protected: false` and apply that first",
    ),
    (
        "taken-names",
        "another file on the host defines a name of this tenant, or leads calls from an address of its trunks elsewhere; or `dialplan.include` names a context of another tenant",
        "remove it there, choose `endpoint_names: tenant-extension`, or reserve the number",
    ),
    (
        "unreadable-files",
        "an apply of files that the user whom Asterisk runs as cannot read: Asterisk would silently remove every object in them",
        "the `chgrp` of the hint",
    ),
    (
        "missing-includes",
        "an apply if the operator's file does not include the generated files, and a reload would remove what Asterisk runs from them, of this tenant or another one, or leave other tenants' files out; on a host where nothing of ours runs yet, `plan` notes the missing line and stops nothing",
        "add the line of the hint; `--allow missing-includes=N` lets N such files pass, for include lines that `reconcile` cannot read",
    ),
    (
        "foreign-files",
        "an apply over files that another directory wrote, or whose users this one never knew",
        "see to `DATABASE_URL`, or restore a newer dump; `--allow foreign-files=N` takes N users over: their phones end, or get another secret and must log in again",
    ),
    (
        "missing-names",
        "an apply of a file that names contexts (`dialplan.include`) or transports that the running Asterisk does not have",
        "correct the name; `--allow missing-names=N`",
    ),
    (
        "missing-modules",
        "an apply to an Asterisk that has not loaded what the dialplan or the trunks need",
        "load the modules that the message names",
    ),
    (
        "clocks",
        "an apply with opening hours to an Asterisk whose clock shows another time in their time zone",
        "install `tzdata` on the host, or correct its clock",
    ),
];
