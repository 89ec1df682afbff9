//! The rails: one table, for the page that explains them.

/// The rails that `--allow` lets pass.
pub(crate) const ALLOWED: [&str; 8] = [
    "deletes",
    "boxes",
    "public-numbers",
    "relogins",
    "foreign-files",
    "taken-boxes",
    "missing-names",
    "missing-includes",
];

/// What stops an apply: the rail without its `rail-`, what it stops, and what to do.
pub const RAILS: &[(&str, &str, &str)] = &[
    (
        "deletes",
        "an apply that deletes more users than `rails.deletes` allows, or removes more phones of users who were deleted before",
        "check that this is the right file, then `--allow deletes=N`",
    ),
    (
        "boxes",
        "an apply that ends more voicemail boxes than `rails.deletes` allows, as a share of all boxes; boxes of users who are deleted count as users only",
        "check the file is the right one; `--allow boxes=N`",
    ),
    (
        "public-numbers",
        "an apply after which more public numbers lead nowhere than `rails.deletes` allows, as a share of all of the tenant",
        "check the file is the right one; `--allow public-numbers=N`",
    ),
    (
        "relogins",
        "an apply after which more phones must log in again, or register over another transport, than `rails.relogins` allows. This includes phones whose digest or transport in the generated file differs from the database, as after the restore of an older dump or on the second host of a database. Without that file, the digests that Asterisk still runs are compared",
        "`--allow relogins=N`",
    ),
    (
        "protected",
        "the deletion or renumbering of a user, or the change of an inbound rule, that is recorded as protected",
        "set `protected: false` and apply that first",
    ),
    (
        "observed",
        "an apply of a file with `mode: observe`. Plans, states and history are shown as of any other tenant",
        "remove `mode: observe` once Asterisk shall run what the plan shows",
    ),
    (
        "taken-names",
        "an apply if another file on the host defines a name of this tenant, or identifies an address of its trunks; or if `dialplan.include`, `phone.context` or a destination of calls names a context of another tenant",
        "remove it there, choose `endpoint_names: tenant-extension`, or reserve the number",
    ),
    (
        "unreadable-files",
        "an apply if the user that Asterisk runs as cannot read the generated files: Asterisk would silently remove every object in them",
        "run the `chgrp` in the hint",
    ),
    (
        "missing-includes",
        "an apply if the operator's file does not include the generated files: Asterisk would not take them, or a reload would remove what it runs from them, of this tenant or another one, or leave other tenants' files out",
        "add the line of the hint; `--allow missing-includes=N` lets N such files pass, for include lines that `reconcile` cannot read",
    ),
    (
        "bad-generation",
        "an apply whose files were put back on this host before, by an apply that Asterisk did not take or by `reconcile put-back`",
        "remove the cause, which `reconcile history N` names, then `reconcile apply --again`",
    ),
    (
        "included-twice",
        "an apply if several lines of the operator's files include the generated endpoint file: Asterisk rejects an object that it reads twice, and at its next start the whole file",
        "remove all of these lines but one",
    ),
    (
        "foreign-files",
        "an apply over files that were written from another database, or that hold users whom this database never had",
        "check `DATABASE_URL`, or restore a newer dump; `--allow foreign-files=N` lets N users pass: their phones are removed, or get a new secret and must log in again",
    ),
    (
        "taken-boxes",
        "an apply that gives the number of a voicemail box in the file in place to another box, as after the restore of an older dump: who has the number hears the messages",
        "restore a newer dump; or move the messages away, then `--allow taken-boxes=N`",
    ),
    (
        "missing-names",
        "an apply of a file that names contexts (`dialplan.include`, `phone.context`), extensions (`{ context: .., extension: .. }`), prompts of menus or transports that the running Asterisk does not have",
        "correct the name; `--allow missing-names=N`",
    ),
    (
        "missing-modules",
        "an apply if Asterisk has not loaded a module that the dialplan or the trunks need",
        "load the modules that the message names",
    ),
    (
        "clocks",
        "an apply with opening hours to an Asterisk whose clock shows another time in their time zone",
        "install `tzdata` on the host, or correct its clock",
    ),
];
